"""The pages of the documentation, and which of them are made from code."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.docs.cli import cli
from tests.docs.events import events
from tests.docs.http import http
from tests.docs.settings import settings

ROOT: Final = Path(__file__).parent.parent.parent
REFERENCE: Final = ROOT / "docs" / "reference"
GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "http.md": http,
    "events.md": events,
    "cli.md": cli,
    "settings.md": settings,
}
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """Return how a page is called in reports."""
    return page.relative_to(ROOT).as_posix()
