"""What tests of the console do again and again."""

from playwright.sync_api import Locator, Page, expect

expect.set_options(timeout=120_000)


def show(page: Page, route: str, heading: str) -> None:
    """Open a view, and wait until it is there and follows the ledger."""
    page.goto(f"/#/{route}")
    expect(page.locator("h1")).to_have_text(heading)
    expect(page.locator("#live")).to_have_text("live")


def row(page: Page, text: str) -> Locator:
    """Return the rows of tables that hold a text."""
    return page.locator("tbody tr").filter(has_text=text)


def command(page: Page, name: str, **fields: str) -> None:
    """Send a command through its dialog; the fields are named as in the body."""
    page.get_by_role("button", name=name, exact=True).first.click()
    dialog = page.get_by_role("dialog")
    for field, text in fields.items():
        dialog.locator(f"[name={field}]").fill(text)
    dialog.get_by_role("button", name=name, exact=True).click()


def look_at(page: Page, moment: str) -> None:
    """Choose the moment to look at."""
    field = page.get_by_label("As of:")
    field.fill(moment)
    field.press("Enter")
