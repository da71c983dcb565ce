"""The secrets of bridges: encrypted, in a table beside the events that no export carries."""

import base64
import binascii
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from api.settings import SettingsError
from domain.errors import ValidationError
from replay.ledger import Ledger

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

PREFIX: Final = "whsec_"
_SECRET: Final = re.compile(r"whsec_([A-Za-z0-9+/]+={0,2})")
_NEW_BYTES: Final = 32
_SIZES: Final = range(24, 65)
_TABLE: Final = "bridge_secrets"
_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS bridge_secrets (secret_id TEXT PRIMARY KEY NOT NULL,"
    " sealed BLOB NOT NULL)"
)


def new_secret() -> str:
    """Return a fresh secret (Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes)."""
    return PREFIX + base64.b64encode(os.urandom(_NEW_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """Return the bytes to sign with; raises ValidationError, which does not repeat the secret."""
    found = _SECRET.fullmatch(secret)
    try:
        key = base64.b64decode(found[1], validate=True) if found else b""
    except binascii.Error:
        key = b""
    if len(key) not in _SIZES:
        least, most = _SIZES[0], _SIZES[-1]
        message = f"bridge.secret must be whsec_ and {least} to {most} bytes in base64"
        raise ValidationError(message)
    return key


def kept_in(ledger: Ledger) -> int:
    """Return how many secrets a store keeps, which no export or copy carries."""
    statement = "SELECT 1 FROM sqlite_master WHERE type='table' AND name=?"
    if not ledger.reader.select(statement, (_TABLE,)):
        return 0
    return int(ledger.reader.select(f"SELECT count(*) FROM {_TABLE}")[0][0])


class Secrets:
    """Keeps secrets by id.

    A key file that the settings name has to be there; the one beside a store in a file is made
    when it is first needed, readable by nobody else.
    """

    def __init__(self, ledger: Ledger, configured: str, beside: str) -> None:
        """Read the key, if there is one; raises SettingsError for an unusable file."""
        self._ledger = ledger
        self._path = Path(configured or beside)
        self._may_make = bool(beside) and not configured
        self._made = False
        self._fernet: Fernet | None = None
        if configured or (beside and self._path.exists()):
            self._fernet = self._read_key()

    def _read_key(self) -> "Fernet":
        from cryptography.fernet import Fernet  # noqa: PLC0415 - servers without bridges start without it

        try:
            return Fernet(self._path.read_bytes().strip())
        except (OSError, ValueError) as error:
            problem = (
                f"secret_key_file {self._path} must hold 32 bytes in URL-safe base64"
                f" ({type(error).__name__})"
            )
            raise SettingsError([problem]) from None

    def _key(self) -> "Fernet":
        if self._fernet is None:
            if not self._may_make:
                raise ValidationError("bridges need a key for their secrets: set secret_key_file")
            self._make_key()
            self._fernet = self._read_key()
        return self._fernet

    def _make_key(self) -> None:
        key = base64.urlsafe_b64encode(os.urandom(_NEW_BYTES)) + b"\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(self._path, flags, 0o600), "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())

    def keep(self, secret_id: str, secret: str) -> None:
        """Store a secret durably; it counts once an event names its id.

        Raises ValidationError when there is no key, and StoreUnavailableError.
        """
        sealed = self._key().encrypt(secret.encode())
        with self._ledger.access.apart() as session:
            session.execute(_CREATE)
            session.execute("INSERT INTO bridge_secrets VALUES (?, ?)", (secret_id, sealed))

    def forget(self, secret_id: str) -> None:
        """Remove a secret, if it is here; raises StoreUnavailableError."""
        if self._exists():
            with self._ledger.access.apart() as session:
                session.execute("DELETE FROM bridge_secrets WHERE secret_id = ?", (secret_id,))

    def secret(self, secret_id: str) -> str | None:
        """Return a secret; None when it is not in this store, or sealed with another key."""
        if self._fernet is None or not self._exists():
            return None
        found = self._ledger.reader.select(
            "SELECT sealed FROM bridge_secrets WHERE secret_id = ?", (secret_id,)
        )
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            return self._fernet.decrypt(found[0][0]).decode() if found else None
        except InvalidToken:
            return None

    def _exists(self) -> bool:
        if not self._made:
            statement = "SELECT 1 FROM sqlite_master WHERE type='table' AND name=?"
            self._made = bool(self._ledger.reader.select(statement, ("bridge_secrets",)))
        return self._made
