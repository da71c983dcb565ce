"""Timeline items as lines for people."""

from collections.abc import Sequence

from api.cli.output import STATUS_STYLES, draw
from api.client.documents import JsonObject, JsonValue, at, text_at

SUMMARY_LIMIT = 100
CHANGES: Sequence[tuple[str, str]] = (
    ("previous_status", "status"),
    ("previous_approval_state", "approval_state"),
)
# Members worth a word, in this order; each is shown as `word value`.
REMARKS: Sequence[tuple[str, str]] = (
    ("attempt", "attempt"),
    ("outcome", "verdict"),
    ("review_round", "round"),
    ("depends_on_task_id", "on"),
    ("child_task_id", "child"),
    ("propagated_from_task_id", "through"),
    ("source_run_id", "after"),
    ("bridge_id", "bridge"),
    ("bridge_instance_id", "bridge"),
    ("peer_id", "to"),
    ("group_id", "to group"),
    ("delivery_id", "delivery"),
    ("lease_until", "lease until"),
    ("session_id", "session"),
    ("reason", "because"),
    ("diagnostic", "because"),
    ("error", "error"),
)


def summary_of(item: JsonObject) -> str:
    """Return in a few words what an event changed."""
    payload = at(item, "payload")
    words = [change_of(payload)]
    words += [", ".join(at(payload, "changed_fields") or ())]
    for name, word in REMARKS:
        value = text_at(payload, name)
        if value:
            words.append(f"{word} {first_line(shown(name, value))}")
    return first_line(", ".join(filter(None, words)))


def change_of(payload: JsonValue) -> str:
    """Return the new status of an event, behind the previous one if it names both."""
    for before, after in CHANGES:
        if at(payload, before) and at(payload, after):
            return f"{at(payload, before)} → {at(payload, after)}"
    return text_at(payload, "status")


def shown(name: str, value: str) -> str:
    """Return a value as it is printed: of a deadline only the time of day."""
    return time_of_day(value) if name == "lease_until" else value


def time_of_day(timestamp: str) -> str:
    """Return hours to milliseconds of an RFC 3339 timestamp in UTC."""
    clock = timestamp.partition("T")[2].rstrip("Z")
    seconds, _, fraction = clock.partition(".")
    return f"{seconds}.{fraction[:3]:0<3}"


def first_line(text: str) -> str:
    """Return the first line, shortened to what fits beside the rest."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= SUMMARY_LIMIT else f"{line[: SUMMARY_LIMIT - 1]}…"


def cells_of(item: JsonObject) -> tuple[str, ...]:
    """Return time, sequence, type, task, run, actor and summary."""
    return (
        time_of_day(text_at(item, "timestamp")),
        text_at(item, "sequence"),
        text_at(item, "event_type"),
        text_at(item, "task", "id") or "-",
        text_at(item, "run", "id") or "-",
        f"{text_at(item, 'actor', 'kind')}:{text_at(item, 'actor', 'ref')}",
        summary_of(item),
    )


HEADINGS = ("TIME", "SEQUENCE", "EVENT", "TASK", "RUN", "ACTOR", "SUMMARY")
WIDTHS = (12, 6, 24, 21, 20, 24, 0)


def print_item(item: JsonObject) -> None:
    """Print one event on one line, in the colour of the status it led to."""
    from rich.text import Text

    cells = cells_of(item)
    line = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
    style = STATUS_STYLES.get(text_at(item, "payload", "status"), "")
    draw(Text(line.rstrip(), style=style), wrap=False)
