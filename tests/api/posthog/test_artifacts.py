"""Artifacts: real bytes beside the ledger, in the order in which they came."""

from base64 import b64encode
from typing import Any

import httpx2
import pytest

from tests.api.links import fetched, posted
from tests.api.live import JsonObject
from tests.api.posthog.project import Project


def given(**members: Any) -> JsonObject:
    return {"name": "plan.md", "type": "plan", "content": "# Plan", **members}


def store(project: Project, run: JsonObject, *artifacts: JsonObject) -> list[JsonObject]:
    path = f"{project.of(run)}/artifacts/"
    return list(project.ok("POST", path, {"artifacts": list(artifacts)})["artifacts"])


def test_the_answer_is_the_whole_manifest_oldest_first(project: Project) -> None:
    run = project.run(project.task())
    first = store(project, run, given(content_type="text/markdown", source="agent"))
    both = store(project, run, given(), given(name="../a\\x.bin", type="tree_snapshot"))
    (shown,) = first

    assert both[:1] == first
    assert [each["name"] for each in both] == ["plan.md", "plan.md", "x.bin"]
    assert len({each["storage_path"] for each in both}) == len({each["id"] for each in both}) == 3
    assert shown["storage_path"].endswith("_plan.md")
    assert (shown["size"], shown["content_type"], shown["source"]) == (6, "text/markdown", "agent")
    assert shown["uploaded_at"].endswith("+00:00")
    assert both[1]["content_type"] == ""
    assert project.ok("GET", project.of(run))["artifacts"] == both


CONTENTS: list[tuple[JsonObject, bytes, str]] = [
    ({"content": "  ä\n "}, "  ä\n ".encode(), "application/octet-stream"),
    (
        {"content": b64encode(bytes(range(256))).decode(), "content_encoding": "base64"},
        bytes(range(256)),
        "application/octet-stream",
    ),
    ({"content": "{}", "content_type": "application/json"}, b"{}", "application/json"),
    (
        {"content": "x", "content_type": "text/plain; charset=utf-8"},
        b"x",
        "text/plain; charset=utf-8",
    ),
    ({"content": "x", "content_type": "text/x\r\nx-evil: 1"}, b"x", "application/octet-stream"),
    ({"content": "x", "content_type": "ä/ö"}, b"x", "application/octet-stream"),
]


@pytest.mark.parametrize(("members", "content", "kind"), CONTENTS)
def test_content_comes_back_as_it_was(
    project: Project, members: JsonObject, content: bytes, kind: str
) -> None:
    run = project.run(project.task())
    (artifact,) = store(project, run, given(**members))
    path = {"storage_path": artifact["storage_path"]}
    downloaded = project.send("POST", f"{project.of(run)}/artifacts/download/", path)
    link = project.ok("POST", f"{project.of(run)}/artifacts/presign", path)
    linked = fetched(link["url"])

    assert artifact["size"] == len(content)
    assert link["expires_in"] == 3_600
    for response in (downloaded, linked):
        assert (response.status_code, response.content) == (200, content)
        assert response.headers["content-type"] == kind
        assert response.headers["content-disposition"] == "attachment"


def test_only_what_the_run_has_can_be_read(project: Project) -> None:
    run, other = (project.run(project.task()) for _ in range(2))
    (artifact,) = store(project, run, given())
    path = {"storage_path": artifact["storage_path"]}

    for operation in ("presign", "download"):
        response = project.send("POST", f"{project.of(other)}/artifacts/{operation}", path)
        assert response.status_code == 404
        assert response.json() == {"error": "Artifact not found on this run"}
    link = project.ok("POST", f"{project.of(run)}/artifacts/presign", path)["url"]
    assert fetched(link.replace(artifact["id"], other["id"])).status_code == 403


BAD: list[tuple[Any, str, str]] = [
    ({}, "required", "artifacts"),
    ({"artifacts": []}, "invalid_input", "artifacts"),
    ({"artifacts": ["x"]}, "not_a_dict", "artifacts__0"),
    ({"artifacts": [given(), {"name": "x"}]}, "required", "artifacts__1__type"),
    ({"artifacts": [given(type="x")]}, "invalid_choice", "artifacts__0__type"),
    ({"artifacts": [given(name="x" * 256)]}, "max_length", "artifacts__0__name"),
    ({"artifacts": [given(name="a/..")]}, "invalid_input", "artifacts__0__name"),
    ({"artifacts": [given(content=" \n")]}, "blank", "artifacts__0__content"),
    ({"artifacts": [given(content=7)]}, "invalid_input", "artifacts__0__content"),
    (
        {"artifacts": [given(content="ä", content_encoding="base64")]},
        "invalid_input",
        "artifacts__0__content",
    ),
]


