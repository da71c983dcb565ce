"""Where tests keep their ledgers: `TASKLEDGER_TEST_STORE` chooses among the kinds of stores."""

import os
from base64 import urlsafe_b64encode
from hashlib import blake2b
from pathlib import Path
from typing import Final

from tests.support.postgres import shared

KINDS: Final = ("sqlite", "postgresql")
CHOSEN: Final = os.environ.get("TASKLEDGER_TEST_STORE", "sqlite")


def place_in(folder: Path, kind: str = CHOSEN) -> str:
    """Return the store that belongs to a folder; asking again gives the same one."""
    if kind == "sqlite":
        return f"sqlite:{folder / 'ledger.db'}"
    return shared().create(f"t{blake2b(str(folder).encode(), digest_size=8).hexdigest()}")


def key_file_in(folder: Path, kind: str = CHOSEN) -> str:
    """Return the file with the key of the secrets, empty where the store has a place for one."""
    if kind == "sqlite":
        return ""
    folder.mkdir(exist_ok=True)
    file = folder / "secrets.key"
    file.write_bytes(urlsafe_b64encode(b"k" * 32))
    return str(file)
