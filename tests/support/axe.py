"""Whether people with disabilities can use a page, as far as axe-core can tell."""

from functools import cache
from typing import Any, Final

from playwright.sync_api import Page

from tests.support.packages import node_modules_with

AXE: Final = "axe-core@4.14.1"
_RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
_RUN: Final = """rules => axe.run(document, {
  runOnly: { type: "tag", values: rules }, resultTypes: ["violations"], preload: false,
})"""


def axe(page: Page) -> list[str]:
    """Return where a page, as it is now, violates WCAG 2.2 on levels A and AA."""
    # Not as an element of the page, whose content security policy would refuse it.
    page.evaluate(_source())
    found = page.evaluate(_RUN, list(_RULES))
    return [_told(rule, node) for rule in found["violations"] for node in rule["nodes"]]


@cache
def _source() -> str:
    return (node_modules_with(AXE) / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def _told(rule: dict[str, Any], node: dict[str, Any]) -> str:
    return f"{rule['id']} ({rule['help']}) at {node['html']}: {node['failureSummary']}"
