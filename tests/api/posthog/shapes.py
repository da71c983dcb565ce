"""What PostHog's clients are answered, as facts that the server has to agree with.

A shape lists its members, each with its type: all of them are there, and no others. `[type]` is a
list, `type|null` may be null, a type with an upper-case initial is another shape, and one in
quotation marks a choice of words.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

TASK: Final = "Task"
RUN: Final = "Run"
ARTIFACT: Final = "Artifact"
TASK_PAGE: Final = "TaskPage"
RUN_PAGE: Final = "RunPage"

SHAPES: Final = {
    "Artifact": (
        "id:text name:text type:'plan,context,reference,output,artifact,tree_snapshot' source:text "
        "size:int content_type:text storage_path:text uploaded_at:offset_time"
    ),
    "Run": (
        "id:uuid task:uuid stage:text|null branch:text|null "
        "status:'not_started,queued,in_progress,completed,failed,cancelled' "
        "environment:'local,cloud' log_url:url|null error_message:text|null output:any "
        "state:object artifacts:[Artifact] created_at:time updated_at:time completed_at:time|null"
    ),
    "RunPage": "count:int next:url|null previous:url|null results:[Run]",
    "Task": (
        "id:uuid task_number:int slug:text title:text description:text "
        "origin_product:'error_tracking,eval_clusters,user_created,slack,support_queue,"
        "session_summaries,signal_report' repository:text|null github_integration:int|null "
        "json_schema:any latest_run:Run|null created_at:time updated_at:time created_by:User"
    ),
    "TaskPage": "count:int next:url|null previous:url|null results:[Task]",
    "User": (
        "id:int uuid:uuid distinct_id:text first_name:text last_name:text email:text "
        "is_email_verified:any hedgehog_config:any role_at_organization:any"
    ),
}
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)")


def _is_time(value: Any, ending: str) -> bool:
    return (
        isinstance(value, str)
        and _TIME.fullmatch(value) is not None
        and value.endswith(ending)
        and datetime.fromisoformat(value).utcoffset() == timedelta(0)
    )


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and str(UUID(value)) == value


_PLAIN: Final[dict[str, Callable[[Any], bool]]] = {
    "any": lambda _: True,
    "int": lambda value: type(value) is int,
    "object": lambda value: isinstance(value, dict),
    "offset_time": lambda value: _is_time(value, "+00:00"),
    "text": lambda value: isinstance(value, str),
    "time": lambda value: _is_time(value, "Z"),
    "url": lambda value: isinstance(value, str) and value.startswith("http://127.0.0.1:"),
    "uuid": _is_uuid,
}


def check(value: Any, kind: str) -> None:
    """Assert that a value is of a type."""
    if kind.endswith("|null"):
        if value is not None:
            check(value, kind.removesuffix("|null"))
    elif kind.startswith("["):
        assert isinstance(value, list)
        for each in value:
            check(each, kind[1:-1])
    elif kind.startswith("'"):
        assert value in kind[1:-1].split(","), (kind, value)
    elif kind in SHAPES:
        members = dict(member.split(":", 1) for member in SHAPES[kind].split(" "))
        assert value.keys() == members.keys(), kind
        for name, wanted in members.items():
            check(value[name], wanted)
    else:
        assert _PLAIN[kind](value), (kind, value)
