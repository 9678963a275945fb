// Data as people say it.

const LOCALE = "en-GB";

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function personName(id) {
  if (/^\d+$/.test(id)) return `Person ${id}`;
  return id.split(/[-_.\s]+/).map(capital).join(" ");
}

let noun = "Item";
let people = false; // whether items are people, whose ids are their names

// What an item is called in this service: the name of its table.
export function call(name, arePeople = false) {
  [noun, people] = [capital(name), arePeople];
  return noun;
}

export function titleOf(row, id) {
  return row?.title || row?.text || (people ? personName(id) : `${noun} ${id}`);
}

export const tagsOf = (row) => row?.tags ?? [row?.topic].filter(Boolean);

export function duration(seconds) {
  if (!(seconds > 0)) return "";
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((n, i) => (i ? String(n).padStart(2, "0") : n)).join(":");
}

const STEPS = [["year", 31557600], ["month", 2629800], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto" });

export function ago(moment, now = Date.now()) {
  const seconds = (moment - now) / 1000;
  const [unit, size] = STEPS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 0];
  return size ? relative.format(Math.round(seconds / size), unit) : "just now";
}

// Microseconds since 1970, or ISO 8601 text, as milliseconds.
export function moment(value) {
  return typeof value === "number" ? value / 1000 : Date.parse(value);
}

export const list = (words) => new Intl.ListFormat(LOCALE, { type: "conjunction" }).format(words);

export function taste(items) {
  const counts = new Map();
  for (const item of items) for (const tag of tagsOf(item)) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  const order = [...counts].sort((a, b) => b[1] - a[1]);
  if (!order.length) return "";
  const often = order.filter(([, n], i) => i < 3 && n >= Math.max(2, order[0][1] / 2)).map(([tag]) => tag);
  const main = often.length ? often : [order[0][0]];
  const also = order.map(([tag]) => tag).filter((tag) => !main.includes(tag)).slice(0, 2);
  return `Mostly ${list(main)}${also.length ? `, now and then ${list(also)}` : ""}.`;
}

export function told(row, key) {
  const said = [];
  if (row.activity) said.push(`${row.activity.replaceAll("_", " ")} activity`);
  if (row.register_days != null) said.push(`here for ${Math.round(row.register_days).toLocaleString(LOCALE)} days`);
  if (row.follows) said.push(`follows ${row.follows.replace("-", "\u2060–\u2060")}`);
  if (row.country) said.push(`from ${row.country}`);
  if (row.joined_at) said.push(`joined ${ago(moment(row.joined_at))}`);
  return capital(said.join(" · ")) || row[key];
}

// `CoWatched` → `co-watched`
export const part = (name) => name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase().replace(/^co /, "co-");

export const percent = (p) => `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)} %`;
