// @ts-check
/** Commands: each is shown before it is sent, with what else would send it. */

import { RequestError, asCurl, post } from "./client.js";
import { byId, h } from "./dom.js";

const SAID_FOR = 6_000;

/**
 * A field of a command. `required` ones must not be empty, `kind` is `text`, `area`, or choices.
 * @typedef {{name: string, label: string, required?: boolean, kind?: "text" | "area" | string[], value?: string}} Field
 * @typedef {{label: string, path: string, explain: string, about?: string, fields?: Field[],
 *   danger?: boolean, body?: (given: Record<string, string>) => unknown, done?: (answer: any) => void}} Command
 */

/**
 * Return a button that opens the dialog of a command.
 * @param {Command} command
 */
export function button(command) {
  const past = document.documentElement.dataset.past === "true";
  return h(
    "button",
    {
      type: "button",
      "data-key": command.label,
      class: command.danger ? "danger" : "",
      disabled: past,
      title: past ? "what was cannot be changed" : command.explain,
      onclick: () => open(command),
    },
    command.label,
  );
}

/** @param {Command} command */
function open(command) {
  const refusal = h("p", { class: "refusal", role: "alert" });
  const curl = h("code", {}, "");
  const fields = (command.fields ?? []).map(fieldOf);
  const form = /** @type {HTMLFormElement} */ (
    h(
      "form",
      {
        onsubmit: (/** @type {Event} */ event) => submit(event, command, refusal),
        oninput: () => show(),
      },
      h("h2", { id: "command-title" }, heading(command)),
      h("p", {}, command.explain),
      fields,
      refusal,
      h(
        "details",
        {},
        h("summary", {}, "As a shell command"),
        h("pre", { class: "json", tabindex: "0" }, curl),
      ),
      h(
        "menu",
        {},
        h("button", { type: "button", onclick: () => close() }, "Leave it"),
        h(
          "button",
          { type: "submit", class: command.danger ? "danger" : "primary" },
          command.label,
        ),
      ),
    )
  );
  const show = () => {
    curl.textContent = asCurl(command.path, bodyOf(command, form));
  };
  show();
  const dialog = /** @type {HTMLDialogElement} */ (byId("dialog"));
  dialog.replaceChildren(form);
  dialog.showModal();
}

/** @param {Command} command */
const heading = ({ label, about }) => (about ? `${label}: ${about}` : label);

/** @param {Field} field */
function fieldOf({ name, label, required, kind = "text", value = "" }) {
  const common = { name, required, "aria-required": required ? "true" : undefined };
  const input = Array.isArray(kind)
    ? h(
        "select",
        common,
        kind.map((each) => h("option", { value: each, selected: each === value }, each || "none")),
      )
    : kind === "area"
      ? h("textarea", { ...common, rows: 4 }, value)
      : h("input", { ...common, value, autocomplete: "off" });
  return h(
    "label",
    { class: "field" },
    h("span", {}, label, required ? "" : h("small", {}, " optional")),
    input,
  );
}

/**
 * @param {Command} command
 * @param {HTMLFormElement} form
 */
function bodyOf(command, form) {
  const given = Object.fromEntries(
    [...new FormData(form)]
      .map(([name, value]) => [name, String(value).trim()])
      .filter(([, value]) => value),
  );
  if (command.body) return command.body(given);
  return command.fields?.length ? given : undefined;
}

/**
 * @param {Event} event
 * @param {Command} command
 * @param {HTMLElement} refusal
 */
async function submit(event, command, refusal) {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.currentTarget);
  const sender = /** @type {HTMLButtonElement} */ (form.querySelector("button[type=submit]"));
  sender.disabled = true;
  refusal.textContent = "";
  try {
    const answer = await post(command.path, bodyOf(command, form));
    close();
    say(`${command.label}: done`);
    command.done?.(answer);
    document.dispatchEvent(new Event("changed"));
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    refusal.textContent = error.message;
  } finally {
    sender.disabled = false;
  }
}

function close() {
  /** @type {HTMLDialogElement} */ (byId("dialog")).close();
}

/**
 * Tell something in passing, also to screen readers: each time anew, even when the text is the same.
 * @param {string} text
 */
export function say(text) {
  const said = h("span", {}, text);
  byId("said").replaceChildren(said);
  setTimeout(() => said.remove(), SAID_FOR);
}
