"""Chromium, as the system has it or else from a package, driven from tests."""

import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

from tests.support.packages import kept_folder, node_archive, node_environment, run
from tests.support.places import can_mount

PACKAGE: Final = "@sparticuz/chromium@147.0.0"
"""Chromium for Linux on x86-64 with the libraries and a font that it needs; no part of it runs
while it is unpacked."""

_OLDEST: Final = 147
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_PARTS: Final = ("chromium.br", "al2023.tar.br", "fonts.tar.br")
_UNPACK: Final = """
const { readFileSync, writeFileSync } = require("node:fs");
const { brotliDecompressSync } = require("node:zlib");
for (const file of process.argv.slice(1)) {
  writeFileSync(file.slice(0, -".br".length), brotliDecompressSync(readFileSync(file)));
}
"""
_FONTS: Final = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <cachedir prefix="xdg">fonts</cachedir>
</fontconfig>
"""
_FLAGS: Final = ("--disable-gpu", "--no-proxy-server")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give a browser without a window.

    While it is there, no other event loop can run on this thread.
    """
    program, variables = _program()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            env={**os.environ, **variables},
            args=_FLAGS,
            chromium_sandbox=_can_sandbox(),
            timeout=120_000,
        )
        try:
            yield browser
        finally:
            browser.close()


@cache
def _program() -> tuple[Path, dict[str, str]]:
    """Return the program and the environment variables that it needs."""
    for name in _NAMES:
        found = shutil.which(name)
        if found and _version(found) >= _OLDEST:
            return Path(found), {}
    here = platform.system(), platform.machine()
    assert here == ("Linux", "x86_64"), f"install Chromium {_OLDEST} or newer"
    folder = kept_folder("chromium", (PACKAGE,), _unpack_into)
    return folder / "chromium", {
        "LD_LIBRARY_PATH": str(folder / "lib"),
        "FONTCONFIG_FILE": str(folder / "fonts.conf"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


def _version(program: str) -> int:
    """Return the major version of a Chromium, 0 when the program does not tell."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\b(\d+)\.\d", told.stdout)
    return int(found[1]) if found else 0


def _unpack_into(folder: Path) -> None:
    archive = node_archive(PACKAGE, folder)
    _extract(archive, folder, only=tuple(f"package/bin/{part}" for part in _PARTS))
    packed = [folder / "package" / "bin" / part for part in _PARTS]
    run("node", "-e", _UNPACK, *packed, env=node_environment())
    program, *archives = (part.with_suffix("") for part in packed)
    for part in archives:
        _extract(part, folder)
    program.rename(folder / "chromium").chmod(0o755)
    (folder / "fonts.conf").write_text(_FONTS)
    archive.unlink()
    shutil.rmtree(folder / "package")


def _extract(archive: Path, folder: Path, only: tuple[str, ...] = ()) -> None:
    """Write the files of an archive into a folder: `only` those, or all."""
    with tarfile.open(archive) as packed:
        for member in packed:
            content = packed.extractfile(member)
            if content is not None and (not only or member.name in only):
                file = folder / member.name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.read())


def _can_sandbox() -> bool:
    """Whether Chromium can lock its processes up: root cannot, nor who may have no namespaces."""
    return os.geteuid() != 0 and can_mount()
