"""The little Markdown that generated pages are made of."""

import re
from collections.abc import Iterable, Sequence


def code(text: str) -> str:
    """Return a text as code."""
    return f"`{text}`"


def cell(text: str) -> str:
    """Return a text that may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [heads, ["---"] * len(heads), *(map(cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(*blocks: str) -> str:
    """Return the blocks, those that are not empty, as one page."""
    return "\n\n".join(filter(None, (block.strip("\n") for block in blocks))) + "\n"


def anchor(heading: str) -> str:
    """Return what a heading is linked by, as GitHub makes it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def link(text: str, heading: str, page: str = "") -> str:
    """Return a link to a heading."""
    return f"[{text}]({page}#{anchor(heading)})"
