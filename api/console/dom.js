// @ts-check
/** Elements are built and compared as nodes; no text ever becomes markup. */

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, unknown>} Props */

const HANDLERS = /** @type {const} */ (["onclick", "onchange", "oninput", "onsubmit", "onkeydown"]);

/**
 * Return a new element. A property that begins with `on` is a handler, `style` an object of CSS
 * properties, anything else an attribute, left out when it is null, undefined or false.
 * @param {string} tag
 * @param {Props} [props]
 * @param {(Child | Child[])[]} children
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) Object.assign(element, { [name]: value });
    else if (name === "style") setStyle(element, /** @type {Record<string, string>} */ (value));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children.flat()));
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {Record<string, string>} style
 */
function setStyle(element, style) {
  for (const [name, value] of Object.entries(style)) element.style.setProperty(name, value);
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function present(children) {
  const there = children.filter((each) => each !== null && each !== undefined && each !== false);
  return there.map((each) => (each instanceof Node ? each : String(each)));
}

/**
 * Make `old` like `fresh` with as few changes as possible, so that focus, selection, scroll
 * positions and opened details stay where they are. Children with a `data-key` are moved by it; what
 * is `data-final` never changes under its key.
 * @param {Node} old
 * @param {Node} fresh
 */
export function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName) {
    /** @type {ChildNode} */ (old).replaceWith(fresh);
  } else if (old instanceof Text) {
    if (old.data !== fresh.textContent) old.data = fresh.textContent ?? "";
  } else if (old instanceof HTMLElement && fresh instanceof HTMLElement) {
    if (old.dataset.final !== undefined && keyOf(old) === keyOf(fresh)) return;
    morphElement(old, fresh);
    morphChildren(old, fresh);
  }
}

/**
 * @param {HTMLElement} old
 * @param {HTMLElement} fresh
 */
function morphElement(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && name !== "style" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== "style" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
  for (const name of HANDLERS) Object.assign(old, { [name]: fresh[name] });
  const field = old instanceof HTMLInputElement || old instanceof HTMLSelectElement;
  if (field && old !== document.activeElement) {
    old.value = /** @type {HTMLInputElement} */ (fresh).value;
  }
}

/**
 * @param {HTMLElement} old
 * @param {HTMLElement} fresh
 */
function morphChildren(old, fresh) {
  const keyed = new Map();
  const kept = new Set([...fresh.children].map(keyOf));
  for (const child of [...old.children]) {
    if (!keyOf(child)) continue;
    if (kept.has(keyOf(child))) keyed.set(keyOf(child), child);
    else child.remove();
  }
  /** @type {ChildNode | null} */
  let cursor = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const match = keyOf(child) ? keyed.get(keyOf(child)) : alike(cursor, child) && cursor;
    if (!match) {
      old.insertBefore(child, cursor);
      continue;
    }
    if (match === cursor) cursor = match.nextSibling;
    else move(old, match, cursor);
    morph(match, child);
  }
  while (cursor) {
    const next = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }
}

/**
 * Move a child before another one; what has the focus keeps it where browsers can do that.
 * @param {HTMLElement} parent
 * @param {ChildNode} child
 * @param {ChildNode | null} before
 */
function move(parent, child, before) {
  const able = /** @type {{moveBefore?: (child: Node, before: Node | null) => void}} */ (parent);
  if (able.moveBefore) able.moveBefore(child, before);
  else parent.insertBefore(child, before);
}

/** @param {Node} node */
function keyOf(node) {
  return node instanceof HTMLElement ? node.dataset.key : undefined;
}

/**
 * @param {Node | null} one
 * @param {Node} other
 */
function alike(one, other) {
  return one !== null && one.nodeName === other.nodeName && !keyOf(one);
}

/**
 * Return the element of the page with this id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found;
}
