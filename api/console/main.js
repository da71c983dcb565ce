// @ts-check
/** The page: finds the view of the address, keeps it current, and lets the reader look back. */

import { say } from "./actions.js";
import { RequestError, follow, get, token } from "./client.js";
import { byId, h, morph } from "./dom.js";
import { askForToken, closed, showForgetting } from "./door.js";
import * as inbox from "./inbox.js";
import { control, momentOf } from "./moment.js";
import * as overview from "./overview.js";
import * as projections from "./projections.js";
import * as queue from "./queue.js";
import { go, here, link } from "./route.js";
import * as task from "./task.js";
import * as tasks from "./tasks.js";
import * as timeline from "./timeline.js";

/**
 * What a view is asked with; `asOf` is the moment to look at as the address has it, `at` what it
 * means, both undefined for now. A view may tell after how many milliseconds to look `again`, and
 * the texts of which one stands in each event that it `hangsOn`.
 * @typedef {{id: string, params: URLSearchParams, asOf: string | undefined,
 *   at: import("./moment.js").Moment | undefined}} Context
 * @typedef {{load: (context: Context) => Promise<any>, render: (data: any, context: Context) => HTMLElement,
 *   again?: (data: any) => number, hangsOn?: (data: any, context: Context) => string[]}} View
 */

/** @type {Map<string, View>} */
const VIEWS = new Map(
  Object.entries({ overview, inbox, tasks, task, queue, timeline, projections }),
);
const NAMES = /** @type {const} */ ([
  ["overview", "Overview"],
  ["inbox", "Inbox"],
  ["tasks", "Tasks"],
  ["queue", "Queue"],
  ["timeline", "Timeline"],
  ["projections", "Read models"],
]);
/** However fast the ledger grows, a view is left alone this long, and in proportion to its cost. */
const LEAST_PAUSE = 300;
const PAUSE_PER_LOAD = 9;
/** Events that a view does not hang on may touch it all the same, through what it does not show. */
const LONGEST_PAUSE = 5_000;
const RETRY_AFTER = 2_000;
const SLOW = 2_000;

const page = byId("main");
let head = 0;
let shown = "";
let showing = 0;
let busy = false;
let wanted = false;
let failing = false;
let past = false;
let searching = false;
let timer = 0;
let later = 0;
let slow = 0;
/** @type {import("./moment.js").Moment | undefined} */
let at;
/** @type {string[]} */
let hangsOn = [];
let following = new AbortController();

/** Show what the address names; what an earlier call still loads is thrown away. */
async function show() {
  const turn = ++showing;
  busy = true;
  wanted = false;
  clearTimeout(timer);
  clearTimeout(later);
  clearTimeout(slow);
  later = 0;
  const { view: wish, id, params } = here();
  const name = VIEWS.has(wish) ? wish : "overview";
  const view = /** @type {View} */ (VIEWS.get(name));
  const asOf = params.get("as_of") || undefined;
  const address = `${name}/${id}`;
  const begin = performance.now();
  let again = 0;
  past = asOf !== undefined;
  at = undefined;
  frame(name);
  page.ariaBusy = String(address !== shown || past);
  if (past) slow = setTimeout(() => say("Going back: the first time takes a while."), SLOW);
  try {
    const moment = asOf === undefined ? undefined : await momentOf(asOf);
    if (turn !== showing) return;
    at = moment;
    drawMoment();
    const context = { id, params, asOf, at };
    const data = await view.load(context);
    if (turn !== showing) return;
    put(address, view.render(data, context));
    again = view.again?.(data) ?? 0;
    hangsOn = view.hangsOn?.(data, context) ?? [""];
    failing = false;
  } catch (error) {
    if (turn !== showing) return;
    again = fail(error, address);
  }
  clearTimeout(slow);
  page.ariaBusy = "false";
  const pause = Math.max(LEAST_PAUSE, (performance.now() - begin) * PAUSE_PER_LOAD, again);
  timer = setTimeout(() => {
    busy = false;
    if (wanted || again) void show();
  }, pause);
}

/** Show the view again, at once or when its pause is over. */
function refresh() {
  wanted = true;
  if (!busy) void show();
}

/**
 * @param {string} address
 * @param {HTMLElement} fresh
 */
function put(address, fresh) {
  const old = page.firstElementChild;
  if (address === shown && old) {
    keepFocus(() => morph(old, fresh));
  } else {
    shown = address;
    page.replaceChildren(fresh);
    scrollTo(0, 0);
    focusHeading();
  }
  if (searching) search()?.focus();
  searching = false;
  document.title = `${page.querySelector("h1")?.textContent} · taskledger`;
}

/**
 * Make a change; when it takes what has the focus away, the heading gets it.
 * @param {() => void} change
 */
