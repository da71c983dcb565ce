"""Every call of the Connect client of gitpod-sdk, whose package comes as it is.

In each form that is asked for: the package's own way in, which sends binary messages, the same with
compressed bodies, JSON, and GET for what only reads. Prints what it saw in each as JSON. A worker
has to do the steps of the environment meanwhile.
"""

# It runs in an environment of its own, so its types are not known here.
# mypy: ignore-errors

import json
import os
import sys
import time

from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.errors import ConnectError
from gitpod.v1 import environment_automation_pb2 as pb
from gitpod.v1.environment_automation_connect import EnvironmentAutomationServiceClientSync
from ona_sdk import OnaClient

ENVIRONMENT = os.environ["ENVIRONMENT"]
TOKEN = os.environ["GITPOD_API_KEY"]
URL = os.environ["GITPOD_BASE_URL"]
FINAL = {pb.TASK_EXECUTION_PHASE_SUCCEEDED, pb.TASK_EXECUTION_PHASE_FAILED}


class Bearer:
    def on_start_sync(self, ctx):
        ctx.request_headers["authorization"] = f"Bearer {TOKEN}"

    def on_end_sync(self, token, ctx, error):
        pass


def service_of(form):
    if form == "sdk":
        return OnaClient(TOKEN, URL).services.environment_automation
    codecs = {"binary": google_protobuf_binary_codec, "json": google_protobuf_json_codec}
    codec = codecs[form.removeprefix("get-")]()
    return EnvironmentAutomationServiceClientSync(URL, codec=codec, interceptors=[Bearer()])


def code_of(call):
    try:
        call()
    except ConnectError as error:
        return error.code.value
    return "no error"


class Form:
    """One form of calls, through all methods."""

    def __init__(self, name):
        self.service = service_of(name)
        self.get = {"use_get": True} if name.startswith("get-") else {}

    def drive(self):
        first = self.create(
            "first",
            command="true",
            runs_on=pb.RunsOn(docker=pb.RunsOn.Docker(image="alpine", environment=["B=2"])),
        )
        second = self.create("second", first.id, command="true")
        return {
            "listed": self.listed(),
            **self.updated(first),
            **self.executed(second),
            **self.stopped(first, second),
        }

    def create(self, reference, *depends_on, **spec):
        metadata = pb.TaskMetadata(reference=reference, name=reference.title())
        metadata.triggered_by.add(manual=True)
        request = pb.CreateTaskRequest(
            environment_id=ENVIRONMENT,
            metadata=metadata,
            spec=pb.TaskSpec(**spec),
            depends_on=depends_on,
        )
        return self.service.create_task(request).task

    def listed(self):
        references, token = [], ""
        while True:
            request = pb.ListTasksRequest()
            request.pagination.page_size = 1
            request.pagination.token = token
            request.filter.environment_ids.append(ENVIRONMENT)
            page = self.service.list_tasks(request, **self.get)
            references += [task.metadata.reference for task in page.tasks]
            token = page.pagination.next_token
            if not token:
                return references

    def updated(self, first):
        change = pb.UpdateTaskRequest(id=first.id)
        change.metadata.description = "new"
        change.metadata.triggered_by.SetInParent()
        change.spec.command = "false"
        change.spec.env.add(name="A", value="1")
        self.service.update_task(change)
        found = self.service.get_task(pb.GetTaskRequest(id=first.id), **self.get).task
        return {
            "updated": [
                found.metadata.description,
                len(found.metadata.triggered_by),
                found.spec.command,
            ],
            "variable": [found.spec.env[0].name, found.spec.env[0].value],
            "image": found.spec.runs_on.docker.image,
            "created": found.metadata.created_at.ToSeconds() > 1_700_000_000,
        }

    def executed(self, second):
        begun = self.service.start_task(pb.StartTaskRequest(id=second.id)).task_execution
        version, grows = begun.status.status_version, True
        deadline = time.monotonic() + 60
        while True:
            asked = pb.GetTaskExecutionRequest(id=begun.id)
            execution = self.service.get_task_execution(asked, **self.get).task_execution
            grows = grows and execution.status.status_version >= version
            version = execution.status.status_version
            if execution.status.phase in FINAL or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return {
            "plan": [[step.label for step in group.steps] for group in begun.spec.plan],
            "grows": grows,
            "phase": pb.TaskExecutionPhase.Name(execution.status.phase),
            "outputs": [dict(step.output) for step in execution.status.steps],
        }

    def stopped(self, first, second):
        service, get = self.service, self.get
        other = service.start_task(pb.StartTaskRequest(id=first.id)).task_execution
        service.stop_task_execution(pb.StopTaskExecutionRequest(id=other.id))
        listing = pb.ListTaskExecutionsRequest()
        listing.filter.task_ids.extend([first.id, second.id])
        listing.filter.phases.append(pb.TASK_EXECUTION_PHASE_STOPPED)
        stopped = service.list_task_executions(listing, **get).task_executions
        errors = [
            code_of(lambda: self.create("first")),
            code_of(lambda: service.get_task(pb.GetTaskRequest(id=other.id), **get)),
            code_of(lambda: service.get_task(pb.GetTaskRequest(id="x"), **get)),
            code_of(lambda: service.delete_task(pb.DeleteTaskRequest(id=first.id))),
            code_of(lambda: service.get_service(pb.GetServiceRequest(id=first.id))),
        ]
        for task in (second, first):
            service.delete_task(pb.DeleteTaskRequest(id=task.id))
        listing = pb.ListTasksRequest()
        listing.filter.environment_ids.append(ENVIRONMENT)
        return {
            "stopped": [each.id == other.id for each in stopped],
            "desired": pb.TaskExecutionPhase.Name(stopped[0].spec.desired_phase),
            "errors": errors,
            "left": len(service.list_tasks(listing, **get).tasks),
        }


print(json.dumps({name: Form(name).drive() for name in sys.argv[1:]}))
