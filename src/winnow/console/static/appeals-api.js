// The routes of appeals.

import { call, name, Refused, send } from "./review-api.js";

const decision = (id) => `decisions/${encodeURIComponent(id)}`;
const appeal = (id) => `appeals/${encodeURIComponent(id)}`;

export const notice = (id) => call("GET", `${decision(id)}/notice`);
export const open = (id, statement, post) => call("POST", "appeals", { decision: id, statement, ...(post ? { post } : {}) });
export const facts = (id) => call("GET", decision(id));
export const content = (id) => send(`${appeal(id)}/content`);
export const decide = (id, outcome, why, all) => send(`${appeal(id)}/decide`, { outcome, why, source_too: all });

// The open appeals, oldest first. A service without keys cannot tell whose they are unless it knows the name.
export async function waiting() {
  const who = name();
  const { items } = await call("GET", `appeals?${new URLSearchParams({ limit: 200, ...(who ? { reviewer: who } : {}) })}`);
  if (items.length && items[0].yours === undefined) throw new Refused(400, { code: "no-reviewer" });
  return items;
}
