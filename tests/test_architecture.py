"""What each package may import, and how long a module may be.

The order of our own packages is a contract in pyproject.toml, checked by import-linter. Here the
rest: a library is used only where this table allows it, so that it can be replaced there alone.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_LINES = 450

ALLOWED_LIBRARIES = {
    "domain": {"msgspec"},
    "projections": {"msgspec"},
    "replay": {"eventsourcing", "msgspec", "orjson", "obstore", "psycopg", "psycopg_pool"},
    "api": {
        "click",
        "cryptography",
        "google",
        "httptools",
        "httpx2",
        "jsonschema_rs",
        "msgspec",
        "orjson",
        "prometheus_client",
        "python_multipart",
        "rich",
        "starlette",
        "uvicorn",
        "uvloop",
    },
}
PACKAGES = sorted(ALLOWED_LIBRARIES)
OURS_OR_STANDARD = sys.stdlib_module_names | set(PACKAGES)
BY_NAME = {"import_module", "__import__"}


def modules_of(*folders: str) -> list[str]:
    return sorted(
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    )


def imports_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the top-level name of every import, also those inside functions."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name.partition(".")[0]
            case ast.ImportFrom(module=str(module), level=0):
                yield node.lineno, module.partition(".")[0]
            case ast.Call(
                func=ast.Name(id=name) | ast.Attribute(attr=name),
                args=[ast.Constant(value=str(module)), *_],
            ) if name in BY_NAME:
                yield node.lineno, module.partition(".")[0]
            case _:
                pass


def foreign_imports(package: str, source: str) -> list[str]:
    permitted = OURS_OR_STANDARD | ALLOWED_LIBRARIES[package]
    return [f"line {line}: {name}" for line, name in imports_of(source) if name not in permitted]


@pytest.mark.parametrize("module", modules_of(*PACKAGES))
def test_a_package_uses_only_its_own_libraries(module: str) -> None:
    package = module.partition("/")[0]
    found = foreign_imports(package, (ROOT / module).read_text("utf-8"))

    assert found == [], f"{package} may import {sorted(ALLOWED_LIBRARIES[package])} at most"


@pytest.mark.parametrize("module", modules_of(*PACKAGES, "tests"))
def test_a_module_is_short_enough_to_read(module: str) -> None:
    lines = (ROOT / module).read_text("utf-8").count("\n")

    assert lines <= MAX_LINES, f"{module}: split it by concept"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_examined(package: str) -> None:
    assert f"{package}/__init__.py" in modules_of(package)


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("domain", "import orjson"),
        ("domain", "import os, eventsourcing.domain"),
        ("projections", "from eventsourcing.persistence import Recording"),
        ("replay", "def later():\n    from starlette import routing"),
        ("replay", "import tests.support"),
        ("api", "if TYPE_CHECKING:\n    from eventsourcing.application import Application"),
        ("api", "importlib.import_module('eventsourcing.sqlite')"),
        ("domain", "__import__('httpx2')"),
    ],
)
def test_a_forbidden_import_is_found(package: str, source: str) -> None:
    assert len(foreign_imports(package, source)) == 1


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("domain", "import msgspec.json\nfrom dataclasses import dataclass"),
        ("projections", "from domain.events import Event"),
        ("replay", "import orjson\nfrom eventsourcing.application import Application"),
        ("api", "from replay.log import Ledger\nfrom starlette.routing import Route"),
    ],
)
def test_a_permitted_import_is_left_alone(package: str, source: str) -> None:
    assert foreign_imports(package, source) == []
