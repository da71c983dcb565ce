"""Every link of the documentation leads somewhere: to a file, and to a heading that is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import anchor
from tests.docs.pages import PAGES, ROOT, name_of

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ELSEWHERE = ("http://", "https://", "mailto:")


def prose_of(page: Path) -> str:
    return _FENCED.sub("", page.read_text("utf-8"))


def links_of(page: Path) -> Iterator[str]:
    for target in _LINK.findall(prose_of(page)):
        if not target.startswith(_ELSEWHERE):
            yield target


def anchors_of(page: Path) -> set[str]:
    found: set[str] = set()
    for heading in _HEADING.findall(prose_of(page)):
        base = anchor(heading)
        numbered = (f"{base}-{number}" if number else base for number in range(1000))
        found.add(next(name for name in numbered if name not in found))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    known: dict[Path, set[str]] = {}
    for target in links_of(page):
        path, _, fragment = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        assert aim.exists(), f"{target}: there is no {path}"
        assert aim.is_relative_to(ROOT), f"{target} leads out of the project"
        if fragment:
            known.setdefault(aim, anchors_of(aim))
            assert fragment in known[aim], f"{target}: there is no such heading"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        aims = ((page.parent / target.partition("#")[0]).resolve() for target in links_of(page))
        waiting += [aim for aim in aims if aim.is_file()]

    assert set(PAGES) - reached == set()
