"""Where tests keep their ledgers: `TASKLEDGER_TEST_STORE` chooses among the kinds of stores."""

import os
import shutil
import subprocess
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


def can_mount() -> bool:
    """Whether this user may have a file system of its own."""
    asked = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "t", "/mnt"]
    found = shutil.which("unshare") and os.path.isdir("/mnt")
    return bool(found) and subprocess.run(asked, capture_output=True, check=False).returncode == 0
