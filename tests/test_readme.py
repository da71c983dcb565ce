"""The README keeps its word: its targets, folders and libraries exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
MAKE = [snippet for snippet in SNIPPETS if snippet.startswith("make ")]


def test_every_make_target_of_the_readme_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert [snippet.split() for snippet in MAKE] == [["make", "serve"], ["make", "test"]]
    assert set(re.findall(r"`make ([a-z-]+)`", README)) <= set(targets)


def test_every_path_of_the_readme_exists() -> None:
    folders = ("domain", "projections", "replay", "api", "tests")
    cells = re.findall(r"^\| `(\w+)/` \|[^|]*\| (.*) \|$", README, re.MULTILINE)

    assert [folder for folder, _ in cells] == list(folders)
    for folder, paths in cells:
        for path in re.findall(r"`([\w/.]+)`", paths):
            assert (ROOT / folder / path).exists(), f"{folder}/{path}"


def test_every_library_the_readme_explains_is_required_and_none_is_left_out() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    required = re.search(r"^dependencies = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert required is not None
    named = re.findall(r'^ +"([a-z0-9-]+)', required[1], re.MULTILINE)
    table = re.search(r"### Libraries\n(.*?)\n\n[^|]", README, re.DOTALL)
    assert table is not None
    rows = re.findall(r"^\| ([a-z0-9, -]+) \|", table[1], re.MULTILINE)
    explained = [name for row in rows for name in row.split(", ") if name != "library"]

    assert sorted(explained) == sorted(named)
