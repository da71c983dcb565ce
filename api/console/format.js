// @ts-check
/** How values are written for people. */

import { h } from "./dom.js";

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const DAY_AND_CLOCK = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium",
  timeStyle: "medium",
});
const NUMBER = new Intl.NumberFormat();
const STEPS = /** @type {const} */ ([
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
]);
// How the API writes a time that is not there.
const NO_TIME = "0001-01-01T00:00:00Z";
const LONGEST_TEXT = 2_000;

/** @param {number} value */
export const number = (value) => NUMBER.format(value);

/**
 * Return a point in time: the clock alone for today's, the whole of it as a tooltip.
 * @param {string | null | undefined} text RFC 3339
 */
export function time(text) {
  if (!text || text === NO_TIME) return "–";
  const at = new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  return h("time", { datetime: text, title: text }, (today ? CLOCK : DAY_AND_CLOCK).format(at));
}

/**
 * Return a length of time in its two largest units.
 * @param {number | undefined} milliseconds
 */
export function duration(milliseconds = 0) {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  const parts = [];
  let left = milliseconds;
  for (const [unit, size] of STEPS) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}

/**
 * Return a status as a chip; the colour only repeats what the word says.
 * @param {string} status
 */
export const chip = (status) => h("span", { class: "chip", "data-status": status }, words(status));

/** @param {string} name */
export const words = (name) => name.replaceAll("_", " ");

/** @param {{kind: string, ref: string} | null | undefined} someone */
export const who = (someone) => (someone ? `${someone.kind}:${someone.ref}` : "–");

/**
 * Return JSON for reading; the longest texts are cut, numbers of any size stay exact.
 * @param {unknown} value
 */
export function json(value) {
  return h("pre", { class: "json", tabindex: "0" }, JSON.stringify(value, shorter, 2) ?? "");
}

/**
 * @param {string} _
 * @param {unknown} value
 */
function shorter(_, value) {
  if (typeof value !== "string" || value.length <= LONGEST_TEXT) return value;
  return `${value.slice(0, LONGEST_TEXT)}… (${number(value.length)} characters)`;
}
