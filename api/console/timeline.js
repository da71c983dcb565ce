// @ts-check
/** The whole ledger, the newest event first, as it grows. */

import { AT_THE_END, get } from "./client.js";
import { h } from "./dom.js";
import { eventTable } from "./events.js";
import { number } from "./format.js";
import { entry, workspaceChoice } from "./parts.js";
import { changed } from "./route.js";

const PAGE = 100;
/** The server looks through a part of the ledger at a time, and is asked for so many parts. */
const MOST_PARTS = 5;

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
  for (let parts = 0; next > 1 && items.length < PAGE && parts < MOST_PARTS; parts++) {
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
 * Return texts of which one stands in each event that passes the filters.
 * @param {unknown} _
 * @param {import("./main.js").Context} context
 */
export function hangsOn(_, { params }) {
  const { type, workspace, actor } = filtersOf(params);
  const ref = actor?.slice(actor.indexOf(":") + 1);
  return type ? type.split(",") : [workspace || ref || ""];
}

/** @param {number} next */
const none = (next) =>
  next > 1 ? `No event from ${number(next)} on is like that.` : "No event is like that.";

/**
 * @param {Awaited<ReturnType<typeof load>>} data
 * @param {import("./main.js").Context} context
 */
export function render({ items, next, workspaces }, { params, at }) {
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
      workspaceChoice(value("workspace"), workspaces),
    ),
    eventTable(items, { empty: none(next), asOf: at && String(at.sequence) }),
    h(
      "p",
      { class: "pages" },
      params.has("before") && h("a", { href: changed({ before: undefined }) }, "The newest"),
      next > 1 && h("a", { href: changed({ before: next }) }, `Before ${number(next)}`),
    ),
  );
}
