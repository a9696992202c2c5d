// What is asked of the server beside the stream. What cannot be read leaves the last values, with
// their age.

import { h, setText } from "./dom.js";
import { duration } from "./format.js";

/** The JSON of an address. Throws an Error whose message says in plain words why there is none. */
export async function read(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the console's server does not answer");
  }
  if (reply.status === 401) location.reload();
  const isJson = reply.headers.get("content-type")?.includes("json");
  const body = isJson ? await reply.json() : {};
  if (!reply.ok) throw Object.assign(new Error(body.detail ?? reply.statusText), { status: reply.status });
  return body;
}

/** An address with parameters; those that are empty are left out. */
export function address(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** A path's segment of any text. */
export function segment(text) {
  return encodeURIComponent(text);
}

/**
 * Reads again and again while the page is seen: `path` gives the address, `take` gets what came.
 * `element` says what is wrong, if something is.
 */
export class Remote {
  constructor({ path, take, every = null }) {
    Object.assign(this, { path, take, every });
    this.element = h("p", { class: "trouble", hidden: true });
    this.onvisible = () => {
      if (!document.hidden && this.every) this.refresh();
    };
    document.addEventListener("visibilitychange", this.onvisible);
  }

  async refresh() {
    clearTimeout(this.timer);
    this.abort?.abort();
    const abort = new AbortController();
    this.abort = abort;
    try {
      const found = await read(this.path(), { signal: abort.signal });
      if (abort.signal.aborted) return;
      this.known = Date.now();
      this.element.hidden = true;
      this.take(found);
    } catch (error) {
      if (abort.signal.aborted) return;
      const age = this.known ? ` These are the values of ${duration((Date.now() - this.known) / 1000)} ago.` : "";
      setText(this.element, `${error.message}.${age}`);
      this.element.hidden = false;
    }
    if (this.every && !document.hidden) this.timer = setTimeout(() => this.refresh(), this.every);
  }

  close() {
    clearTimeout(this.timer);
    this.abort?.abort();
    document.removeEventListener("visibilitychange", this.onvisible);
  }
}

/** A list that grows page by page: a table with a button for more. */
export class Paged {
  constructor({ path, rows, table, key }) {
    Object.assign(this, { path, rows, table, key });
    this.known = [];
    this.next = null;
    this.more = h("button", { type: "button", class: "more", hidden: true, on: { click: () => this.add() } }, "Show more");
    this.remote = new Remote({ path: () => path(null), take: (found) => this.begin(found), every: 5000 });
    this.element = h("div", {}, this.remote.element, table.element, this.more);
  }

  /** The newest ones, above those that were shown already. */
  begin(found) {
    const rows = this.rows(found);
    const fresh = new Set(rows.map(this.key));
    const end = rows.length ? this.known.findIndex((row) => this.key(row) === this.key(rows.at(-1))) : -1;
    const older = end < 0 ? [] : this.known.slice(end + 1).filter((row) => !fresh.has(this.key(row)));
    if (!older.length) this.next = found.next;
    this.show([...rows, ...older]);
  }

  async add() {
    this.more.disabled = true;
    try {
      const found = await read(this.path(this.next));
      const fresh = new Set(this.known.map(this.key));
      this.next = found.next;
      this.show([...this.known, ...this.rows(found).filter((row) => !fresh.has(this.key(row)))]);
    } catch (error) {
      setText(this.remote.element, `${error.message}.`);
      this.remote.element.hidden = false;
    }
    this.more.disabled = false;
  }

  show(rows) {
    this.known = rows;
    this.table.update(rows);
    this.more.hidden = !this.next;
  }

  /** Begin anew, for other parameters. */
  reset() {
    this.known = [];
    this.next = null;
    this.remote.refresh();
  }

  close() {
    this.remote.close();
  }
}
