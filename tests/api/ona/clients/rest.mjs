// Every call of the generated REST client for Node.js, whose package comes as it is.
//
// Prints what it saw as JSON. A worker has to do the steps of the environment meanwhile.

import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES}/`);
const { Gitpod } = require("@gitpod/sdk");
const environmentId = process.env.ENVIRONMENT;
const client = new Gitpod();
const tasks = client.environments.automations.tasks;
const final = ["SUCCEEDED", "FAILED", "STOPPED"].map((phase) => `TASK_EXECUTION_PHASE_${phase}`);
const seen = {};

async function all(pages) {
  const found = [];
  for await (const each of pages) found.push(each);
  return found;
}

async function codeOf(call) {
  try {
    await call;
  } catch (error) {
    return error.code;
  }
  return "no error";
}

const first = (
  await tasks.create({
    environmentId,
    metadata: { reference: "first", name: "First", triggeredBy: [{ manual: true }] },
    spec: {
      command: "true",
      env: [{ name: "A", value: "1" }],
      runsOn: { docker: { image: "alpine", environment: ["B=2"] } },
    },
  })
).task;
const second = (
  await tasks.create({
    environmentId,
    metadata: { reference: "second", name: "Second" },
    spec: { command: "true" },
    dependsOn: [first.id],
  })
).task;
const filter = { environmentIds: [environmentId] };
const references = (found) => found.map((task) => task.metadata.reference);
seen["listed"] = references(await all(tasks.list({ filter, pagination: { pageSize: 1 } })));
seen["listed by query"] = references(await all(tasks.list({ filter, pageSize: 1 })));
await tasks.update({
  id: first.id,
  metadata: { description: "new", triggeredBy: { trigger: [] } },
  spec: { command: "false" },
});
const found = (await tasks.retrieve({ id: first.id })).task;
const { description, triggeredBy = null } = found.metadata;
seen["updated"] = [description, triggeredBy, found.spec.command];
seen["variable"] = [found.spec.env[0].name, found.spec.env[0].value];
seen["image"] = found.spec.runsOn.docker.image;
const begun = (await tasks.start({ id: second.id })).taskExecution;
seen["plan"] = begun.spec.plan.map((group) => group.steps.map((step) => step.label));
const deadline = Date.now() + 60_000;
let execution;
do {
  await new Promise((resolve) => setTimeout(resolve, 50));
  execution = (await tasks.executions.retrieve({ id: begun.id })).taskExecution;
} while (!final.includes(execution.status.phase) && Date.now() < deadline);
seen["phase"] = execution.status.phase;
seen["outputs"] = execution.status.steps.map((step) => step.output);
const other = (await tasks.start({ id: first.id })).taskExecution;
await tasks.executions.stop({ id: other.id });
const stopped = (await tasks.executions.retrieve({ id: other.id })).taskExecution;
seen["desired"] = stopped.spec.desiredPhase;
const of = { taskIds: [first.id, second.id] };
const executions = await all(tasks.executions.list({ filter: of, pageSize: 1 }));
const ids = executions.map((each) => each.id);
seen["executions"] = ids.length === 2 && ids[0] === begun.id && ids[1] === other.id;
const again = { reference: "first", name: "First" };
seen["errors"] = [
  await codeOf(tasks.create({ environmentId, metadata: again })),
  await codeOf(tasks.retrieve({ id: other.id })),
  await codeOf(tasks.retrieve({ id: "x" })),
  await codeOf(tasks.delete({ id: first.id })),
];
for (const task of [second, first]) await tasks.delete({ id: task.id });
seen["left"] = await all(tasks.list({ filter }));
console.log(JSON.stringify(seen));
