// @ts-check
/** The whole ledger, the newest event first, as it grows. */

import { get } from "./client.js";
import { h } from "./dom.js";
import { eventTable } from "./events.js";
import { number } from "./format.js";
import { choice, entry } from "./parts.js";
import { changed } from "./route.js";

const PAGE = 100;
const AT_THE_END = Number.MAX_SAFE_INTEGER;

/** @param {import("./main.js").Context} context */
export async function load({ params, asOf }) {
  const [page, { workspaces }] = await Promise.all([
    latest(Number(params.get("before")) || AT_THE_END, { ...filtersOf(params), as_of: asOf }),
    get("/api/workspaces"),
  ]);
  return { ...page, workspaces: workspaces.map((/** @type {any} */ each) => each.id) };
}

/**
 * Return the last events before a sequence, the newest first, and where the page before ends; the
 * server looks through a part of the ledger at a time.
 * @param {number} before
 * @param {import("./client.js").Query} filters
 */
async function latest(before, filters) {
  /** @type {any[]} */
  const items = [];
  let next = before;
  while (next > 1 && items.length < PAGE) {
    const limit = PAGE - items.length;
    const page = await get("/api/timeline", { ...filters, before_sequence: next, limit });
    items.push(...page.timeline.reverse());
    next = page.next_before;
  }
  return { items, next };
}

/** @param {URLSearchParams} params */
function filtersOf(params) {
  return {
    type: params.get("type"),
    workspace: params.get("workspace"),
    actor: params.get("actor"),
  };
}

/**
 * @param {Awaited<ReturnType<typeof load>>} data
 * @param {import("./main.js").Context} context
 */
export function render({ items, next, workspaces }, { params }) {
  const value = (/** @type {string} */ name) => params.get(name) ?? "";
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, "Timeline"),
    h(
      "div",
      { class: "tools", role: "search" },
      entry("Event type", "type", value("type")),
      entry("By", "actor", value("actor")),
      workspaces.length > 0 && choice("Workspace", "workspace", value("workspace"), workspaces),
    ),
    eventTable(items, { empty: "No event is like that." }),
    h(
      "p",
      { class: "pages" },
      params.has("before") && h("a", { href: changed({ before: undefined }) }, "The newest"),
      next > 1 && h("a", { href: changed({ before: next }) }, `Before ${number(next)}`),
    ),
  );
}
