// @ts-check
/** Why a run waits: which rules of a claim are not met, and by how many sessions. */

import { get } from "./client.js";
import { h } from "./dom.js";
import { number, words } from "./format.js";

const MOST_REASONS = 10;

/**
 * Return what opens to the reasons. They are asked for each time it is opened, and not again while
 * it stays open: there is one for each session that works.
 * @param {any} run
 */
export function why(run) {
  const place = h("div", {});
  const ontoggle = async (/** @type {Event} */ event) => {
    if (!(/** @type {HTMLDetailsElement} */ (event.target).open)) return;
    try {
      const { explain } = await get(`/api/runs/${encodeURIComponent(run.id)}/explain`);
      place.replaceChildren(...reasons(explain));
    } catch (error) {
      place.replaceChildren(error instanceof Error ? error.message : String(error));
    }
  };
  return h(
    "details",
    { "data-key": `why ${run.id}`, "data-final": true, ontoggle },
    h("summary", {}, "Why nobody has it"),
    place,
  );
}

/** @param {any} explain */
function reasons({ rules, sessions, eligible_sessions: able, waiting }) {
  const passedOver = `Passed over ${number(waiting?.cycles ?? 0)} times.`;
  return [
    h("p", {}, `${number(able)} of ${number(sessions.length)} active sessions may take it.`),
    h("ul", {}, rules.filter(unmet).map(ofRun), ofSessions(sessions)),
    waiting && h("p", {}, passedOver),
  ].filter((each) => each instanceof Node);
}

/** @param {any} rule */
const unmet = ({ passed }) => !passed;

/** @param {any} rule */
const ofRun = ({ rule, expected, found }) =>
  h("li", {}, `${words(rule)}: expected ${expected}, found ${found}`);

/** @param {any[]} sessions */
function ofSessions(sessions) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { rule, expected } of sessions.flatMap(({ rules }) => rules.filter(unmet))) {
    const reason = `${words(rule)}: expected ${expected}`;
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  const most = [...counts].sort(([, one], [, other]) => other - one).slice(0, MOST_REASONS);
  return most.map(([reason, count]) => h("li", {}, `${reason}, not met by ${number(count)}`));
}
