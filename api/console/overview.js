// @ts-check
/** How it all stands. */

import { get } from "./client.js";
import { h } from "./dom.js";
import { chip, duration, number, time, words } from "./format.js";
import { card, facts, shares, table } from "./parts.js";
import { link } from "./route.js";

/** @param {import("./main.js").Context} context */
export async function load({ asOf }) {
  const [{ dashboard }, { scheduler }] = await Promise.all([
    get("/api/observe/tasks/dashboard", { as_of: asOf }),
    get("/api/scheduler", { as_of: asOf }),
  ]);
  return { dashboard, scheduler };
}

/** @param {Awaited<ReturnType<typeof load>>} data */
export function render({ dashboard, scheduler }) {
  const { totals, cards, queue, health } = dashboard;
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, "Overview"),
    scheduler.paused &&
      h(
        "p",
        { class: "banner" },
        `The scheduler is paused: ${scheduler.paused_reason || "no reason given"}. Nothing is handed out.`,
      ),
    h(
      "div",
      { class: "cards" },
      card(`${number(totals.tasks_total)} tasks`, shares(tasksByStatus(dashboard))),
      card(`${number(totals.runs_total)} runs`, shares(runsByStatus(totals))),
      card("Health", chip(health.status), facts(healthOf(dashboard))),
      card(`${number(queue.total)} queued`, chip(queue.backlog_status), facts(waitingOf(queue))),
      card("From queue to claim", facts(latencyOf(cards.latency.claim_latency_ms))),
      card("From claim to start", facts(latencyOf(cards.latency.start_latency_ms))),
    ),
    h("h2", {}, "Active runs"),
    table("Active runs", ACTIVE, dashboard.active_runs.items ?? [], {
      empty: "No run waits or works.",
      key: (run) => run.run_id,
    }),
  );
}

/** @type {Record<string, (run: any) => import("./dom.js").Child | import("./dom.js").Child[]>} */
const ACTIVE = {
  Run: (run) => [chip(run.run_status), run.stuck && h("span", { class: "note" }, " stuck")],
  Task: (run) => h("a", { href: link("task", run.task_id) }, run.task_title),
  Priority: (run) => run.task_priority,
  Attempt: (run) => `${run.attempt} of ${run.max_attempts}`,
  Holder: (run) => run.session_id || "–",
  "Last activity": (run) => time(run.last_activity_at),
  Age: (run) => duration(run.age_ms),
};

/** @param {any} dashboard */
function tasksByStatus(dashboard) {
  return (dashboard.status_breakdown ?? []).map((/** @type {any} */ { status, count }) => ({
    name: status,
    count,
    href: link("tasks", "", { status }),
  }));
}

const RUN_STATUSES = [
  "queued",
  "claimed",
  "starting",
  "running",
  "needs_attention",
  "completed",
  "failed",
  "canceled",
];

/** @param {Record<string, number>} totals */
function runsByStatus(totals) {
  return RUN_STATUSES.map((name) => ({ name, count: totals[`${name}_runs`] ?? 0 })).filter(
    ({ count }) => count,
  );
}

/** @param {any} dashboard */
function healthOf({ health, cards, totals }) {
  return {
    "stuck runs": number(health.stuck_runs),
    "runs whose session is gone": number(health.active_orphan_runs),
    "need attention": number(totals.needs_attention_runs),
    "failed tasks": number(cards.failed.tasks),
    "awaiting approval": number(totals.awaiting_approval_tasks),
    "blocked by others": number(totals.dependency_blocked_tasks),
  };
}

/** @param {any} queue */
function waitingOf(queue) {
  const channels = (queue.depth ?? []).filter((/** @type {any} */ each) => each.network_channel);
  return {
    "oldest since": time(queue.oldest_queued_at),
    "oldest age": queue.total ? duration(queue.oldest_queue_age_ms) : "",
    ...Object.fromEntries(
      channels.map((/** @type {any} */ each) => [words(each.network_channel), number(each.count)]),
    ),
  };
}

/** @param {{samples: number, average_ms: number, maximum_ms: number}} latency */
function latencyOf({ samples, average_ms: average, maximum_ms: most }) {
  if (!samples) return { runs: "none yet" };
  return { runs: number(samples), average: duration(average), longest: duration(most) };
}
