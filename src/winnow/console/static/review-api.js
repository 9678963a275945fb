// The routes of review, and how a page asks: what this page can do, any client can.

const KEY = "winnow-key";
const NAME = "winnow-reviewer";

export class Refused extends Error {
  constructor(status, error) {
    super(error?.message ?? `the service answered ${status}`);
    this.status = status;
    this.code = error?.code ?? "";
    this.fix = error?.fix ?? "";
  }
}

export const useKey = (key) => sessionStorage.setItem(KEY, key);
export const useName = (name) => sessionStorage.setItem(NAME, name);

// With a key the service knows who reviews; without keys it has to be told.
const key = () => sessionStorage.getItem(KEY);
export const name = () => (key() ? "" : sessionStorage.getItem(NAME) ?? "");
const who = () => (key() ? {} : { reviewer: name() });

export async function call(method, path, body) {
  const headers = body ? { "content-type": "application/json" } : {};
  if (key()) headers.authorization = `Bearer ${key()}`;
  const options = { method, headers, body: body && JSON.stringify(body), cache: "no-store" };
  const reply = await fetch(`/v1/moderation/${path}`, options);
  const data = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refused(reply.status, data.error);
  return data;
}

export const send = (path, body = {}) => call("POST", path, { ...body, ...who() });

const task = (id) => `review/${encodeURIComponent(id)}`;
export const next = () => send("review/next");
export const content = (id) => send(`${task(id)}/content`);
export const verdict = (id, heads) => send(`${task(id)}/verdict`, { heads });
export const skip = (id) => send(`${task(id)}/skip`);
export const undo = (verdict) => send("review/undo", { verdict });
