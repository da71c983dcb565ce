"""The scripts of the console have the types that their comments tell, and one layout."""

from pathlib import Path
from typing import Final

from tests.support.prettier import badly_laid_out
from tests.support.typescript import type_errors

CONSOLE: Final = Path(__file__).parents[2] / "api" / "console"


def test_the_console_is_typed() -> None:
    scripts = sorted(CONSOLE.rglob("*.js"))

    assert scripts
    assert type_errors(scripts) == []


def test_the_console_is_laid_out_well() -> None:
    assert badly_laid_out(sorted(CONSOLE.rglob("*.js"))) == []


def test_a_bad_layout_is_told(tmp_path: Path) -> None:
    script = tmp_path / "bad.js"
    script.write_text("const one = 'two'\n")

    (told,) = badly_laid_out([script])
    assert told.endswith("bad.js")


def test_a_wrong_type_is_told(tmp_path: Path) -> None:
    script = tmp_path / "wrong.js"
    script.write_text("/** @param {number} n */\nexport const twice = (n) => n.repeat(2);\n")

    (error,) = type_errors([script])
    assert error.endswith("error TS2339: Property 'repeat' does not exist on type 'number'.")
