"""Settings of the server, from flags or from `TASKLEDGER_*` environment variables."""

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import fields

from domain.values import DEFAULT_LEASE_SECONDS, MAX_LEASE_SECONDS
from replay.blobs.places import bucket_of
from replay.errors import StoreOpenError
from replay.places import POSTGRESQL, SQLITE, environment_of, without_password

PREFIX: Final = "TASKLEDGER_"

_HOST: Final = re.compile(r"[A-Za-z0-9._:-]+")
_WORDS: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_LARGEST_PORT: Final = 65_535
_DAY: Final = 86_400


class SettingsError(ValueError):
    """Some settings are not acceptable; the text names all of them."""

    def __init__(self, problems: list[str]) -> None:
        """Keep one sentence for each setting."""
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


class Settings(Struct, frozen=True, kw_only=True):
    """What an operator may choose. Durations are seconds; the defaults serve one machine."""

    host: str = "127.0.0.1"
    port: int = 8420
    store: str = "sqlite:data/ledger.db"
    workers: int = 1
    allowed_hosts: tuple[str, ...] = ()
    strict_sessions: bool = False
    allow_agent_force: bool = True
    allow_provider_override: bool = True
    allow_sandbox_none: bool = True
    allow_sandbox_ref: bool = True
    max_lease_expiries: int = 3
    max_review_rounds: int = 3
    lease_seconds: int = DEFAULT_LEASE_SECONDS
    sweep_seconds: float = 15.0
    sweep_limit: int = 100
    keep_alive_seconds: float = 15.0
    poll_seconds: float = 1.0
    starvation_seconds: int = 120
    starved_after_cycles: int = 6
    attention_after_cycles: int = 10
    backlog_warning_seconds: int = 600
    stuck_claimed_seconds: int = 300
    stuck_starting_seconds: int = 300
    stuck_running_seconds: int = 1_800
    stale_seconds: int = 120
    snapshot_interval: int = 20_000
    snapshot_megabytes: int = 4_096
    claim_wait_seconds: float = 60.0
    drain_poll_seconds: float = 0.5
    shutdown_seconds: float = 10.0
    tempest_lease_seconds: int = 600
    secret_key_file: str = ""
    blob_store: str = ""
    bridge_private_targets: bool = False
    bridge_timeout_seconds: float = 10.0
    bridge_retry_seconds: float = 2.0
    bridge_retry_max_seconds: float = 3_600.0
    bridge_concurrency: int = 16

    @property
    def sqlite_path(self) -> str:
        """The path of the SQLite file the store names, empty when it names a database server."""
        return "" if self.store.startswith(POSTGRESQL) else self.store.removeprefix(SQLITE)


def _between(least: float, most: float) -> Callable[[Any], str]:
    return lambda value: "" if least <= value <= most else f"must be from {least} to {most}"


def _host(value: str) -> str:
    return "" if _HOST.fullmatch(value) else "must be a host name or an address"


def _store(value: str) -> str:
    if "\x00" in value:
        return "must not contain the NUL character"
    try:
        environment_of(value)
    except StoreOpenError as error:
        return str(error).partition(" ")[2]
    return ""


def _blob_store(value: str) -> str:
    try:
        if value:
            bucket_of(value)
    except StoreOpenError as error:
        return str(error).partition(" ")[2]
    return ""


