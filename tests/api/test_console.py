"""The console as it is sent: what may be kept, what may be asked for, and by whom."""

from pathlib import Path

import pytest

from api.console import assets
from api.tokens import create_token
from tests.api.live import Client, error_of, serving

FOLDER = Path(__file__).parents[2] / "api" / "console"
BUDGET = 60_000


def test_the_page_forbids_what_it_does_not_need(client: Client) -> None:
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "<title>taskledger</title>" in answer.text


def test_each_part_is_sent_with_its_type(client: Client) -> None:
    types = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    parts = [path for path in FOLDER.iterdir() if path.suffix[1:] in types]

    assert len(parts) > len(types)
    for path in parts:
        answer = client.get(f"/console/{path.name}")
        assert answer.headers["content-type"].startswith(types[path.suffix[1:]])
        assert answer.content == path.read_bytes()


@pytest.mark.parametrize("path", ["/", "/console/main.js"])
def test_what_has_not_changed_is_not_sent_again(client: Client, path: str) -> None:
    first = client.get(path)
    tag = first.headers["etag"]
    again = client.get(path, headers={"If-None-Match": tag})
    other = client.get(path, headers={"If-None-Match": '"other"'})

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert "content-length" not in again.headers
    assert (other.status_code, other.content) == (200, first.content)


def test_it_is_sent_gzipped_to_those_who_take_it(client: Client) -> None:
    plain = client.get("/console/main.js", headers={"Accept-Encoding": "identity"})
    gzipped = client.get("/console/main.js", headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert gzipped.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in gzipped.headers["vary"].lower()
    assert int(gzipped.headers["content-length"]) < int(plain.headers["content-length"])
    assert gzipped.content == plain.content


@pytest.mark.parametrize("taken", ["gzip, deflate", "br, GZIP ; q=0.5", "gzip;q=0.01, br"])
def test_it_is_sent_gzipped_where_that_has_a_weight(client: Client, taken: str) -> None:
    answer = client.get("/console/main.js", headers={"Accept-Encoding": taken})

    assert answer.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("taken", ["", "br", "gzip;q=0", "gzip ; q=0.0, br", "x-gzipped"])
def test_it_is_sent_plain_to_all_others(client: Client, taken: str) -> None:
    answer = client.get("/console/main.js", headers={"Accept-Encoding": taken})

    assert "content-encoding" not in answer.headers


def test_the_tag_stands_for_both_forms(client: Client) -> None:
    plain, gzipped = (
        client.get("/", headers={"Accept-Encoding": form}).headers["etag"]
        for form in ("identity", "gzip")
    )

    assert plain == gzipped
    assert plain.startswith('W/"')


def test_all_of_it_is_small() -> None:
    assert sum(len(each.gzipped) for each in assets().values()) < BUDGET


@pytest.mark.parametrize("name", ["none.js", "__init__.py", "..%2Fapp.py"])
def test_nothing_else_is_sent(client: Client, name: str) -> None:
    assert "the console has no part" in error_of(client.get(f"/console/{name}"), 404)


def test_the_page_is_shown_to_those_who_have_no_token_yet(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        create_token(server.services, name="ann", scopes=("task:read",))

        assert server.client.get("/").is_success
        assert server.client.get("/console/main.js").is_success
        error_of(server.client.get("/api/tasks"), 401)