@pytest.mark.parametrize(("body", "code", "attr"), BAD)
def test_bad_artifacts_are_named(project: Project, body: Any, code: str, attr: str) -> None:
    run = project.run(project.task())

    refused = project.refused(400, "POST", f"{project.of(run)}/artifacts", body)
    assert refused == ("validation_error", code, attr)
    assert project.ok("GET", project.of(run))["artifacts"] == []


def prepared(project: Project, run: JsonObject, **members: Any) -> JsonObject:
    wish = {"name": "big ä.bin", "type": "artifact", "size": 8, **members}
    path = f"{project.of(run)}/artifacts/prepare_upload/"
    (found,) = project.ok("POST", path, {"artifacts": [wish]})["artifacts"]
    assert (found["size"], found["expires_in"]) == (wish["size"], 3_600)
    return dict(found)


def sent(upload: JsonObject, content: bytes, **options: Any) -> httpx2.Response:
    post = upload["presigned_post"]
    files = {"file": ("x", content, "application/octet-stream")}
    return posted(post["url"], data=post["fields"], files=files, **options)


def finalized(project: Project, run: JsonObject, upload: JsonObject, status: int = 200) -> Any:
    names = ("id", "name", "type", "storage_path", "content_type")
    body = {"artifacts": [{name: upload[name] for name in names}]}
    return project.ok("POST", f"{project.of(run)}/artifacts/finalize_upload/", body, status)


def test_an_artifact_may_be_sent_straight_to_where_it_is_kept(project: Project) -> None:
    run = project.run(project.task())
    store(project, run, given())
    upload = prepared(project, run, content_type="application/zip")
    path = f"{project.of(run)}/artifacts/finalize_upload"
    body = {"artifacts": [{name: upload[name] for name in ("id", "name", "type", "storage_path")}]}

    assert project.refused(400, "POST", path, body)[1:] == ("invalid_input", "artifacts")
    assert sent(upload, b"first").status_code == 204
    assert sent(upload, b"12345678").status_code == 204
    (entry,) = finalized(project, run, upload)["artifacts"]
    assert (entry["id"], entry["size"], entry["name"]) == (upload["id"], 8, "big ä.bin")
    assert entry["content_type"] == "application/zip"
    assert len(project.ok("GET", project.of(run))["artifacts"]) == 2
    read = {"storage_path": upload["storage_path"]}
    response = project.send("POST", f"{project.of(run)}/artifacts/download", read)
    assert response.content == b"12345678"


def test_an_upload_is_finalized_once_however_often_that_is_asked(project: Project) -> None:
    run = project.run(project.task())
    upload, other = prepared(project, run), prepared(project, run)
    assert sent(upload, b"12345678").status_code == 204
    (entry,) = finalized(project, run, upload)["artifacts"]

    assert finalized(project, run, upload)["artifacts"] == [entry]
    assert sent(upload, b"12345678").status_code == 204
    assert sent(upload, b"87654321").status_code == 400
    names = ("id", "name", "type", "storage_path")
    twice = {"artifacts": [{name: upload[name] for name in names}] * 2}
    path = f"{project.of(run)}/artifacts/finalize_upload"
    assert project.ok("POST", path, twice)["artifacts"] == [entry, entry]
    assert project.ok("GET", project.of(run))["artifacts"] == [entry]
    # An id belongs to its path.
    twice["artifacts"][0]["id"] = other["id"]
    refused = project.refused(400, "POST", path, twice)
    assert refused[1:] == ("invalid_input", "artifacts__0__storage_path")


def test_an_upload_that_is_none_is_refused(project: Project) -> None:
    run = project.run(project.task())
    upload = prepared(project, run)
    url = upload["presigned_post"]["url"]
    form = {"content-type": "multipart/form-data; boundary=b"}

    assert "longer than the 8 bytes" in sent(upload, b"123456789").json()["error"]
    for content, headers in (
        (b"x", {"content-type": "text/plain"}),
        (b"x", {"content-type": "multipart/form-data"}),
        (b"x", {"content-type": f"multipart/form-data; boundary={'b' * 300}"}),
        (b"junk", form),
        (b'--b\r\ncontent-disposition: form-data; name="key"\r\n\r\nx\r\n--b--\r\n', form),
        (b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\nx', form),
    ):
        response = posted(url, content=content, headers=headers)
        assert (response.status_code, response.json().keys()) == (400, {"error"})
    assert posted(url.replace("/8/", "/9/"), content=b"x", headers=form).status_code == 403
    body = {"artifacts": [{"name": "x", "type": "plan", "size": 0}]}
    path = f"{project.of(run)}/artifacts/prepare_upload"
    assert project.refused(400, "POST", path, body)[1:] == ("min_value", "artifacts__0__size")
    body["artifacts"][0]["size"] = 2**40
    assert project.refused(400, "POST", path, body)[1:] == ("max_value", "artifacts__0__size")
