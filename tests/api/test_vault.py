"""Secrets beside the events, and paths signed with one of them."""

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from msgspec.structs import replace

from api.services import Services, build
from api.settings import Settings
from domain.errors import ValidationError
from tests.api.live import Clock
from tests.support.places import key_file_in, place_in

MANY = 4
PATH = "/api/runs/run-1/log"


def settings_in(folder: Path) -> Settings:
    return Settings(store=place_in(folder), secret_key_file=key_file_in(folder))


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="services")
def _services(tmp_path: Path, clock: Clock) -> Iterator[Services]:
    with closing(build(settings_in(tmp_path), clock)) as services:
        yield services


def test_a_secret_is_found_by_its_id_until_it_is_forgotten(services: Services) -> None:
    vault = services.vault
    assert vault.secret("sec-1") is None

    vault.keep("sec-1", "grün")
    vault.keep("sec-2", "other")
    assert vault.secret("sec-1") == "grün"

    vault.forget("sec-1")
    assert (vault.secret("sec-1"), vault.secret("sec-2")) == (None, "other")


def test_what_is_stored_is_not_the_secret(services: Services) -> None:
    services.vault.keep("sec-1", "do not show me")

    ((_, sealed),) = services.ledger.reader.select("SELECT * FROM bridge_secrets")
    assert b"do not show me" not in sealed


def test_the_first_of_many_counts_for_all(tmp_path: Path) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(MANY) as threads:
        vaults = [
            stack.enter_context(closing(build(settings_in(tmp_path)))).vault for _ in range(MANY)
        ]
        found = list(
            threads.map(lambda each: each[1].keep_first("key", f"{each[0]}"), enumerate(vaults))
        )

    assert len(set(found)) == 1


def test_one_that_another_key_sealed_gives_way(tmp_path: Path) -> None:
    first, second = (Path(key_file_in(tmp_path / name, "postgresql")) for name in "ab")
    second.write_bytes(b"A" * 43 + b"=")
    usual = settings_in(tmp_path)
    with closing(build(replace(usual, secret_key_file=str(first)))) as services:
        assert services.vault.keep_first("key", "old") == "old"
    with closing(build(replace(usual, secret_key_file=str(second)))) as services:
        assert services.vault.secret("key") is None
        assert services.vault.keep_first("key", "new") == "new"
        assert services.vault.keep_first("key", "newer") == "new"


def test_the_key_beside_a_file_is_made_when_it_is_needed(tmp_path: Path) -> None:
    key = tmp_path / "ledger.db.key"
    with closing(build(Settings(store=place_in(tmp_path, "sqlite")))) as services:
        assert services.signer.check(PATH, "") is False
        assert not key.exists()

        services.vault.keep("sec-1", "a")

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.glob("*.key*")] == [key.name]


def test_without_a_key_nothing_is_kept_or_signed(tmp_path: Path) -> None:
    store = place_in(tmp_path, "postgresql")
    with closing(build(Settings(store=store))) as services:
        assert services.signer.sign(PATH, 60) is None
        assert services.signer.check(PATH, "expires=9999999999&signature=00") is False
        with pytest.raises(ValidationError, match="set secret_key_file"):
            services.vault.keep("sec-1", "a")


def test_a_signed_path_is_good_until_its_time(services: Services, clock: Clock) -> None:
    query = services.signer.sign(PATH, 600)
    assert query is not None
    assert services.signer.check(PATH, query)

    clock.advance(590)
    assert services.signer.check(PATH, query)
    clock.advance(20)
    assert not services.signer.check(PATH, query)


def test_every_process_on_a_store_knows_the_signature(services: Services, tmp_path: Path) -> None:
    query = services.signer.sign(PATH, 60)
    assert query is not None
    with closing(build(settings_in(tmp_path))) as other:
        assert other.signer.check(PATH, query)
        assert other.signer.sign(PATH, 60) is not None


def test_whatever_else_was_changed_is_refused(services: Services) -> None:
    query = services.signer.sign(PATH, 60)
    assert query is not None
    (_, expires), (_, signature) = parse_qsl(query)
    later = str(int(expires) + 1)
    for path, other in (
        (f"{PATH}/x", query),
        (PATH, urlencode({"expires": later, "signature": signature})),
        (PATH, urlencode({"expires": expires, "signature": "0" * len(signature)})),
        (PATH, urlencode({"expires": expires, "signature": f"{signature}0"})),
        (PATH, urlencode({"expires": "x", "signature": "grün"})),
        (PATH, urlencode({"signature": signature, "expires": expires})),
        (PATH, f"{query}&run=2"),
        (PATH, f"{query}&{query}"),
        (PATH, f"expires={expires}"),
        (PATH, ""),
    ):
        assert not services.signer.check(path, other)
    assert services.signer.check(PATH, query)
