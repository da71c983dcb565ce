"""What goes wrong with each place for blobs: it is said, and nothing half is ever seen."""

import asyncio
import random
import signal
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from api.services import build
from api.settings import Settings, SettingsError, check
from domain.values import Blob
from replay.blobs.files import FileBlobs
from replay.blobs.places import Bucket, blobs_at, bucket_of
from replay.blobs.s3 import S3Blobs
from replay.blobs.store import BlobMissingError
from replay.errors import StoreOpenError, StoreUnavailableError
from replay.ledger import Ledger
from replay.places import environment_of
from replay.postgresql import blobs as in_postgresql
from tests.replay.blobs import Place, files, large_objects, stream
from tests.support.places import place_in
from tests.support.ports import free_port
from tests.support.postgres import shared
from tests.support.s3 import ACCESS, s3

ROOT: Final = Path(__file__).parents[2]
PUTTING: Final = """
import asyncio, os, sys
from pathlib import Path
from replay.blobs.files import FileBlobs

async def chunks():
    for _ in range(40):
        yield os.urandom(1 << 16)

async def main():
    blobs = FileBlobs(Path(sys.argv[1]))
    while True:
        blob = await blobs.put(chunks())
        print(blob.sha256, blob.size, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_killed_process_left_is_whole_or_swept(seed: int, tmp_path: Path) -> None:
    folder = tmp_path / "ledger.db.blobs"
    process = subprocess.Popen(
        [sys.executable, "-c", PUTTING, folder], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    told = [process.stdout.readline() for _ in range(random.Random(seed).randrange(5, 15))]
    # At a moment of its own choice, as a failing machine does.
    process.send_signal(signal.SIGKILL)
    told += process.communicate()[0].splitlines()

    place = Place(lambda: FileBlobs(folder))
    for line in told:
        digest, size = line.split()
        blob = Blob(digest, int(size))
        assert sha256(place.read(blob)).hexdigest() == digest
    seen = [path for path in folder.glob("??/*") if path.is_file()]
    assert len(seen) >= len(told)
    for path in seen:
        assert sha256(path.read_bytes()).hexdigest() == path.name


def test_a_server_sweeps_what_was_left_unfinished(tmp_path: Path) -> None:
    with files(tmp_path) as place:
        blob = place.put(b"whole")
    left = tmp_path / "ledger.db.blobs" / "unfinished" / "tmpabc"
    left.write_bytes(b"half")

    async def start() -> None:
        services = build(Settings(store=place_in(tmp_path, "sqlite")))
        await services.start()
        assert not left.exists()
        assert await services.blobs.has(blob)
        await services.stop()
        services.close()

    asyncio.run(start())


def test_the_same_bytes_put_again_mend_a_damaged_file(tmp_path: Path) -> None:
    with files(tmp_path) as place:
        blob = place.put(b"content")
        path = tmp_path / "ledger.db.blobs" / blob.sha256[:2] / blob.sha256
        path.write_bytes(b"x")
        assert not place.has(blob)
        with pytest.raises(BlobMissingError):
            place.read(blob)

        assert place.read(place.put(b"content")) == b"content"


def test_a_folder_that_went_is_made_again(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "a" / "b")
    place = Place(lambda: blobs)
    blob = place.put(b"content")
    (tmp_path / "a").rename(tmp_path / "gone")

    assert not place.has(blob)
    assert place.read(place.put(b"content")) == b"content"


def test_a_place_that_is_no_folder_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = Place(lambda: FileBlobs(tmp_path / "file" / "blobs"))

    with pytest.raises(StoreUnavailableError, match="Not a directory"):
        place.put(b"content")
    with pytest.raises(StoreUnavailableError, match="Not a directory"):
        place.has(Blob("0" * 64, 1))


def test_sessions_that_were_cut_are_opened_anew(tmp_path: Path) -> None:
    url = place_in(tmp_path, "postgresql")
    with closing(Ledger(environment_of(url))) as ledger:
        blobs = ledger.access.blobs()

        async def cut() -> bytes:
            blob = await blobs.put(stream(b"content"))
            await asyncio.to_thread(shared().end_sessions, url)
            found = b"".join([piece async for piece in blobs.read(blob)])
            await blobs.close()
            return found

        assert asyncio.run(cut()) == b"content"


def test_large_objects_of_one_content_are_one(tmp_path: Path) -> None:
    with large_objects(tmp_path) as place:

        async def many(blobs: in_postgresql.LargeObjectBlobs) -> None:
            await asyncio.gather(*(blobs.put(stream(b"same" * 100_000)) for _ in range(6)))

        place.run(many)  # type: ignore[arg-type]
    with closing(Ledger(environment_of(place_in(tmp_path, "postgresql")))) as ledger:
        select = ledger.reader.select
        assert select("SELECT count(*) FROM blobs") == [(1,)]
        assert select("SELECT count(*) FROM pg_largeobject_metadata") == [(1,)]


@pytest.mark.parametrize("name", ["database", "bucket", "no bucket"])
def test_a_place_that_does_not_answer_is_unavailable(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_postgresql, "_SECONDS", 0.5)
    for variable, value in ACCESS.items():
        monkeypatch.setenv(variable, value)
    port = free_port()
    parameters = {"host": "127.0.0.1", "port": port, "dbname": "x", "user": "x"}
    place = Place(
        {
            "database": lambda: in_postgresql.LargeObjectBlobs(parameters),
            "bucket": lambda: S3Blobs(
                Bucket(name="bucket", endpoint=f"http://127.0.0.1:{port}", region="r")
            ),
            "no bucket": lambda: S3Blobs(Bucket(name="none", endpoint=s3().url, region="r")),
        }[name]
    )

    with pytest.raises(StoreUnavailableError) as failed:
        place.put(b"content")

    told = str(failed.value)
    assert "\n" not in told
    assert not any(value in told for value in ACCESS.values())
    with pytest.raises(StoreUnavailableError):
        place.read(Blob("0" * 64, 1))


@pytest.mark.parametrize(
    ("place", "bucket"),
    [
        ("s3://some-bucket", Bucket(name="some-bucket")),
        ("s3://b1/", Bucket(name="b1")),
        ("s3://b1/x/y/", Bucket(name="b1", prefix="x/y")),
        (
            "s3://b1/x?endpoint=http://[::1]:9000&region=eu-central-1",
            Bucket(name="b1", prefix="x", endpoint="http://[::1]:9000", region="eu-central-1"),
        ),
        ("s3://b1?endpoint=https://s3.local", Bucket(name="b1", endpoint="https://s3.local")),
    ],
)
def test_a_bucket_is_named_by_one_text(place: str, bucket: Bucket) -> None:
    assert bucket_of(place) == bucket
    assert check(Settings(blob_store=place)).blob_store == place


@pytest.mark.parametrize(
    "place",
    [
        "s3://",
        "s3:///x",
        "s4://bucket",
        "/some/folder",
        "bucket",
        "s3://key:secret@bucket/x",
        "s3://bucket:80",
        "s3://bucket#x",
        "s3://[",
        "s3://bucket/../x",
        "s3://bucket//x",
        "s3://bucket/x\n",
        "s3://bucket?secret_access_key=x",
        "s3://bucket?endpoint=ftp://x",
        "s3://bucket?endpoint=http://key:secret@x",
        "s3://bucket?endpoint=",
        "s3://bucket?region=a/b",
    ],
)
def test_other_places_are_refused_without_what_may_be_secret(place: str) -> None:
    with pytest.raises(SettingsError, match=r"blob_store must be empty or s3://BUCKET") as refused:
        check(Settings(blob_store=place))
    assert "key:secret" not in str(refused.value)


def test_a_bucket_needs_the_library_of_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "replay.blobs.s3")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with (
        closing(Ledger(environment_of(place_in(tmp_path, "sqlite")))) as ledger,
        pytest.raises(StoreOpenError, match=r"install taskledger\[s3\]"),
    ):
        blobs_at("s3://bucket", ledger.access)
