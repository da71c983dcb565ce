// @ts-check
/** All tasks, the latest activity first. */

import { button } from "./actions.js";
import { get } from "./client.js";
import { h } from "./dom.js";
import { chip, number, time, who } from "./format.js";
import {
  MOST_CHOICES,
  choice,
  entry,
  standing,
  table,
  taskLink,
  workspaceChoice,
} from "./parts.js";
import { changed, go, link } from "./route.js";

const PAGE = 50;
const STATUSES = [
  "draft",
  "pending",
  "blocked",
  "ready",
  "in_progress",
  "completed",
  "failed",
  "canceled",
];
const PRIORITIES = ["urgent", "high", "medium", "low"];

/** @param {import("./main.js").Context} context */
export async function load({ asOf, params }) {
  const limit = Number(params.get("limit")) || PAGE;
  const workspace = params.get("workspace") ?? "";
  const [{ tasks }, { workspaces }] = await Promise.all([
    get("/api/tasks", {
      as_of: asOf,
      limit: limit + 1,
      status: params.get("status"),
      priority: params.get("priority"),
      query: params.get("query"),
      workspace,
      scope: workspace && "workspace",
      include_drafts: true,
    }),
    get("/api/workspaces"),
  ]);
  return { tasks, limit, workspaces: workspaces.map((/** @type {any} */ each) => each.id) };
}

/**
 * @param {Awaited<ReturnType<typeof load>>} data
 * @param {import("./main.js").Context} context
 */
export function render({ tasks, limit, workspaces }, { params }) {
  const value = (/** @type {string} */ name) => params.get(name) ?? "";
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, "Tasks"),
    h(
      "div",
      { class: "tools", role: "search" },
      entry("Search", "query", value("query")),
      choice("Status", "status", value("status"), STATUSES),
      choice("Priority", "priority", value("priority"), PRIORITIES),
      workspaceChoice(value("workspace"), workspaces),
      button(creation(workspaces)),
    ),
    table("Tasks", COLUMNS, tasks.slice(0, limit), {
      empty: "No task is like that.",
      key: (task) => task.id,
    }),
    tasks.length > limit &&
      h(
        "p",
        {},
        h(
          "a",
          { href: changed({ limit: limit * 2 }) },
          `More than ${number(limit)}: show twice as many`,
        ),
      ),
  );
}

/** @type {Record<string, (task: any) => import("./dom.js").Child | import("./dom.js").Child[]>} */
const COLUMNS = {
  Status: standing,
  Task: (task) => [taskLink(task), task.identifier && h("small", {}, ` ${task.identifier}`)],
  Priority: (task) => task.priority,
  Run: (task) =>
    task.active_run ? [chip(task.active_run.status), ` ${task.active_run.session_id ?? ""}`] : "–",
  Owner: (task) => who(task.owner),
  Workspace: (task) => task.workspace_id || "–",
  "Last activity": (task) => time(task.last_activity_at),
};

/**
 * @param {string[]} workspaces
 * @returns {{kind?: string[]}}
 */
const among = (workspaces) =>
  workspaces.length > MOST_CHOICES ? {} : { kind: ["", ...workspaces] };

/**
 * @param {string[]} workspaces
 * @returns {import("./actions.js").Command}
 */
function creation(workspaces) {
  return {
    label: "New task",
    path: "/api/tasks",
    explain: "Make a task. It waits until a run is started or enqueued.",
    fields: [
      { name: "title", label: "Title", required: true },
      { name: "description", label: "Description", kind: "area" },
      { name: "priority", label: "Priority", kind: PRIORITIES, value: "medium" },
      ...(workspaces.length
        ? [{ name: "workspace", label: "Workspace", ...among(workspaces) }]
        : []),
      { name: "command", label: "Command, for a worker that runs what tasks name" },
    ],
    body: ({ command, ...given }) => ({
      scope: given.workspace ? "workspace" : "global",
      ...given,
      ...(command ? { metadata: { command } } : {}),
    }),
    done: ({ task }) => go(link("task", task.id)),
  };
}
