"""`python -m tests.docs` writes the generated pages."""

from tests.docs.pages import GENERATED, REFERENCE

REFERENCE.mkdir(parents=True, exist_ok=True)
for name, make in GENERATED.items():
    (REFERENCE / name).write_text(make(), encoding="utf-8")
