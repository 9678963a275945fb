// The routes of review, and nothing else: what this page can do, any client can.

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

async function send(path, body = {}) {
  const headers = { "content-type": "application/json" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.authorization = `Bearer ${key}`;
  // With a key the service knows who reviews; without keys it has to be told.
  const who = key ? {} : { reviewer: sessionStorage.getItem(NAME) ?? "" };
  const options = { method: "POST", headers, body: JSON.stringify({ ...body, ...who }), cache: "no-store" };
  const reply = await fetch(`/v1/moderation/review/${path}`, options);
  const data = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refused(reply.status, data.error);
  return data;
}

export const next = () => send("next");
export const content = (task) => send(`${encodeURIComponent(task)}/content`);
export const verdict = (task, heads) => send(`${encodeURIComponent(task)}/verdict`, { heads });
export const skip = (task) => send(`${encodeURIComponent(task)}/skip`);
export const undo = (verdict) => send("undo", { verdict });
