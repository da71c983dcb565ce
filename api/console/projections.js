// @ts-check
/** The read models: how far each is, and what an operator may do with it. */

import { button } from "./actions.js";
import { get } from "./client.js";
import { h } from "./dom.js";
import { chip, duration, json, number, words } from "./format.js";
import { table } from "./parts.js";

const WATCHED_EVERY = 1_000;

/** Returns the read models as they are now; there is no past of them. */
export async function load() {
  return (await get("/api/projections")).projections;
}

/**
 * Return after how many milliseconds to look again, 0 for not before something happens.
 * @param {any[]} projections
 */
export const again = (projections) => (projections.some((each) => each.work) ? WATCHED_EVERY : 0);

/**
 * @param {any[]} projections
 * @param {import("./main.js").Context} context
 */
export function render(projections, { asOf }) {
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, "Read models"),
    h(
      "p",
      {},
      "Each is folded from the events of the ledger, and can be made again while it is read.",
    ),
    asOf && h("p", { class: "banner" }, "This is told of now alone: read models have no past."),
    table("Read models", COLUMNS, projections, {
      empty: "There is none.",
      key: (each) => each.name,
    }),
  );
}

/** @type {Record<string, (each: any) => import("./dom.js").Child | import("./dom.js").Child[]>} */
const COLUMNS = {
  Name: (each) => h("code", {}, each.name),
  State: (each) => [
    chip(each.state),
    each.held_count > 0 && ` ${number(each.held_count)} streams held back`,
  ],
  Version: (each) =>
    each.version === each.current_version
      ? each.version
      : `${each.version} of ${each.current_version}`,
  Position: (each) => number(each.position),
  Behind: (each) => number(Math.max(each.head - each.position, 0)),
  Work: (each) => (each.progress ? progress(each.progress) : (each.work ?? "–")),
  "Last time": (each) => last(each),
  Commands: (each) =>
    h(
      "span",
      { class: "tools" },
      commandsOf(each).map((command) => button({ about: each.name, ...command })),
    ),
};

/** @param {any} state */
function progress({ phase, applied, target, per_second: rate, eta_seconds: eta }) {
  const left = eta ? `, ${duration(eta * 1_000)} left` : "";
  return h(
    "div",
    {},
    h("progress", { value: applied, max: Math.max(target, 1), "aria-label": words(phase) }),
    h(
      "small",
      {},
      ` ${words(phase)}: ${number(applied)} of ${number(target)}, ${number(Math.round(rate ?? 0))}/s${left}`,
    ),
  );
}

/** @param {any} each */
function last({ last: outcome, failure, rebuild_failure: stopped }) {
  const trouble = failure ?? stopped;
  if (trouble) {
    return h(
      "p",
      { class: "refusal" },
      `event ${trouble.sequence} (${trouble.event_type}): ${trouble.error} ${trouble.advice ?? ""}`,
    );
  }
  if (!outcome) return "–";
  const differences = outcome.differences?.length
    ? h("details", {}, h("summary", {}, "differences"), json(outcome.differences))
    : null;
  return [`${outcome.work} ${outcome.end}`, outcome.text && ` ${outcome.text}`, differences];
}

/**
 * @param {any} each
 * @returns {import("./actions.js").Command[]}
 */
function commandsOf({ name, work, previous, failure, rebuild_failure: stopped }) {
  const path = `/api/projections/${encodeURIComponent(name)}`;
  if (work)
    return [
      {
        label: "Stop",
        path: `${path}/cancel`,
        explain: `Stop the ${work} of ${name}; what is live stays.`,
      },
    ];
  const trouble = failure ?? stopped;
  return [
    {
      label: "Rebuild",
      path: `${path}/rebuild`,
      explain: `Fold ${name} again beside the live rows, compare, and switch.`,
      body: () => ({}),
    },
    {
      label: "Compare",
      path: `${path}/rebuild`,
      explain: `Fold ${name} again and tell what would change; nothing is switched.`,
      body: () => ({ dry_run: true }),
    },
    ...(previous
      ? [
          {
            label: "Roll back",
            path: `${path}/rollback`,
            explain: `Go back to version ${previous.version} of ${name}.`,
            danger: true,
          },
        ]
      : []),
    ...(trouble ? [skip(path, trouble)] : []),
  ];
}

/**
 * @param {string} path
 * @param {any} trouble
 * @returns {import("./actions.js").Command}
 */
function skip(path, { sequence }) {
  return {
    label: "Skip event",
    path: `${path}/skip`,
    explain: `Leave event ${sequence} out for good.`,
    danger: true,
    fields: [{ name: "reason", label: "Reason", required: true }],
    body: (given) => ({ ...given, sequence }),
  };
}
