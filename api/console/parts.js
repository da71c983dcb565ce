// @ts-check
/** What several views are made of. */

import { h } from "./dom.js";
import { chip, time, words } from "./format.js";
import { changed, go, link } from "./route.js";

/** @typedef {import("./dom.js").Child} Child */

/** What is more than this is not offered as a list. */
export const MOST_CHOICES = 200;

/**
 * Return a table, or a line that says that it would be empty.
 * @template T
 * @param {string} caption
 * @param {Record<string, (row: T) => Child | Child[]>} columns
 * @param {T[]} rows
 * @param {{empty: string, key: (row: T) => string | number}} options
 */
export function table(caption, columns, rows, { empty, key }) {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  const names = Object.keys(columns);
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", { class: "hidden" }, caption),
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
        rows.map((row) => h("tr", { "data-key": String(key(row)) }, cells(columns, row))),
      ),
    ),
  );
}

/**
 * @template T
 * @param {Record<string, (row: T) => Child | Child[]>} columns
 * @param {T} row
 */
function cells(columns, row) {
  return Object.entries(columns).map(([name, cell]) =>
    h("td", { "data-label": name }, ...[cell(row)].flat()),
  );
}

/**
 * Return a link to a task.
 * @param {{id: string, title: string}} task
 */
export const taskLink = (task) => h("a", { href: link("task", task.id) }, task.title || task.id);

/**
 * Return the chips that say how a task stands.
 * @param {any} task
 */
export function standing(task) {
  const paused = task.effective_paused ? " paused" : "";
  const approval = task.approval_state === "pending" ? " awaiting approval" : "";
  return h(
    "span",
    {},
    chip(task.status),
    paused && h("span", { class: "note" }, paused),
    approval && h("span", { class: "note" }, approval),
  );
}

/**
 * Return a list of names and values; those without a value are left out.
 * @param {Record<string, Child>} members
 */
export function facts(members) {
  const there = Object.entries(members).filter(
    ([, value]) => value !== "" && value !== null && value !== undefined && value !== "–",
  );
  return h(
    "dl",
    { class: "facts" },
    there.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/**
 * Return a card with a heading.
 * @param {string} heading
 * @param {...(Child | Child[])} children
 */
export const card = (heading, ...children) =>
  h("section", { class: "card" }, h("h2", {}, heading), ...children);

/**
 * Return a list to choose from that goes to the same view with one parameter changed.
 * @param {string} label
 * @param {string} name
 * @param {string} value
 * @param {string[]} choices
 */
export function choice(label, name, value, choices) {
  const all = choices.includes(value) || !value ? choices : [value, ...choices];
  const options = ["", ...all].map((each) =>
    h(
      "option",
      { value: each, "data-key": each, selected: each === value },
      each ? words(each) : "any",
    ),
  );
  const onchange = (/** @type {Event} */ event) =>
    go(changed({ [name]: /** @type {HTMLSelectElement} */ (event.target).value }));
  return h("label", {}, label, " ", h("select", { onchange }, options));
}

/**
 * Return what chooses a workspace: a list, a field where there are too many, nothing without any.
 * @param {string} value
 * @param {string[]} workspaces
 */
export function workspaceChoice(value, workspaces) {
  if (workspaces.length > MOST_CHOICES) return entry("Workspace", "workspace", value);
  if (!workspaces.length && !value) return null;
  return choice("Workspace", "workspace", value, workspaces);
}

/**
 * Return a field of text that goes to the same view when it is changed.
 * @param {string} label
 * @param {string} name
 * @param {string} value
 */
export function entry(label, name, value) {
  const onchange = (/** @type {Event} */ event) =>
    go(changed({ [name]: /** @type {HTMLInputElement} */ (event.target).value.trim() }));
  return h("label", {}, label, " ", h("input", { type: "search", name, value, onchange }));
}

/**
 * Return parts of a whole as a bar; the numbers stand in its legend.
 * @param {{name: string, count: number, href?: string}[]} parts
 */
export function shares(parts) {
  const whole = parts.reduce((sum, { count }) => sum + count, 0);
  const segments = parts.map(({ name, count }) =>
    h("span", { "data-status": name, style: { "--share": String(count / Math.max(whole, 1)) } }),
  );
  const legend = parts.map(({ name, count, href }) =>
    h("li", {}, href ? h("a", { href }, chip(name)) : chip(name), " ", count),
  );
  return h(
    "div",
    {},
    h("div", { class: "bar", "aria-hidden": "true" }, segments),
    h("ul", { class: "legend" }, legend),
  );
}

/**
 * Return the columns of runs that somebody holds or that wait.
 * @type {Record<string, (run: any) => Child>}
 */
export const RUN_COLUMNS = {
  Status: (run) => chip(run.status),
  Attempt: (run) => run.attempt,
  Holder: (run) => run.session_id || "–",
  Queued: (run) => time(run.queued_at),
  "Lease until": (run) => time(run.lease_until),
};
