"""What is said about runs after they were made: members, logs, messages and artifacts."""

from msgspec.structs import replace

from domain.commands import DeleteTask
from domain.errors import RunNotFoundError, ValidationError
from domain.events import RunLeaseExtended
from domain.posthog import events as e
from domain.posthog.commands import (
    AppendPosthogLog,
    NewArtifact,
    ReceivePosthogUpload,
    RelayPosthogMessage,
    SetPosthogOutput,
    StorePosthogArtifacts,
)
from domain.posthog.state import log_stream, run_stream
from domain.values import Blob
from tests.domain.posthog.scenes import RUN, RUN_ID, WORKSPACE, change, definition, new_run, types
from tests.domain.posthog.test_status import MINUTE, leased, scene
from tests.support.spec import NOW, Past, given
from tests.support.steps import json

ENTRY = json('{"a":1}')
BLOB = Blob("6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b", 1)


def test_a_run_keeps_what_was_sent_when_it_was_made() -> None:
    spec = given(WORKSPACE, definition()).when(
        new_run(environment="local", stage="s", branch="b", output=json("1"), state=json("{}"))
    )
    assert spec.facts[1] == e.PosthogRunCreated(
        posthog_run_id=RUN_ID,
        posthog_task_id="p1",
        environment="local",
        stage="s",
        branch="b",
        output=json("1"),
        state=json("{}"),
    )
    assert spec.recorded[1].originator_id == run_stream(RUN_ID)
    assert (spec.recorded[1].task_id, spec.recorded[1].run_id) == ("task-1", "")


def test_what_is_said_of_a_run_belongs_to_its_task() -> None:
    spec = scene("queued").when(change(stage=None, state_remove_keys=("a",)))
    spec.then(
        Past(
            run_stream(RUN_ID),
            e.PosthogRunUpdated(
                posthog_run_id=RUN_ID,
                changed_fields=("stage", "state_remove_keys"),
                state_remove_keys=("a",),
            ),
            "run-1",
        )
    )
    assert spec.recorded[0].task_id == "task-1"
    spec.when(change()).then_nothing()


def test_an_output_may_complete_the_run() -> None:
    output = e.PosthogOutputSet(posthog_run_id=RUN_ID, output=ENTRY)
    scene("in_progress").when(SetPosthogOutput(**RUN, output=ENTRY)).then(output)
    spec = scene("in_progress").when(SetPosthogOutput(**RUN, output=ENTRY, completes=True))
    assert types(spec) == ["posthog.output_set", "task.run_completed"]


def append(count: int = 1, size: int = 8) -> AppendPosthogLog:
    return AppendPosthogLog(**RUN, count=count, size=size, entries=(ENTRY,) * count)


def test_a_log_counts_its_entries() -> None:
    spec = scene("completed").given(append(2, 16))
    spec.when(AppendPosthogLog(**RUN, count=3, size=100_000, blob=BLOB)).then(
        Past(
            log_stream(RUN_ID),
            e.PosthogLogAppended(
                posthog_run_id=RUN_ID,
                count=3,
                size=100_000,
                total_count=5,
                total_size=100_016,
                blob=BLOB,
            ),
            "run-1",
        )
    )


def test_the_log_of_a_draft_belongs_to_no_run() -> None:
    assert scene("not_started").when(append()).recorded[0].run_id == ""


def test_log_entries_keep_a_lease_alive_at_most_once_a_minute() -> None:
    spec = leased(started=True)
    assert types(spec.when(append(), at=NOW + MINUTE - 1)) == ["posthog.log_appended"]
    spec.when(append(), at=NOW + MINUTE)
    assert spec.facts[1] == RunLeaseExtended(
        status="running",
        task_status="in_progress",
        lease_until=NOW + 6 * MINUTE,
        heartbeat_at=NOW + MINUTE,
        claim_token_hash="sha256:aa",
    )
    assert len(spec.when(append(), at=NOW + 2 * MINUTE - 1).facts) == 1
    assert len(spec.when(append(), at=NOW + 7 * MINUTE).facts) == 1
    assert len(scene("in_progress").when(append(), at=NOW + MINUTE).facts) == 1


def test_a_message_is_put_on_record() -> None:
    spec = scene("in_progress").when(RelayPosthogMessage(**RUN, relay_id="m1", text="hi"))
    spec.then(e.PosthogMessageRelayed(posthog_run_id=RUN_ID, relay_id="m1", text="hi"))


def artifact(**members: object) -> NewArtifact:
    named = {"id": "a1", "name": "plan.md", "type": "plan", "storage_path": "x/plan.md"}
    return NewArtifact(**{**named, **members})  # type: ignore[arg-type]


def test_artifacts_come_with_their_content_or_after_an_upload() -> None:
    spec = scene("in_progress")
    wanted = StorePosthogArtifacts(**RUN, artifacts=(artifact(),))
    spec.when(wanted).then_refused(ValidationError, "nothing was uploaded")
    spec.given(
        ReceivePosthogUpload(**RUN, storage_path="x/other", content=BLOB),
        ReceivePosthogUpload(**RUN, storage_path="x/plan.md", content=BLOB),
    )
    stored = e.PosthogArtifactStored(
        posthog_run_id=RUN_ID,
        artifact_id="a1",
        name="plan.md",
        type="plan",
        storage_path="x/plan.md",
        content=BLOB,
    )
    spec.when(wanted).then(stored)
    given_along = artifact(content=BLOB)
    spec.when(StorePosthogArtifacts(**RUN, artifacts=(given_along,) * 2)).then(stored, stored)


def test_an_upload_becomes_one_artifact() -> None:
    upload = ReceivePosthogUpload(**RUN, storage_path="x/plan.md", content=BLOB)
    wanted = StorePosthogArtifacts(**RUN, artifacts=(artifact(), artifact()))
    spec = scene("in_progress").given(upload).when(wanted)
    assert types(spec) == ["posthog.artifact_stored"]
    spec = scene("in_progress").given(upload, wanted)
    spec.when(wanted).then_nothing()
    spec.when(upload).then_nothing()
    other = replace(upload, content=Blob("c" * 64, 2))
    spec.when(other).then_refused(ValidationError, "with other content")
    renamed = StorePosthogArtifacts(**RUN, artifacts=(artifact(id="a2"),))
    spec.when(renamed).then_refused(ValidationError, "nothing was uploaded")


def test_nothing_is_said_of_a_run_whose_task_was_deleted() -> None:
    spec = scene("completed").given(DeleteTask(task_id="task-1"))
    spec.when(append()).then_refused(RunNotFoundError)
