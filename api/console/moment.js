// @ts-check
/** The moment that is looked at: now, or one of the past. */

import { AT_THE_END, get } from "./client.js";
import { h } from "./dom.js";
import { number, time } from "./format.js";
import { changed, go, here } from "./route.js";

/** Views whose past is at hand; that of the others is folded first, which may take minutes. */
const HOLDING = ["timeline", "task"];

/**
 * A moment of the past: the last event by then, and the time, unless nothing had happened yet.
 * @typedef {{sequence: number, time: string | undefined}} Moment
 */

/**
 * Return the moment that a sequence or a time names.
 * @param {string} asOf
 * @returns {Promise<Moment>}
 */
export async function momentOf(asOf) {
  const { head, timeline } = await get("/api/timeline", {
    as_of: asOf,
    before_sequence: AT_THE_END,
    limit: 1,
  });
  return { sequence: head, time: /^\d+$/.test(asOf) ? timeline[0]?.timestamp : asOf };
}

/**
 * Return the control that chooses the moment to look at.
 * @param {number} head
 * @param {Moment | undefined} at undefined for now, and for a moment that is not known yet
 */
export function control(head, at) {
  const { view, params } = here();
  const asOf = params.get("as_of") ?? "";
  const choose = (/** @type {string} */ value) => go(changed({ as_of: value, before: undefined }));
  const onchange = (/** @type {Event} */ event) =>
    choose(/** @type {HTMLInputElement} */ (event.target).value.trim());
  return h(
    "div",
    { id: "moment", role: "group", "aria-label": "The moment that is looked at" },
    asOf && h("strong", { class: "past" }, "the past", at && told(at)),
    h("input", {
      type: "range",
      min: 0,
      max: head,
      value: at?.sequence ?? head,
      "aria-label": "Sequence",
      onchange,
    }),
    h("input", {
      type: "text",
      value: asOf,
      placeholder: `now, ${number(head)}`,
      "aria-label": "As of: a sequence, or a time such as 2030-01-31T12:00:00Z",
      size: 22,
      onchange,
    }),
    asOf && step("Back to now", () => choose("")),
    !asOf && HOLDING.includes(view) && step("Hold still", () => choose(String(head))),
  );
}

/**
 * @param {string} name
 * @param {() => void} onclick
 */
const step = (name, onclick) => h("button", { type: "button", "data-key": name, onclick }, name);

/** @param {Moment} at */
const told = (at) => h("span", {}, ` after event ${number(at.sequence)}, `, time(at.time));
