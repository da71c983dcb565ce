// @ts-check
/** The door: who has no token is asked for one, and may give it back. */

import { token } from "./client.js";
import { byId, h } from "./dom.js";

/**
 * Return what stands in the place of a view that is shown to nobody without a token.
 * @param {string} why
 * @param {() => void} come what to do with the token
 */
export function closed(why, come) {
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, "Not shown"),
    h("p", {}, "This server lets in who has an access token."),
    h("button", { type: "button", onclick: () => askForToken(why, come) }, "Give a token"),
  );
}

/**
 * @param {string} why
 * @param {() => void} come
 */
export function askForToken(why, come) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("dialog"));
  if (dialog.open) return;
  const onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    token.set(
      String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("token")).trim(),
    );
    dialog.close();
    come();
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
        h("input", {
          name: "token",
          type: "password",
          required: true,
          autocomplete: "off",
          pattern: "\\s*[!-~]+\\s*",
          title: "A token has no spaces and no letters with accents",
        }),
      ),
      h("menu", {}, h("button", { type: "submit", class: "primary" }, "Come in")),
    ),
  );
  dialog.showModal();
}

/** Show whether there is a token to give back. */
export function showForgetting() {
  byId("forget").hidden = !token.get();
}
