// @ts-check
/** Who waits for whom: queued runs, held runs, and the sessions that work. */

import { button } from "./actions.js";
import { get } from "./client.js";
import { h } from "./dom.js";
import { chip, number, time, who } from "./format.js";
import { RUN_COLUMNS, card, facts, table, taskLink } from "./parts.js";

const LIMIT = 100;
/** @type {import("./actions.js").Field} */
const REASON = { name: "reason", label: "Reason" };

/** @param {import("./main.js").Context} context */
export async function load({ asOf }) {
  const [{ scheduler }, { backlog }, sessions] = await Promise.all([
    get("/api/scheduler", { as_of: asOf }),
    get("/api/scheduler/backlog", { as_of: asOf, limit: LIMIT, include_paused: true }),
    asOf ? { sessions: undefined } : get("/api/sessions"),
  ]);
  return { scheduler, backlog, sessions: sessions.sessions };
}

/** @param {Awaited<ReturnType<typeof load>>} data */
export function render({ scheduler, backlog, sessions }) {
  const attention = backlog.needs_attention ?? [];
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, "Queue"),
    h("div", { class: "tools" }, commandsOf(scheduler).map(button)),
    h(
      "div",
      { class: "cards" },
      card(scheduler.paused ? "Paused" : "Handing out", facts(membersOf(scheduler))),
    ),
    attention.length > 0 &&
      h("h2", {}, `Need attention (${number(backlog.needs_attention_total)})`),
    attention.length > 0 &&
      table("Need attention", COLUMNS, attention, { empty: "", key: (entry) => entry.run.id }),
    h("h2", {}, `Waiting (${number(backlog.total)})`),
    table("Waiting", COLUMNS, backlog.runs, {
      empty: "Nothing waits.",
      key: (entry) => entry.run.id,
    }),
    sessions
      ? working(sessions.filter((/** @type {any} */ each) => each.state === "active"))
      : h("p", { class: "note" }, "Sessions are told of now alone."),
  );
}

/** @param {any[]} sessions */
function working(sessions) {
  return h(
    "section",
    {},
    h("h2", {}, `Sessions (${number(sessions.length)} active)`),
    table("Sessions", SESSIONS, sessions.slice(-LIMIT).reverse(), {
      empty: "No session is active.",
      key: (session) => session.session_id,
    }),
  );
}

/** @type {Record<string, (entry: any) => import("./dom.js").Child | import("./dom.js").Child[]>} */
const COLUMNS = {
  Task: (entry) => taskLink(entry.task),
  Priority: (entry) => entry.task.priority,
  ...Object.fromEntries(
    Object.entries(RUN_COLUMNS).map(([name, cell]) => [
      name,
      (/** @type {any} */ entry) => cell(entry.run),
    ]),
  ),
};

/** @type {Record<string, (session: any) => import("./dom.js").Child>} */
const SESSIONS = {
  Session: (session) => session.session_id,
  Agent: (session) => session.agent_name || "–",
  Workspace: (session) => session.workspace_id || "–",
  Capabilities: (session) => (session.capabilities ?? []).join(", ") || "–",
  State: (session) => chip(session.state),
  Since: (session) => time(session.created_at),
};

/** @param {any} scheduler */
function membersOf(scheduler) {
  return {
    queued: number(scheduler.queued_run_count),
    held: number(scheduler.active_claim_count),
    starved: number(scheduler.starved_run_count),
    "need attention": number(scheduler.needs_attention_run_count),
    "paused tasks": number(scheduler.paused_task_count),
    "paused since": time(scheduler.paused_at),
    "paused by": scheduler.paused_by || who(null),
    because: scheduler.paused_reason,
  };
}

/**
 * @param {any} scheduler
 * @returns {import("./actions.js").Command[]}
 */
function commandsOf({ paused }) {
  const drain = {
    label: "Drain",
    path: "/api/scheduler/drain",
    explain: "Hand out nothing more, and wait until what is held has ended.",
    fields: [REASON, { name: "timeout_seconds", label: "Seconds to wait", value: "30" }],
    body: (/** @type {Record<string, string>} */ given) => ({
      ...given,
      timeout_seconds: Number(given["timeout_seconds"] ?? 30),
    }),
  };
  if (paused) {
    return [
      {
        label: "Resume",
        path: "/api/scheduler/resume",
        explain: "Hand runs out again.",
        fields: [REASON],
      },
      drain,
    ];
  }
  return [
    {
      label: "Pause",
      path: "/api/scheduler/pause",
      explain: "Hand out no runs; what is held goes on.",
      fields: [REASON],
    },
    drain,
  ];
}
