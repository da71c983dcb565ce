"""Every call of the generated REST client of gitpod-sdk, whose package comes as it is.

Prints what it saw as JSON. A worker has to do the steps of the environment meanwhile.
"""

# It runs in an environment of its own, so its types are not known here.
# mypy: ignore-errors

import json
import os
import time

from gitpod import APIStatusError, ConflictError, Gitpod, NotFoundError

ENVIRONMENT = os.environ["ENVIRONMENT"]
FINAL = {f"TASK_EXECUTION_PHASE_{phase}" for phase in ("SUCCEEDED", "FAILED", "STOPPED")}


def code_of(call, kind):
    try:
        call()
    except kind as error:
        return error.code
    return "no error"


client = Gitpod(_strict_response_validation=True)
tasks = client.environments.automations.tasks
seen = {}
first = tasks.create(
    environment_id=ENVIRONMENT,
    metadata={"reference": "first", "name": "First", "triggered_by": [{"manual": True}]},
    spec={
        "command": "true",
        "env": [{"name": "A", "value": "1"}],
        "runs_on": {"docker": {"image": "alpine", "environment": ["B=2"]}},
    },
).task
second = tasks.create(
    environment_id=ENVIRONMENT,
    metadata={"reference": "second", "name": "Second"},
    spec={"command": "true"},
    depends_on=[first.id],
).task
of_here = {"environment_ids": [ENVIRONMENT]}
pages = tasks.list(filter=of_here, pagination={"page_size": 1})
seen["listed"] = [task.metadata.reference for task in pages]
pages = tasks.list(filter=of_here, page_size=1)
seen["listed by query"] = [task.metadata.reference for task in pages]
tasks.update(
    id=first.id,
    metadata={"description": "new", "triggered_by": {"trigger": []}},
    spec={"command": "false"},
)
found = tasks.retrieve(id=first.id).task
seen["updated"] = [found.metadata.description, found.metadata.triggered_by, found.spec.command]
seen["variable"] = [found.spec.env[0].name, found.spec.env[0].value]
seen["image"] = found.spec.runs_on.docker.image
begun = tasks.start(id=second.id).task_execution
seen["plan"] = [[step.label for step in group.steps] for group in begun.spec.plan]
deadline = time.monotonic() + 60
while True:
    execution = tasks.executions.retrieve(id=begun.id).task_execution
    if execution.status.phase in FINAL or time.monotonic() > deadline:
        break
    time.sleep(0.05)
seen["phase"] = execution.status.phase
seen["outputs"] = [step.output for step in execution.status.steps]
other = tasks.start(id=first.id).task_execution
tasks.executions.stop(id=other.id)
seen["desired"] = tasks.executions.retrieve(id=other.id).task_execution.spec.desired_phase
pages = tasks.executions.list(filter={"task_ids": [first.id, second.id]}, page_size=1)
seen["executions"] = [each.id for each in pages] == [begun.id, other.id]
again = {"reference": "first", "name": "First"}
seen["errors"] = [
    code_of(lambda: tasks.create(environment_id=ENVIRONMENT, metadata=again), ConflictError),
    code_of(lambda: tasks.retrieve(id=other.id), NotFoundError),
    code_of(lambda: tasks.retrieve(id="x"), APIStatusError),
    code_of(lambda: tasks.delete(id=first.id), APIStatusError),
]
for task in (second, first):
    tasks.delete(id=task.id)
seen["left"] = list(tasks.list(filter=of_here))
print(json.dumps(seen))
