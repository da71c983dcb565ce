// @ts-check
/** Requests to the server, and its stream of events. */

/** Before this sequence are all events. */
export const AT_THE_END = Number.MAX_SAFE_INTEGER;
const TOKEN = "taskledger.token";
const PAUSES = [500, 1_000, 2_000, 5_000];
/** The server gives a sign of life far more often: a connection without any is a dead one. */
const LONGEST_SILENCE = 60_000;

/** @typedef {{id: string, event: string, data: string}} Message */
/** @typedef {Record<string, string | number | boolean | undefined | null>} Query */
/**
 * Who is told what happens to a stream.
 * @typedef {{event: (sequence: number, written: string) => void, live: () => void, away: () => void,
 *   refused: (error: RequestError) => void}} Follower
 */

/** What the server refused, or that it could not be asked (status 0). */
export class RequestError extends Error {
  /**
   * @param {number} status
   * @param {string} text
   */
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** The access token lives in this tab alone and goes out in a header, never in a URL. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  /** @param {string} text */
  set: (text) => sessionStorage.setItem(TOKEN, text),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/**
 * Return the JSON that the server answers.
 * @param {string} path
 * @param {Query} [query]
 * @returns {Promise<any>}
 */
export const get = (path, query = {}) => ask("GET", pathWith(path, query));

/**
 * Return the JSON that the server answers to a command.
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export const post = (path, body) => ask("POST", path, body);

/**
 * Return a path with the parameters that have a value.
 * @param {string} path
 * @param {Query} query
 */
export function pathWith(path, query) {
  const given = Object.entries(query).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/**
 * Return a shell line that sends the same command.
 * @param {string} path
 * @param {unknown} body
 */
export function asCurl(path, body) {
  const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const words = ["curl -X POST", quoted(location.origin + path)];
  if (token.get()) words.push(`-H "Authorization: Bearer $TASKLEDGER_TOKEN"`);
  if (body !== undefined) {
    words.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  }
  return words.join(" ");
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
async function ask(method, path, body) {
  const headers = {
    ...authorization(),
    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
  };
  const answer = await reach(path, {
    method,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new RequestError(answer.status, refusal(text) || answer.statusText);
  return text ? JSON.parse(text, exact) : null;
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function reach(path, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new RequestError(0, "the server cannot be reached");
  }
}

/** @returns {Record<string, string>} */
function authorization() {
  return token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
}

/** @param {string} text */
function refusal(text) {
  try {
    return String(JSON.parse(text).error ?? "");
  } catch {
    return text.slice(0, 200);
  }
}

/**
 * Keep numbers as they were written when a double cannot hold them.
 * @param {string} _
 * @param {unknown} value
 * @param {{source?: string}} [context]
 */
function exact(_, value, context) {
  const raw = /** @type {any} */ (JSON).rawJSON;
  const whole =
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
  return whole && raw && context?.source ? raw(context.source) : value;
}

/**
 * Follow the whole ledger from after a sequence until the signal is aborted: every event is told
 * once, however often the connection has to be made again. Events are told as they were written,
 * since reading each would cost more than all else when thousands come in a second.
 * @param {number} after
 * @param {AbortSignal} signal
 * @param {Follower} tell
 */
export async function follow(after, signal, tell) {
  const position = { last: after };
  let failures = 0;
  while (!signal.aborted) {
    try {
      await followOnce(position, signal, {
        ...tell,
        live: () => {
          failures = 0;
          tell.live();
        },
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof RequestError && (error.status === 401 || error.status === 403)) {
        tell.refused(error);
        return;
      }
    }
    tell.away();
    await pause(PAUSES[Math.min(failures++, PAUSES.length - 1)] ?? 0, signal);
  }
}

/**
 * Follow the ledger over one connection, until it ends or brings nothing for too long.
 * @param {{last: number}} position
 * @param {AbortSignal} signal
 * @param {Follower} tell
 */
async function followOnce(position, signal, tell) {
  const silence = new AbortController();
  let timer = 0;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), LONGEST_SILENCE);
  };
  heard();
  try {
    const answer = await reach(pathWith("/api/stream", { after_sequence: position.last }), {
      headers: { ...authorization(), Accept: "text/event-stream" },
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (!answer.ok) throw new RequestError(answer.status, refusal(await answer.text()));
    tell.live();
    for await (const message of messages(answer, heard)) {
      const sequence = Number(message.id);
      if (!message.id || sequence <= position.last) continue;
      position.last = sequence;
      if (message.event !== "checkpoint") tell.event(sequence, message.data);
    }
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Yield the messages of an event stream (WHATWG HTML, server-sent events).
 * @param {Response} answer
 * @param {() => void} heard called whenever something comes
 * @returns {AsyncGenerator<Message>}
 */
async function* messages(answer, heard) {
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
    if (done) return;
    heard();
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    yield* blocks.map(parsed);
  }
}

/**
 * @param {string} block
 * @returns {Message}
 */
function parsed(block) {
  const message = { id: "", event: "", data: "" };
  for (const line of block.split("\n")) {
    const [, name, value] = /^(id|event|data): ?(.*)$/.exec(line) ?? [];
    if (name === "data") message.data += value;
    else if (name === "id" || name === "event") message[name] = value ?? "";
  }
  return message;
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 */
function pause(milliseconds, signal) {
  return new Promise((resume) => {
    setTimeout(resume, milliseconds);
    signal.addEventListener("abort", resume, { once: true });
  });
}
