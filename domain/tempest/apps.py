"""Versions of apps: what they look after, and how that is."""

from domain import fields
from domain.commands import Reply
from domain.errors import ValidationError
from domain.tempest import events as e
from domain.tempest.commands import AppCommand, ConnectVersion, ReportHealth
from domain.tempest.state import AppState, app_stream
from domain.tempest.values import NAME_BYTES
from domain.world import Plan


def app_name(command: AppCommand) -> tuple[str, str]:
    """Return app id and version; raises ValidationError.

    The first colon of the two together ends the id, so the id has none.
    """
    app_id = _name(command.app_id, "app_id")
    if ":" in app_id:
        raise ValidationError(f'app_id must not contain ":": "{app_id}"')
    return app_id, _name(command.version, "version")


def _name(value: str, path: str) -> str:
    name = fields.short_text(value, path, NAME_BYTES)
    if not name:
        raise ValidationError(f"{path} is required")
    return name


def known_app(plan: Plan, app_id: str, version: str) -> AppState | None:
    """Return an app version, None for one that has never told anything."""
    state = plan.state(app_stream(app_id, version))
    return state if isinstance(state, AppState) else None


def reached_app(command: AppCommand, plan: Plan) -> tuple[str, str, AppState | None]:
    """Return app id, version and what is known; raises PermissionDeniedError.

    An app version belongs to the workspace of the token that it first came with.
    """
    app_id, version = app_name(command)
    app = known_app(plan, app_id, version)
    if app is not None:
        plan.check_reach(app.workspace_id, f'app "{app_id}" {version}')
    return app_id, version, app


def connect_version(command: ConnectVersion, plan: Plan) -> Reply:
    """Note what an app version looks after; the same again changes nothing."""
    app_id, version, app = reached_app(command, plan)
    types = [
        _name(each.type, f"resources[{index}].type") for index, each in enumerate(command.resources)
    ]
    if len(set(types)) < len(types):
        raise ValidationError(f"resources must not name a type twice: {', '.join(types)}")
    if app is None or not app.connected_at or app.resources != command.resources:
        fact = e.TempestVersionConnected(
            app_id=app_id,
            version=version,
            workspace_id=app.workspace_id if app else plan.context.workspace_limit,
            resources=command.resources,
        )
        plan.emit(app_stream(app_id, version), fact)
    return Reply()


def report_health(command: ReportHealth, plan: Plan) -> Reply:
    """Note how the resources of an app version are, also of one that was never connected."""
    app_id, version, app = reached_app(command, plan)
    if command.reports:
        fact = e.TempestHealthReported(
            app_id=app_id,
            version=version,
            workspace_id=app.workspace_id if app else plan.context.workspace_limit,
            reports=command.reports,
        )
        plan.emit(app_stream(app_id, version), fact)
    return Reply()
