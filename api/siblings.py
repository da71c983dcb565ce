"""The numbers of all processes that serve one address, told by whichever of them is asked.

Each has a file in a common folder, into which it writes its own again and again. Its number there
is the label of what it tells, so that a process goes on with the series of the one before it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from api.numbers import Numbers

NUMBERS: Final = "TASKLEDGER_NUMBERS"
"""The environment variable that names the file of a process; without it, it serves alone."""

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(Numbers).decode


class Siblings:
    """The processes beside this one."""

    def __init__(self, own: Numbers, file: str) -> None:
        """Know the numbers of this process, and its file, empty when it serves alone."""
        self._own = own
        self._file = Path(file) if file else None

    def tell(self) -> None:
        """Let the others know the numbers of this process."""
        if self._file is not None:
            self._own.look()
            draft = self._file.with_suffix(".draft")
            draft.write_bytes(_encode(self._own))
            draft.rename(self._file)

    def all(self) -> Mapping[str, Numbers]:
        """Return the numbers of each process that runs: its own of now, the others' as told."""
        self._own.look()
        if self._file is None:
            return {"0": self._own}
        found = {file.stem: _decode(file.read_bytes()) for file in _beside(self._file)}
        running = {name: each for name, each in found.items() if _runs(each.process)}
        return dict(sorted({**running, self._file.stem: self._own}.items()))


def _beside(file: Path) -> list[Path]:
    return [other for other in file.parent.glob("*.json") if other != file]


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
