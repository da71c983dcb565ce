// @ts-check
/** The page: finds the view of the address, keeps it current, and lets the reader look back. */

import { RequestError, follow, get, token } from "./client.js";
import { byId, h, morph } from "./dom.js";
import { say } from "./actions.js";
import { number } from "./format.js";
import * as inbox from "./inbox.js";
import * as overview from "./overview.js";
import * as projections from "./projections.js";
import * as queue from "./queue.js";
import { changed, go, here, link } from "./route.js";
import * as task from "./task.js";
import * as tasks from "./tasks.js";
import * as timeline from "./timeline.js";

/**
 * What a view is asked with; `asOf` is the moment to look at, undefined for now.
 * @typedef {{id: string, params: URLSearchParams, asOf: string | undefined}} Context
 * @typedef {{load: (context: Context) => Promise<any>, render: (data: any, context: Context) => HTMLElement,
 *   again?: (data: any) => number}} View
 */

/** @type {Record<string, View>} */
const VIEWS = { overview, inbox, tasks, task, queue, timeline, projections };
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
const PAUSE_PER_LOAD = 4;
const RETRY_AFTER = 2_000;

const page = byId("main");
let head = 0;
let shown = "";
let showing = 0;
let busy = false;
let wanted = false;
let timer = 0;
let following = new AbortController();

/** Show what the address names; what an earlier call still loads is thrown away. */
async function show() {
  const turn = ++showing;
  busy = true;
  wanted = false;
  clearTimeout(timer);
  const { view: name, id, params } = here();
  /** @type {View} */
  const view = VIEWS[name] ?? overview;
  const context = { id, params, asOf: params.get("as_of") || undefined };
  const begin = performance.now();
  let again = 0;
  frame(name, context.asOf);
  try {
    const data = await view.load(context);
    if (turn !== showing) return;
    put(name + id, view.render(data, context));
    again = view.again?.(data) ?? 0;
  } catch (error) {
    if (turn !== showing) return;
    refuse(error, name + id);
    again = error instanceof RequestError && error.status === 0 ? RETRY_AFTER : 0;
  }
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
 * @param {string} name
 * @param {HTMLElement} fresh
 */
function put(name, fresh) {
  if (name === shown && page.firstElementChild) {
    morph(page.firstElementChild, fresh);
    return;
  }
  shown = name;
  page.replaceChildren(fresh);
  document.title = `${fresh.querySelector("h1")?.textContent} · taskledger`;
  fresh.querySelector("h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/**
 * Tell why nothing is shown, and what is wrong with the page itself to its console.
 * @param {unknown} error
 * @param {string} name
 */
function refuse(error, name) {
  if (!(error instanceof RequestError)) console.error(error);
  else if (error.status === 401) {
    askForToken(error.message);
    return;
  }
  put(
    `${name} refused`,
    h(
      "div",
      {},
      h("h1", { tabindex: "-1" }, "Not shown"),
      h(
        "p",
        { class: "refusal", role: "alert" },
        error instanceof Error ? error.message : String(error),
      ),
    ),
  );
}

/**
 * Draw what is around the view.
 * @param {string} name
 * @param {string | undefined} asOf
 */
function frame(name, asOf) {
  const current = name === "task" ? "tasks" : name;
  const entry = (/** @type {readonly [string, string]} */ [view, text]) =>
    h("li", {}, h("a", { href: link(view), "aria-current": view === current && "page" }, text));
  document.documentElement.dataset["past"] = String(asOf !== undefined);
  morph(byId("nav"), h("ul", { id: "nav" }, NAMES.map(entry)));
  morph(byId("moment"), moment(asOf));
}

/**
 * Return the control that chooses the moment to look at.
 * @param {string | undefined} asOf
 */
function moment(asOf) {
  const choose = (/** @type {string} */ value) => go(changed({ as_of: value, before: undefined }));
  const valueOf = (/** @type {Event} */ event) =>
    /** @type {HTMLInputElement} */ (event.target).value.trim();
  const place = asOf && /^\d+$/.test(asOf) ? Number(asOf) : head;
  return h(
    "div",
    { id: "moment", role: "group", "aria-label": "The moment that is looked at" },
    h("input", {
      type: "range",
      min: 0,
      max: head,
      value: place,
      "aria-label": "Sequence",
      onchange: (/** @type {Event} */ event) => choose(valueOf(event)),
    }),
    h("input", {
      type: "text",
      value: asOf ?? "",
      placeholder: `now, ${number(head)}`,
      "aria-label": "As of: a sequence, or a time such as 2030-01-31T12:00:00Z",
      size: 22,
      onchange: (/** @type {Event} */ event) => choose(valueOf(event)),
    }),
    asOf && h("button", { type: "button", onclick: () => choose("") }, "Back to now"),
  );
}

/** @param {boolean} live */
function tellState(live) {
  const state = byId("live");
  state.textContent = live ? "live" : "reconnecting";
  state.dataset["live"] = String(live);
}

/** @param {any} item */
function arrived({ sequence }) {
  head = sequence;
  if (here().params.has("as_of")) drawMoment();
  else refresh();
}

function drawMoment() {
  morph(byId("moment"), moment(here().params.get("as_of") || undefined));
}

/** Follow the ledger from here on; what came before is in the views already. */
async function begin() {
  following.abort();
  following = new AbortController();
  const { signal } = following;
  try {
    head = Number((await get("/api/timeline", { limit: 1 })).head);
  } catch (error) {
    refuse(error, "ledger");
    if (error instanceof RequestError && error.status === 0)
      setTimeout(() => void begin(), RETRY_AFTER);
    return;
  }
  if (signal.aborted) return;
  drawMoment();
  void show();
  void follow(head, signal, {
    event: arrived,
    state: tellState,
    refused: (error) => refuse(error, "stream"),
  });
}

/** @param {string} why */
function askForToken(why) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("dialog"));
  if (dialog.open) return;
  const onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    token.set(
      String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("token")).trim(),
    );
    dialog.close();
    showForgetting();
    void begin();
  };
  dialog.replaceChildren(
    h(
      "form",
      { onsubmit },
      h("h2", { id: "command-title" }, "Access token"),
      h(
        "p",
        {},
        "This server lets in who has a token: `taskledger token create` makes one. It is kept in this tab until you close it.",
      ),
      token.get() && h("p", { class: "refusal", role: "alert" }, why),
      h(
        "label",
        { class: "field" },
        h("span", {}, "Token"),
        h("input", { name: "token", type: "password", required: true, autocomplete: "off" }),
      ),
      h("menu", {}, h("button", { type: "submit", class: "primary" }, "Come in")),
    ),
  );
  dialog.showModal();
}

function showForgetting() {
  byId("forget").hidden = !token.get();
}

/** @param {KeyboardEvent} event */
function shortcut(event) {
  const typing =
    event.target instanceof HTMLElement && event.target.closest("input, textarea, select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.key !== "/") return;
  event.preventDefault();
  const search = () => /** @type {HTMLElement | null} */ (page.querySelector("input[type=search]"));
  if (search()) search()?.focus();
  else {
    go(link("tasks"));
    new MutationObserver((_, observer) => {
      if (!search()) return;
      observer.disconnect();
      search()?.focus();
    }).observe(page, { childList: true, subtree: true });
  }
}

window.addEventListener("hashchange", () => void show());
document.addEventListener("changed", () => void show());
document.addEventListener("keydown", shortcut);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) following.abort();
  else void begin();
});
byId("forget").onclick = () => {
  token.forget();
  showForgetting();
  say("The token is forgotten.");
  void begin();
};
showForgetting();
void begin();