_RULES: Final[Mapping[str, Callable[[Any], str]]] = {
    "host": _host,
    "port": _between(0, _LARGEST_PORT),
    "store": _store,
    "blob_store": _blob_store,
    "workers": _between(1, 256),
    "allowed_hosts": lambda hosts: next(filter(None, map(_host, hosts)), ""),
    "max_lease_expiries": _between(1, 1_000_000),
    "max_review_rounds": _between(1, 1_000_000),
    "lease_seconds": _between(1, MAX_LEASE_SECONDS),
    "tempest_lease_seconds": _between(1, MAX_LEASE_SECONDS),
    "sweep_seconds": _between(0.01, _DAY),
    "sweep_limit": _between(1, 100_000),
    "keep_alive_seconds": _between(0.01, _DAY),
    "poll_seconds": _between(0.01, _DAY),
    "starvation_seconds": _between(1, 365 * _DAY),
    "backlog_warning_seconds": _between(0, 365 * _DAY),
    "stuck_claimed_seconds": _between(0, 365 * _DAY),
    "stuck_starting_seconds": _between(0, 365 * _DAY),
    "stuck_running_seconds": _between(0, 365 * _DAY),
    "stale_seconds": _between(0, 365 * _DAY),
    "snapshot_interval": _between(1, 10_000_000),
    "snapshot_megabytes": _between(1, 1 << 30),
    "starved_after_cycles": _between(1, 1_000_000),
    "attention_after_cycles": _between(1, 1_000_000),
    "claim_wait_seconds": _between(0, _DAY),
    "drain_poll_seconds": _between(0.01, 60),
    "shutdown_seconds": _between(0, _DAY),
    "bridge_timeout_seconds": _between(0.01, 600),
    "bridge_retry_seconds": _between(0.01, _DAY),
    "bridge_retry_max_seconds": _between(0.01, 7 * _DAY),
    "bridge_concurrency": _between(1, 1_000),
}


def complaint(field: str, value: Any) -> str:
    """Return what a setting must be when it is not this value; empty when it may be."""
    return _RULES[field](value) if field in _RULES else ""


def check(settings: Settings, name_of: Callable[[str], str] = str) -> Settings:
    """Return the settings; raises SettingsError naming every bad one as `name_of` calls it."""
    problems = []
    for field in _RULES:
        value = getattr(settings, field)
        if expected := complaint(field, value):
            shown = ",".join(value) if isinstance(value, tuple) else value
            problems.append(f"{name_of(field)} {expected}, got {without_password(str(shown))!r}")
    if settings.attention_after_cycles < settings.starved_after_cycles:
        names = (name_of("attention_after_cycles"), name_of("starved_after_cycles"))
        problems.append(f"{names[0]} must not be less than {names[1]}")
    if settings.workers > 1 and settings.sqlite_path:
        problems.append(f"{name_of('workers')} must be 1: an SQLite file is served by one process")
    if problems:
        raise SettingsError(problems)
    return settings


def variable_of(field: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + field.upper()


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a child process that works on the same store.

    The store is named there because anybody may see the arguments of a process.
    """
    return {**os.environ, variable_of("store"): settings.store}


def environment_for(settings: Settings) -> dict[str, str]:
    """Return the environment variables that `from_env` reads the same settings from."""
    return {
        variable_of(field.name): _text(getattr(settings, field.name)) for field in fields(Settings)
    }


def _text(value: object) -> str:
    return (
        ",".join(value)
        if isinstance(value, tuple)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )


def from_env(environment: Mapping[str, str]) -> Settings:
    """Return the settings that the environment gives; blank and missing ones are the defaults.

    Raises SettingsError naming every bad variable at once.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in fields(Settings):
        text = environment.get(variable_of(field.name), "").strip()
        if not text:
            continue
        try:
            values[field.name] = _READERS[field.type](text)
        except (KeyError, ValueError):
            expected = _EXPECTED[field.type]
            problems.append(f"{variable_of(field.name)} must be {expected}, got {text!r}")
    try:
        settings = check(Settings(**values), variable_of)
    except SettingsError as error:
        problems.extend(error.problems)
    if problems:
        raise SettingsError(problems)
    return settings


def _read_list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


_READERS: Final[Mapping[Any, Callable[[str], Any]]] = {
    str: str,
    int: int,
    float: float,
    bool: lambda text: _WORDS[text.lower()],
    tuple[str, ...]: _read_list,
}
_EXPECTED: Final[Mapping[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple[str, ...]: "a comma-separated list",
}