function keepFocus(change) {
  const focused = document.activeElement;
  change();
  if (focused && !focused.isConnected) focusHeading();
}

function focusHeading() {
  page.querySelector("h1")?.focus({ preventScroll: true });
}

const search = () => /** @type {HTMLElement | null} */ (page.querySelector("input[type=search]"));

/**
 * Tell why nothing is shown, and what is wrong with the page itself to its console. What is shown
 * stays when only the server is away. Return after how many milliseconds to try again, 0 for never.
 * @param {unknown} error
 * @param {string} address
 */
function fail(error, address) {
  if (!(error instanceof RequestError)) console.error(error);
  else if (error.status === 401) {
    shut(error.message);
    return 0;
  }
  const away = error instanceof RequestError && (error.status === 0 || error.status >= 500);
  const text = error instanceof Error ? error.message : String(error);
  if (!away || address !== shown) {
    put(
      `${address} refused`,
      h(
        "div",
        {},
        h("h1", { tabindex: "-1" }, "Not shown"),
        h("p", { class: "refusal", role: "alert" }, text),
      ),
    );
  } else if (!failing) {
    say(`What is shown is not current: ${text}`);
  }
  failing = away;
  return away ? RETRY_AFTER : 0;
}

/**
 * Show nothing, ask the server nothing more, and ask for a token, once.
 * @param {string} why
 */
function shut(why) {
  following.abort();
  showing++;
  wanted = false;
  clearTimeout(later);
  clearTimeout(slow);
  page.ariaBusy = "false";
  tellState("not following");
  put("closed", closed(why, comeIn));
  askForToken(why, comeIn);
}

/**
 * Draw what is around the view.
 * @param {string} name
 */
function frame(name) {
  const current = name === "task" ? "tasks" : name;
  const entry = (/** @type {readonly [string, string]} */ [view, text]) =>
    h("li", {}, h("a", { href: link(view), "aria-current": view === current && "page" }, text));
  document.documentElement.dataset["past"] = String(past);
  morph(byId("nav"), h("ul", { id: "nav" }, NAMES.map(entry)));
  drawMoment();
}

function drawMoment() {
  keepFocus(() => morph(byId("moment"), control(head, at)));
}

/**
 * Show whether the page follows the ledger.
 * @param {"live" | "reconnecting" | "not following"} state
 */
function tellState(state) {
  const element = byId("live");
  if (element.textContent !== state) element.textContent = state;
  element.dataset["live"] = String(state === "live");
}

/**
 * An event came: what hangs on it is shown again soon, anything else some time later.
 * @param {number} sequence
 * @param {string} written
 */
function arrived(sequence, written) {
  head = sequence;
  if (past) later ||= setTimeout(() => ((later = 0), drawMoment()), LEAST_PAUSE);
  else if (hangsOn.some((text) => written.includes(text))) refresh();
  else later ||= setTimeout(refresh, LONGEST_PAUSE);
}

/** Follow the ledger from here on; what came before is in the views already. */
async function begin() {
  following.abort();
  following = new AbortController();
  const { signal } = following;
  showForgetting();
  try {
    const { head: latest } = await get("/api/timeline", { limit: 1 });
    if (signal.aborted) return;
    head = Number(latest);
  } catch (error) {
    if (signal.aborted) return;
    tellState("not following");
    const again = fail(error, shown);
    if (again) setTimeout(() => signal.aborted || void begin(), again);
    return;
  }
  void show();
  void follow(head, signal, {
    event: arrived,
    live: () => tellState("live"),
    away: () => signal.aborted || tellState("reconnecting"),
    refused: (error) => {
      tellState("not following");
      fail(error, shown);
    },
  });
}

/** Begin with what a token that was just given, or taken back, lets see. */
function comeIn() {
  page.replaceChildren();
  void begin();
}

/** @param {KeyboardEvent} event */
function shortcut(event) {
  const typing =
    event.target instanceof HTMLElement && event.target.closest("input, textarea, select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.key !== "/") return;
  event.preventDefault();
  if (search()) {
    search()?.focus();
  } else {
    searching = true;
    go(link("tasks"));
  }
}

window.addEventListener("hashchange", () => void show());
document.addEventListener("changed", () => void show());
document.addEventListener("keydown", shortcut);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) following.abort();
  else void begin();
});
byId("dialog").addEventListener("close", () => {
  byId("dialog").replaceChildren();
  // What had the focus before may have gone meanwhile.
  if (document.activeElement === document.body) focusHeading();
});
byId("skip").addEventListener("click", (event) => {
  // The address names the view alone.
  event.preventDefault();
  page.focus();
});
byId("forget").onclick = () => {
  token.forget();
  say("The token is forgotten.");
  comeIn();
};
void begin();
