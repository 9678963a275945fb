// The routes of a search, by picture and by text.

import { Refused } from "./api.js";

async function send(method, path, body, type) {
  const headers = type ? { "content-type": type } : {};
  const key = sessionStorage.getItem("winnow-key");
  if (key) headers.authorization = `Bearer ${key}`;
  const reply = await fetch(path, { method, headers, body, cache: "no-store" });
  if (reply.ok) return reply;
  const data = await reply.json().catch(() => ({}));
  throw new Refused(reply.status, data.error);
}

const json = async (asked) => (await asked).json();

// Name, tables and roles of every system: who asks, who answers.
export async function systems() {
  const { items } = await json(send("GET", "/v1/systems"));
  return Promise.all(items.map(async (item) => {
    const { declaration } = await json(send("GET", `/v1/systems/${encodeURIComponent(item.name)}`));
    const text = (declaration.pipeline.sources ?? []).some((source) => source.kind === "Lexical");
    return { ...item, text, roles: Object.keys(declaration.labels.of.refs) };
  }));
}

export function look(system, { id, file, box }, size) {
  const path = `/v1/systems/${encodeURIComponent(system)}/search`;
  if (id) return json(send("POST", path, JSON.stringify({ id, size, ...(box ? { box } : {}) }), "application/json"));
  const options = new URLSearchParams({ size, ...(box ? { box: JSON.stringify(box) } : {}) });
  return json(send("POST", `${path}?${options}`, file, "application/octet-stream"));
}

export const thumbnail = async (system, id, side = 256) =>
  (await send("GET", `/v1/systems/${encodeURIComponent(system)}/pictures?${new URLSearchParams({ id, side })}`)).blob();

export const find = (system, asked) =>
  json(send("POST", `/v1/systems/${encodeURIComponent(system)}/search`, JSON.stringify(asked), "application/json"));

export const frame = async (place) => (await send("GET", place)).blob();
