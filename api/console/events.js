// @ts-check
/** Events of the ledger as rows, each with what it carries and what it changed. */

import { get } from "./client.js";
import { h } from "./dom.js";
import { json, time, who } from "./format.js";
import { link } from "./route.js";

const TOLD = [
  "status",
  "reason",
  "error",
  "title",
  "text",
  "name",
  "summary",
  "workspace_id",
  "projection",
];

/**
 * Return a table of events; a sequence leads to the moment right after that event.
 * @param {any[]} items
 * @param {{empty: string, asOf?: string | undefined, ofTask?: boolean}} options `asOf` is the sequence
 *   that is looked at; events `ofTask` do not name their task
 */
export function eventTable(items, { empty, asOf = "", ofTask = false }) {
  if (!items.length) return h("p", { class: "empty" }, empty);
  const names = ["Sequence", "Time", "Event", ...(ofTask ? [] : ["Task"]), "By", "What"];
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Events" },
    h(
      "table",
      { class: "events" },
      h("caption", { class: "hidden" }, "Events"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          names.map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h(
        "tbody",
        {},
        items.map((item) => row(item, asOf, ofTask)),
      ),
    ),
  );
}

/**
 * @param {any} item
 * @param {string} asOf
 * @param {boolean} ofTask
 */
function row(item, asOf, ofTask) {
  const moment = link(item.task ? "task" : "overview", item.task?.id, { as_of: item.sequence });
  return h(
    "tr",
    {
      "data-key": `${item.sequence} ${asOf}`,
      "data-final": true,
      "aria-current": String(item.sequence) === asOf && "true",
    },
    h(
      "td",
      { "data-label": "Sequence" },
      h("a", { href: moment, title: "see how it stood right after this" }, item.sequence),
    ),
    h("td", { "data-label": "Time" }, time(item.timestamp)),
    h("td", { "data-label": "Event" }, h("code", {}, item.event_type)),
    !ofTask &&
      h(
        "td",
        { "data-label": "Task" },
        item.task
          ? h("a", { href: link("task", item.task.id) }, item.task.title || item.task.id)
          : "–",
      ),
    h("td", { "data-label": "By" }, who(item.actor)),
    h("td", { "data-label": "What" }, opened(item)),
  );
}

/** @param {any} item */
function opened(item) {
  const details = h("details", {}, h("summary", {}, summary(item)), json(item));
  if (item.task) details.append(changeOf(item));
  return details;
}

/** @param {any} item */
function summary({ payload, run }) {
  const told = TOLD.map((name) => payload?.[name]).filter(
    (value) => typeof value === "string" && value,
  );
  return (
    [...told, run && `attempt ${run.attempt}`].filter(Boolean).join(", ").slice(0, 160) || "details"
  );
}

/** @param {any} item */
function changeOf({ sequence, task, event_type: type }) {
  const place = h("div", {});
  const stateAt = (/** @type {number} */ moment) => state(task.id, moment);
  const compare = async () => {
    const before = type === "task.created" ? {} : await stateAt(sequence - 1);
    const after = type === "task.deleted" ? {} : await stateAt(sequence);
    const rows = differences(before, after);
    place.replaceChildren(
      rows.length ? h("dl", { class: "changes" }, rows.map(difference)) : "nothing of the task",
    );
  };
  const onclick = () => compare().catch((error) => place.replaceChildren(String(error.message)));
  return h("div", {}, h("button", { type: "button", onclick }, "What it changed"), place);
}

/** @param {[string, unknown, unknown]} change */
function difference([path, before, after]) {
  const shown = (/** @type {unknown} */ value) =>
    value === undefined ? "nothing" : JSON.stringify(value);
  return h(
    "div",
    {},
    h("dt", {}, path),
    h("dd", {}, h("del", {}, shown(before)), " → ", h("ins", {}, shown(after))),
  );
}

/**
 * Return a task, its runs and what it waits for as they stood after a sequence.
 * @param {string} id
 * @param {number} moment
 */
async function state(id, moment) {
  const { task } = await get(`/api/tasks/${encodeURIComponent(id)}`, { as_of: moment });
  const runs = (task.runs ?? []).map((/** @type {any} */ run) => [run.id, run]);
  return { task: task.task, runs: Object.fromEntries(runs), dependencies: task.dependencies };
}

/**
 * Return path, value before and value after of whatever differs.
 * @param {unknown} before
 * @param {unknown} after
 * @param {string} [path]
 * @returns {[string, unknown, unknown][]}
 */
export function differences(before, after, path = "") {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (!isObject(before) || !isObject(after)) return [[path, before, after]];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names.flatMap((name) =>
    differences(own(before, name), own(after, name), path ? `${path}.${name}` : name),
  );
}

/**
 * @param {Record<string, unknown>} value
 * @param {string} name
 */
const own = (value, name) => (Object.hasOwn(value, name) ? value[name] : undefined);

/**
 * Whether a value has members of its own; a number that a double cannot hold is none of those.
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
  const raw = /** @type {any} */ (JSON).isRawJSON?.(value);
  return typeof value === "object" && value !== null && !Array.isArray(value) && !raw;
}
