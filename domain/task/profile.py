"""Setting and removing the execution profile of a task (task API, execution profile)."""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import fields as fields_of
from msgspec.structs import replace

from domain import fields
from domain.commands import DeleteProfile, ProfileSection, Reply, SetProfile
from domain.errors import (
    InvalidTransitionError,
    PayloadTooLargeError,
    ProfileNotFoundError,
    ValidationError,
)
from domain.events import TaskProfileDeleted, TaskProfileUpdated
from domain.profile import (
    DEFAULT_PROFILE,
    ExecutionProfile,
    ReviewProfile,
    SandboxPolicy,
    WorkerProfile,
)
from domain.task.state import TaskState
from domain.values import PAYLOAD_BYTES
from domain.world import Plan, Policy

_PATH = "task_execution_profile"
_GUIDANCE_BYTES = 8_192
_SECTIONS = ("coordinator", "worker", "review", "participants", "sandbox", "runtime")
_encode = msgspec.json.Encoder().encode

Section = TypeVar("Section", bound=Struct)


def set_profile(command: SetProfile, plan: Plan) -> Reply:
    """Replace the whole profile; what is left out is as in the default one.

    Raises InvalidTransitionError while a run is active, whatever was sent.
    """
    sent_id = fields.identifier(command.sent_task_id, f"{_PATH}.task_id")
    if sent_id and sent_id != command.task_id:
        message = f'{_PATH}.task_id must match task id "{command.task_id}": "{sent_id}"'
        raise ValidationError(message)
    state = plan.require_task(command.task_id)
    _check_unlocked(state)
    profile = _checked(command)
    _check_policy(profile, plan.policy)
    before = state.task.profile
    created_at = before.created_at if before else plan.now
    plan.emit_task(
        state.id,
        TaskProfileUpdated(
            task_id=state.id,
            coordinator_mode=profile.coordinator.mode,
            worker_mode=profile.worker.mode,
            sandbox_mode=profile.sandbox.mode,
            profile=replace(profile, created_at=created_at, updated_at=plan.now),
        ),
    )
    return Reply(task_id=state.id)


def delete_profile(command: DeleteProfile, plan: Plan) -> Reply:
    """Go back to the default; raises ProfileNotFoundError when that is in force already."""
    state = plan.require_task(command.task_id)
    _check_unlocked(state)
    if state.task.profile is None:
        raise ProfileNotFoundError(f'task "{state.id}"')
    plan.emit_task(state.id, TaskProfileDeleted(task_id=state.id))
    return Reply(task_id=state.id)


def _check_unlocked(state: TaskState) -> None:
    run_id = state.task.current_run_id
    if run_id:
        message = (
            f'task "{state.id}" execution profile cannot change while run "{run_id}" is active'
        )
        raise InvalidTransitionError(message)


def _checked(command: SetProfile) -> ExecutionProfile:
    """Return the profile in its normal form; raises ValidationError or PayloadTooLargeError."""
    sections = {
        name: _section(getattr(DEFAULT_PROFILE, name), getattr(command, name), f"{_PATH}.{name}")
        for name in _SECTIONS
    }
    profile = ExecutionProfile(**sections)
    _check_agent(profile.worker, f"{_PATH}.worker")
    _check_agent(profile.review, f"{_PATH}.review")
    _check_sandbox(profile.sandbox)
    if len(_encode(profile)) > PAYLOAD_BYTES:
        message = f"{_PATH} exceeds {PAYLOAD_BYTES} bytes"
        raise PayloadTooLargeError(message)
    return profile


def _check_policy(profile: ExecutionProfile, policy: Policy) -> None:
    """Refuse what the operator of the server has switched off."""
    for name in ("coordinator", "worker", "review"):
        section = getattr(profile, name)
        if (section.provider or section.model) and not policy.allow_provider_override:
            message = f"{_PATH}.{name} provider/model override is disabled by config"
            raise ValidationError(message)
    mode = profile.sandbox.mode
    allowed = {"none": policy.allow_sandbox_none, "ref": policy.allow_sandbox_ref}
    if not allowed.get(mode, True):
        message = f"{_PATH}.sandbox.mode {mode} is disabled by config"
        raise ValidationError(message)


def _section(default: Section, sent: ProfileSection | None, path: str) -> Section:
    if sent is None:
        return default
    values = {
        field.name: _member(field, getattr(sent, field.name), f"{path}.{field.name}", default)
        for field in fields_of(type(default))
    }
    return type(default)(**values)


def _member(field: Any, sent: Any, path: str, default: Struct) -> Any:
    if field.name == "mode":
        return fields.choice(sent, path, field.type, default.mode)  # type: ignore[attr-defined]
    if field.name == "guidance":
        return fields.limited(sent, path, _GUIDANCE_BYTES)
    if isinstance(sent, str):
        return fields.selector(sent, path)
    kept = tuple(sorted({value.strip() for value in sent} - {""}))
    if field.name.endswith("_capabilities"):
        return fields.capabilities(kept, path)
    return fields.selectors(kept, path)


def _check_agent(section: WorkerProfile | ReviewProfile, path: str) -> None:
    name, allowed = section.agent_name, section.allowed_agent_names
    if name and allowed and name not in allowed:
        message = f'{path}.agent_name "{name}" is outside allowed_agent_names'
        raise ValidationError(message)


def _check_sandbox(sandbox: SandboxPolicy) -> None:
    path = f"{_PATH}.sandbox.sandbox_ref"
    if sandbox.mode == "ref" and not sandbox.sandbox_ref:
        message = f"{path} is required for ref"
        raise ValidationError(message)
    if sandbox.mode != "ref" and sandbox.sandbox_ref:
        message = f'{path} must be empty for {sandbox.mode}: "{sandbox.sandbox_ref}"'
        raise ValidationError(message)
