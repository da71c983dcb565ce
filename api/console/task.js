// @ts-check
/** One task: how it stands, what can be done, its runs, and every event that made it so. */

import { button } from "./actions.js";
import { AT_THE_END, RequestError, get } from "./client.js";
import { runCommands, taskCommands } from "./commands.js";
import { h } from "./dom.js";
import { eventTable } from "./events.js";
import { chip, duration, json, number, time, who, words } from "./format.js";
import { card, facts, standing, table, taskLink } from "./parts.js";
import { changed, link } from "./route.js";
import { why } from "./why.js";

const PAGE = 200;
const MOST_REVIEWS = 50;
const MOST_LISTED = 100;
const OVER = ["completed", "failed", "canceled"];

/** @param {import("./main.js").Context} context */
export async function load({ id, asOf, at, params }) {
  const path = `/api/tasks/${encodeURIComponent(id)}`;
  const before = params.get("before") ?? AT_THE_END;
  const [{ task }, { tree }, inspected, reviewed, { timeline }] = await Promise.all([
    get(path, { as_of: asOf }),
    get(`${path}/tree`, { as_of: asOf }),
    asOf ? null : get(`${path}/inspect`),
    asOf ? null : get(`${path}/reviews`, { limit: MOST_REVIEWS }),
    get(`${path}/timeline`, { as_of: asOf, before_sequence: before, limit: PAGE }),
  ]);
  const next = at && (await nextAfter(path, at.sequence));
  return { task, tree, timeline, next, inspect: inspected?.inspect, reviews: reviewed?.reviews };
}

/**
 * Return the sequence of the event after one, undefined when there is none, or no task any more.
 * @param {string} path
 * @param {number} sequence
 * @returns {Promise<number | undefined>}
 */
async function nextAfter(path, sequence) {
  try {
    const { timeline } = await get(`${path}/timeline`, { after_sequence: sequence, limit: 1 });
    return timeline[0]?.sequence;
  } catch (error) {
    if (error instanceof RequestError && error.status === 404) return undefined;
    throw error;
  }
}

/**
 * Return the ids of the tasks that are shown.
 * @param {Awaited<ReturnType<typeof load>>} data
 */
export function hangsOn({ task, tree }) {
  const awaited = (task.dependency_references ?? []).map(
    (/** @type {any} */ each) => each.depends_on,
  );
  const below = (tree.descendants ?? []).map((/** @type {any} */ each) => each.task);
  const shown = [awaited, below].map((tasks) => tasks.slice(0, MOST_LISTED));
  return [task.task, ...shown.flat()].map(({ id }) => JSON.stringify(id));
}

/**
 * @param {Awaited<ReturnType<typeof load>>} data
 * @param {import("./main.js").Context} context
 */
export function render(data, { asOf, at, params }) {
  const { task: detail, tree, timeline, next, inspect, reviews } = data;
  const { task, summary, runs = [] } = detail;
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, task.title || task.id),
    h("p", {}, standing(task), " ", h("code", {}, task.id)),
    h("div", { class: "tools" }, taskCommands(task, summary).map(about(task))),
    h(
      "div",
      { class: "cards" },
      card(
        "Task",
        facts(membersOf(task)),
        task.description && h("p", { class: "text" }, task.description),
        "metadata" in task && unfolded("Metadata", task.metadata),
      ),
      inspect &&
        card(
          "What next",
          h("p", {}, words(inspect.next_action)),
          (inspect.diagnostics ?? []).map(diagnostic),
        ),
      (detail.dependency_references ?? []).length > 0 &&
        card(
          "Waits for",
          list(detail.dependency_references.map((/** @type {any} */ each) => each.depends_on)),
        ),
      (tree.descendants ?? []).length > 0 && card("Below it", list(tree.descendants)),
    ),
    h("h2", {}, "Runs"),
    runTable(task, runs, at && Date.parse(at.time ?? timeline.at(-1)?.timestamp)),
    asOf && h("p", { class: "note" }, "What next and reviews are told of now alone."),
    reviews?.length > 0 && h("h2", {}, "Reviews"),
    reviews?.length > 0 &&
      table("Reviews", REVIEWS, reviews, { empty: "", key: (review) => review.review_id }),
    h("h2", {}, "Events"),
    steps(timeline, next, at, params),
    eventTable(timeline, {
      empty: "There are no events here.",
      asOf: asOf && String(at?.sequence),
      ofTask: true,
    }),
  );
}

/** @param {any} task */
function membersOf(task) {
  return {
    priority: task.priority,
    owner: who(task.owner),
    workspace: task.workspace_id,
    "made by": who(task.created_by),
    made: time(task.created_at),
    closed: time(task.closed_at),
    "paused by": task.paused ? who({ kind: "", ref: task.paused_by }).slice(1) : "",
    "paused because": task.paused_reason,
    parent:
      task.parent_task_id &&
      h("a", { href: link("task", task.parent_task_id) }, task.parent_task_id),
    "attempts allowed": task.max_attempts,
    approval: task.approval_state === "not_required" ? "" : task.approval_state,
  };
}

