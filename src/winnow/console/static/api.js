// The HTTP API, and nothing else: what this page can do, any client can.

const KEY = "winnow-key";

export class Refused extends Error {
  constructor(status, error) {
    super(error?.message ?? `the service answered ${status}`);
    this.status = status;
    this.fix = error?.fix ?? "";
  }
}

export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

async function send(method, path, body) {
  const headers = body ? { "content-type": "application/json" } : {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.authorization = `Bearer ${key}`;
  const reply = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  const data = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refused(reply.status, data.error);
  return data;
}

const query = (values) => new URLSearchParams(values).toString();

export const rank = (system, user, size) =>
  send("POST", `/v1/systems/${system}/rank`, {
    // No chance picks here: what changes between two lists is due to what was done in between.
    user, size, context: { surface: "home" }, explain: true, reasons: true, exploration: 0,
  });

// What is like an item, among those that a filter lets through.
export const like = (system, user, asked) => send("POST", `/v1/systems/${system}/rank`, { user, ...asked });

export const postEvents = (events) => send("POST", "/v1/events", { events });

const items = async (asked) => (await asked).items;

export const systems = () => items(send("GET", "/v1/systems"));

export const search = (table, text, limit) => items(send("GET", `/v1/tables/${table}?${query({ query: text, limit })}`));

export const rows = async (table, ids) => (ids.length ? items(send("POST", `/v1/tables/${table}/rows`, { ids })) : []);

export const eventsOf = (table, id, type, limit) =>
  items(send("GET", `/v1/tables/${table}/${encodeURIComponent(id)}/events?${query({ type, limit })}`));
