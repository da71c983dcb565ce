// Every call about tasks of the API client in @posthog/agent, whose module comes as it is.
//
// Prints what it saw as JSON.

import { pathToFileURL } from "node:url";

const { API, KEY, PROJECT, TASK, RUN, OTHER, MODULES } = process.env;
const module = pathToFileURL(`${MODULES}/node_modules/@posthog/agent/dist/posthog-api.js`);
const { PostHogAPIClient } = await import(module);

let keys = 0;
const client = new PostHogAPIClient({
  apiUrl: API,
  projectId: PROJECT === "@current" ? PROJECT : Number(PROJECT),
  // The first key is an old one: the client asks for a fresh one after a 401.
  getApiKey: async () => (keys++ && KEY ? KEY : process.env.OLD_KEY || "any"),
  refreshApiKey: async () => KEY || "any",
});

async function refusal(call) {
  try {
    await call;
  } catch (error) {
    return { status: error.status, retryable: error.retryable, message: error.message };
  }
  return null;
}

const seen = {};
seen.task = await client.getTask(TASK);
seen.run = await client.getTaskRun(TASK, RUN);
seen.noLogs = await client.fetchTaskRunLogs(seen.run);
seen.updated = await client.updateTaskRun(TASK, RUN, {
  status: "in_progress",
  branch: "main",
  state: { a: 1, b: 2 },
});
seen.removed = await client.updateTaskRun(TASK, RUN, { state_remove_keys: ["b"], stage: "build" });
const entry = (n) => ({
  type: "notification",
  timestamp: new Date(0).toISOString(),
  notification: { jsonrpc: "2.0", method: "_posthog/console", params: { n, text: "ä\n" } },
});
seen.appended = await client.appendTaskRunLog(TASK, RUN, [entry(1), entry(2)]);
await client.appendTaskRunLog(TASK, RUN, [entry(3)]);
seen.logs = await client.fetchTaskRunLogs(seen.run);
seen.otherLogs = await client.fetchTaskRunLogs({ task: TASK, id: OTHER });
seen.relayed = (await client.relayMessage(TASK, RUN, "hello", ["hello"], "m1", "t1")) ?? null;
await client.uploadTaskArtifacts(TASK, RUN, [
  { name: "first.txt", type: "context", content: "first" },
]);
seen.artifacts = await client.uploadTaskArtifacts(TASK, RUN, [
  { name: "plan.md", type: "plan", content: " # Plan\n", content_type: "text/markdown" },
  {
    name: "tree.bin",
    type: "tree_snapshot",
    source: "agent_output",
    content: Buffer.from([0, 255, 10]).toString("base64"),
    content_encoding: "base64",
  },
]);
const bytes = new Uint8Array(300_000).map((_, at) => at % 251);
seen.prepared = await client.prepareTaskArtifactUploads(TASK, RUN, [
  { name: "big.bin", type: "artifact", size: bytes.length, content_type: "application/zip" },
]);
const [prepared] = seen.prepared;
const form = new FormData();
for (const [name, value] of Object.entries(prepared.presigned_post.fields)) form.append(name, value);
form.append("file", new Blob([bytes]), prepared.name);
const sent = await fetch(prepared.presigned_post.url, { method: "POST", body: form });
seen.sent = sent.status;
const { id, name, type, storage_path, content_type } = prepared;
seen.finalized = await client.finalizeTaskArtifactUploads(TASK, RUN, [
  { id, name, type, storage_path, content_type },
]);
const downloaded = await client.downloadArtifact(TASK, RUN, storage_path);
seen.same = Buffer.compare(Buffer.from(downloaded), Buffer.from(bytes)) === 0;
const plan = await client.downloadArtifact(TASK, RUN, seen.artifacts[0].storage_path);
seen.plan = Buffer.from(plan).toString();
seen.nothing = await client.downloadArtifact(TASK, RUN, "none");
seen.output = await client.setTaskRunOutput(TASK, RUN, { output: { pr_url: "https://x/1" } });
seen.completed = await client.updateTaskRun(TASK, RUN, { status: "completed" });
seen.final = await refusal(client.updateTaskRun(TASK, RUN, { status: "failed" }));
seen.unknown = await refusal(client.getTaskRun(TASK, TASK));
seen.bad = await refusal(client.appendTaskRunLog(TASK, RUN, []));
seen.log = await (await fetch(seen.run.log_url)).text();
console.log(JSON.stringify(seen));