/** @param {any} found */
function diagnostic(found) {
  return h("p", { class: "note" }, h("strong", {}, found.title), `: ${found.message}`);
}

/**
 * @param {string} heading
 * @param {unknown} value
 */
const unfolded = (heading, value) => h("details", {}, h("summary", {}, heading), json(value));

/** @param {any[]} tasks */
function list(tasks) {
  const item = (/** @type {any} */ each) => {
    const task = each.task ?? each;
    return h(
      "li",
      { style: { "--depth": String(each.depth ?? 0) } },
      chip(task.status),
      " ",
      taskLink(task),
    );
  };
  const more = tasks.length - MOST_LISTED;
  return h(
    "ul",
    { class: "tree" },
    tasks.slice(0, MOST_LISTED).map(item),
    more > 0 && h("li", {}, `and ${number(more)} more`),
  );
}

/**
 * Return what makes a button of a command that is about a task.
 * @param {any} task
 * @returns {(command: import("./actions.js").Command) => HTMLElement}
 */
const about = (task) => (command) => button({ about: task.title || task.id, ...command });

/**
 * @param {any} task
 * @param {any[]} runs
 * @param {number | undefined} then undefined for now
 */
function runTable(task, runs, then) {
  const past = then !== undefined;
  const now = then ?? Date.now();
  const begin = Math.min(...runs.map((run) => Date.parse(run.queued_at)));
  const end = Math.max(...runs.map((run) => Date.parse(run.ended_at ?? "") || now));
  return table(
    "Runs",
    {
      Status: (run) => chip(run.status),
      Attempt: (run) => run.attempt,
      Holder: (run) => run.session_id || who(run.claimed_by),
      Queued: (run) => time(run.queued_at),
      "Waited, worked": (run) => span(run, begin, end),
      "Lease until": (run) => (OVER.includes(run.status) ? "–" : time(run.lease_until)),
      Outcome: (run) => (run.status === "queued" && !past ? why(run) : outcome(run)),
      Commands: (run) => h("span", { class: "tools" }, runCommands(run).map(about(task))),
    },
    runs,
    { empty: "It has not been run.", key: (run) => run.id },
  );
}

/** @type {Record<string, (review: any) => import("./dom.js").Child | import("./dom.js").Child[]>} */
const REVIEWS = {
  Round: (review) => review.review_round,
  Status: (review) => chip(review.status),
  Outcome: (review) => (review.outcome ? words(review.outcome) : "–"),
  Attempt: (review) => review.attempt,
  Reviewer: (review) => review.reviewer_session_id || who(review.reviewed_by),
  Asked: (review) => time(review.requested_at),
  Reviewed: (review) => time(review.reviewed_at),
  Reason: (review) => [review.reason, ...review.missing_work].filter(Boolean).join("; ") || "–",
};

/**
 * Return how long a run waited and worked, in words and as a bar on the scale of all runs.
 * @param {any} run
 * @param {number} begin
 * @param {number} end
 */
function span(run, begin, end) {
  const queued = Date.parse(run.queued_at);
  const claimed = Date.parse(run.claimed_at ?? run.ended_at ?? "") || end;
  const ended = Date.parse(run.ended_at ?? "") || end;
  const share = (/** @type {number} */ length) => String(length / Math.max(end - begin, 1));
  const bar = h(
    "div",
    { class: "bar thin", "aria-hidden": "true" },
    h("span", { "data-status": "none", style: { "--share": share(queued - begin) } }),
    h("span", { "data-status": "queued", style: { "--share": share(claimed - queued) } }),
    h("span", { "data-status": run.status, style: { "--share": share(ended - claimed) } }),
    h("span", { "data-status": "none", style: { "--share": share(end - ended) } }),
  );
  return h(
    "div",
    {},
    duration(claimed - queued),
    run.claimed_at && `, ${duration(ended - claimed)}`,
    bar,
  );
}

/** @param {any} run */
function outcome(run) {
  if (run.error) return unfolded(run.failure_kind || "error", run.error);
  return run.result === undefined ? "–" : unfolded("result", run.result);
}

/**
 * Return links to the moments before and after the one that is looked at, and to other events.
 * @param {any[]} timeline
 * @param {number | undefined} next
 * @param {import("./moment.js").Moment | undefined} at
 * @param {URLSearchParams} params
 */
function steps(timeline, next, at, params) {
  const sequences = timeline.map((item) => Number(item.sequence));
  const current = !at || at.sequence === sequences.at(-1);
  const back = params.has("before") ? undefined : sequences.at(current ? -2 : -1);
  const to = (/** @type {number} */ moment) => changed({ as_of: moment, before: undefined });
  return h(
    "p",
    { class: "pages" },
    back && h("a", { href: to(back) }, "One event back"),
    next && h("a", { href: to(next) }, "One event on"),
    timeline.length === PAGE &&
      h("a", { href: changed({ before: sequences[0] }) }, "Earlier events"),
    params.has("before") && h("a", { href: changed({ before: undefined }) }, "The latest events"),
  );
}
