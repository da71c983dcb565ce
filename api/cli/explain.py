"""`taskledger explain`: why a run is handed to whom, or to nobody."""

import click

from api.cli import output
from api.cli.options import option, remote
from api.cli.remote import Remote, api_path
from api.client.documents import JsonObject, JsonValue, at, text_at

RULE_COLUMNS: tuple[output.Column, ...] = (
    ("RULE", ("rule",)),
    ("PASSED", ("passed",)),
    ("EXPECTED", ("expected",)),
    ("FOUND", ("found",)),
)
SESSION_COLUMNS: tuple[output.Column, ...] = (
    ("SESSION", ("session_id",)),
    ("AGENT", ("agent_name",)),
    ("GETS IT", ("eligible",)),
    ("WHY NOT", ("why_not",)),
)


@click.command()
@click.argument("run_id")
@option("--session", "session_id", default="", help="Every rule for this session alone.")
@option("--priority-min", type=click.IntRange(min=0), default=0, help="What the claim asks for.")
@remote
def explain(server: Remote, run_id: str, session_id: str, priority_min: int) -> None:
    """Explain which active sessions would be handed a run, and which rule keeps it from others.

    \b
    taskledger explain RUN --session worker-1
    """
    path = api_path("runs", run_id, "explain")
    answer = server.get(path, session_id=session_id, priority_min=priority_min)

    def printed(found: JsonValue) -> None:
        print_explanation(found, every_rule=bool(session_id))

    server.show(at(answer, "explain"), printed)


def print_explanation(found: JsonValue, *, every_rule: bool) -> None:
    """Print the rules of a run, and each session with what it fails at or with all its rules."""
    sessions = at(found, "sessions") or []
    rules = [*at(found, "rules")]
    if every_rule:
        rules += [rule for session in sessions for rule in at(session, "rules")]
    output.table([_rule(rule) for rule in rules], RULE_COLUMNS, empty="")
    waited = at(found, "waiting", "cycles")
    if waited:
        click.echo(f"waits too long for {waited} cycles")
    output.heading("Sessions")
    output.table([_session(each) for each in sessions], SESSION_COLUMNS, empty="no active session")


def _rule(rule: JsonObject) -> JsonObject:
    return {**rule, "passed": "yes" if at(rule, "passed") else "no"}


def _session(session: JsonObject) -> JsonObject:
    failed = [rule for rule in at(session, "rules") if not at(rule, "passed")]
    eligible = "yes" if at(session, "eligible") else "no"
    return {**session, "eligible": eligible, "why_not": "; ".join(map(_why, failed))}


def _why(rule: JsonObject) -> str:
    found = text_at(rule, "found") or "nothing"
    return f"{rule['rule']}: expected {text_at(rule, 'expected')}, found {found}"
