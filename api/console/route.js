// @ts-check
/** Where the reader is: all of it stands in the address, so that a link shows the same. */

/** @typedef {{view: string, id: string, params: URLSearchParams}} Route */

/** @returns {Route} */
export function here() {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", id = ""] = path.split("/");
  return {
    view: view || "overview",
    id: decoded(id),
    params: new URLSearchParams(query),
  };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Return a link to a view; the moment that is looked at goes with it.
 * @param {string} view
 * @param {string} [id]
 * @param {Record<string, string | number | undefined>} [params]
 */
export function link(view, id = "", params = {}) {
  const query = new URLSearchParams();
  const moment = here().params.get("as_of");
  for (const [name, value] of Object.entries({ as_of: moment ?? undefined, ...params })) {
    if (value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return `#/${view}${id ? `/${encodeURIComponent(id)}` : ""}${text ? `?${text}` : ""}`;
}

/**
 * Return a link to where the reader is with some parameters changed; empty ones are left out.
 * @param {Record<string, string | number | undefined>} changes
 */
export function changed(changes) {
  const { view, id, params } = here();
  return link(view, id, { ...Object.fromEntries(params), ...changes });
}

/** @param {string} address */
export function go(address) {
  location.hash = address.replace(/^#/, "");
}
