// @ts-check
/** What waits for the reader. */

import { button } from "./actions.js";
import { get } from "./client.js";
import { runCommands } from "./commands.js";
import { h } from "./dom.js";
import { chip, number, time, words } from "./format.js";
import { choice, entry, standing, table, taskLink } from "./parts.js";

const LANES = ["my_work", "approvals", "failed_runs", "blocked", "archived"];

/** @param {import("./main.js").Context} context */
export async function load({ asOf, params }) {
  const { inbox } = await get("/api/observe/tasks/inbox", {
    as_of: asOf,
    lane: params.get("lane"),
    query: params.get("query"),
    unread: params.get("unread"),
    limit: 100,
  });
  return inbox;
}

/**
 * @param {any} inbox
 * @param {import("./main.js").Context} context
 */
export function render(inbox, { params }) {
  const attention = inbox.needs_attention;
  const groups = (inbox.groups ?? []).filter((/** @type {any} */ group) => group.items?.length);
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, "Inbox"),
    h(
      "p",
      {},
      `${number(inbox.total)} for you, ${number(inbox.unread_total)} unread, ${number(inbox.archived_total)} archived`,
    ),
    attention?.count > 0 &&
      h(
        "p",
        { class: "banner" },
        `${number(attention.count)} runs need attention: nobody takes them, or their leases keep running out.`,
      ),
    attention?.items?.length > 0 &&
      table("Need attention", ATTENTION, attention.items, {
        empty: "",
        key: (item) => item.task.id,
      }),
    h(
      "div",
      { class: "tools", role: "search" },
      entry("Search", "query", params.get("query") ?? ""),
      choice("Lane", "lane", params.get("lane") ?? "", LANES),
      choice("Unread", "unread", params.get("unread") ?? "", ["true", "false"]),
    ),
    groups.map(lane),
    groups.length === 0 && h("p", { class: "empty" }, "Nothing waits for you."),
  );
}

/** @param {any} group */
function lane({ lane: name, count, items }) {
  return h(
    "section",
    { "data-key": name },
    h("h2", {}, `${words(name)} (${number(count)})`),
    table(words(name), COLUMNS, items, { empty: "", key: (item) => item.task.id }),
  );
}

/** @type {Record<string, (item: any) => import("./dom.js").Child | import("./dom.js").Child[]>} */
const ATTENTION = {
  Task: (item) => taskLink(item.task),
  Run: (item) => (item.run ? chip(item.run.status) : "–"),
  Attempt: (item) => (item.run ? `${item.run.attempt} of ${item.run.max_attempts}` : "–"),
  "Last activity": (item) => time(item.latest_activity_at),
  Commands: (item) =>
    item.run &&
    h(
      "span",
      { class: "tools" },
      runCommands(item.run).map((command) => button({ about: item.task.title, ...command })),
    ),
};

/** @type {Record<string, (item: any) => import("./dom.js").Child | import("./dom.js").Child[]>} */
const COLUMNS = {
  Task: (item) => [
    !item.triage.read && h("strong", { class: "unread" }, "unread "),
    taskLink(item.task),
  ],
  Status: (item) => standing({ ...item.task, approval_state: item.approval_state }),
  Run: (item) => (item.run ? [chip(item.run.status), item.run.error && ` ${item.run.error}`] : "–"),
  Why: (item) => item.blocking_reason || "–",
  "Last activity": (item) => time(item.latest_activity_at),
  Commands: (item) =>
    h(
      "span",
      { class: "tools" },
      triage(item).map((command) => button({ about: item.task.title, ...command })),
    ),
};

/**
 * @param {any} item
 * @returns {import("./actions.js").Command[]}
 */
function triage({ task, triage: state }) {
  const path = `/api/tasks/${encodeURIComponent(task.id)}/triage`;
  return [
    ...(state.read
      ? []
      : [{ label: "Read", path: `${path}/read`, explain: "Mark it as read until it changes." }]),
    ...(state.archived
      ? []
      : [{ label: "Archive", path: `${path}/archive`, explain: "Put it away until it changes." }]),
    {
      label: "Dismiss",
      path: `${path}/dismiss`,
      explain: "Take it out of your inbox until it changes.",
    },
  ];
}
