// The page of a search by text: type, narrow down, see what was corrected, and why nothing was found.

import { Refused, postEvents, rows, search as collection, useKey } from "./api.js";
import { find, frame, systems } from "./search-api.js";

const SIZE = 20;
const WHO = { Lexical: "words", Nearest: "meaning" };
const at = (id) => document.getElementById(id);
const state = { system: "", table: "", roles: [], reply: null, turn: 0, key: "", stills: [] };

async function begin() {
  const found = (await systems()).find((system) => system.text);
  if (!found) throw new Error("No system of this project is asked by text.");
  Object.assign(state, { system: found.name, table: found.item, roles: found.roles });
  const some = await collection(state.table, "", 200);
  offer(some);
  const asked = new URLSearchParams(location.search).get("text");
  if (asked) return ask(asked);
  at("title").textContent = "From the collection";
  at("told").textContent = some.length ? "Type what you look for." : "";
  draw(some.slice(0, SIZE).map((row) => ({ id: String(Object.values(row)[0]) })), some);
  if (!some.length) empty("There is nothing to search yet. Import some: winnow import talks FOLDER");
}

// Filters that the collection has something to filter by.
function offer(some) {
  const languages = [...new Set(some.map((row) => row.language).filter(Boolean))].sort();
  at("language").append(...languages.map((name) => new Option(name, name)));
  at("language-field").hidden = !languages.length;
  at("length-field").hidden = !some.some((row) => row.duration_s != null);
  at("since-field").hidden = !some.some((row) => row.published_at != null);
}

function narrowed() {
  const filter = {};
  const [from, to] = ["from", "to"].map((id) => parseFloat(at(id).value) * 60);
  if (at("language").value) filter.language = at("language").value;
  if (from >= 0) filter.duration_s = { at_least: from };
  if (to >= 0) filter.duration_s = { ...filter.duration_s, at_most: to };
  if (at("since").value) filter.published_at = { at_least: `${at("since").value}T00:00:00Z` };
  return filter;
}

async function ask(text, correct = true) {
  const turn = ++state.turn;
  at("text").value = text;
  if (!text.trim()) return;
  at("results").classList.add("busy");
  try {
    const reply = await find(state.system, { text, correct, size: SIZE, filter: narrowed(), context: { surface: "page" } });
    const known = await rows(state.table, reply.items.map((item) => item.id));
    if (turn !== state.turn) return;
    state.reply = reply;
    answer(text, reply, known);
  } finally {
    if (turn === state.turn) at("results").classList.remove("busy");
  }
}

function answer(typed, reply, known) {
  at("facts").hidden = false;
  at("release").textContent = reply.release;
  at("took").textContent = `${reply.ms.toFixed(1)} ms`;
  at("title").textContent = `“${reply.text}”`;
  at("told").textContent = `${reply.items.length} found${reply.unknown.length ? `; nothing has ${reply.unknown.join(", ")}` : ""}.`;
  told(typed, reply);
  draw(reply.items, known);
  if (!reply.items.length) explain(reply);
  tell("impression", reply.items.map((item) => item.id));
}

function told(typed, reply) {
  const notice = at("corrected");
  notice.hidden = !reply.corrected.length;
  if (notice.hidden) return;
  const instead = Object.assign(document.createElement("button"), { type: "button", textContent: typed });
  instead.addEventListener("click", () => attempt(() => ask(typed, false)));
  notice.replaceChildren(`Corrected to “${reply.text}”. Search instead for `, instead);
}

// Why nothing was found, with what to relax at hand.
function explain(reply) {
  const steps = reply.why_empty.map((cause) => {
    const line = document.createElement("button");
    Object.assign(line, { type: "button", className: "quiet", textContent: `${plain(cause)}: ${cause.items} found` });
    line.addEventListener("click", () => attempt(() => relax(cause)));
    return cause.items && cause.what !== "hidden" ? line : document.createTextNode(cause.fix);
  });
  const why = Object.assign(document.createElement("div"), { className: "why" });
  why.append(...steps);
  empty("Nothing was found.");
  at("empty").append(why);
}

const NAMES = { duration_s: "length", published_at: "date", language: "language" };

function plain(cause) {
  if (cause.what !== "filter") return cause.fix;
  return cause.name === "all" ? "Leave out all filters" : `Leave out the filter on ${NAMES[cause.name] ?? cause.name}`;
}

function relax(cause) {
  const fields = { language: ["language"], duration_s: ["from", "to"], published_at: ["since"] };
  const text = at("text").value;
  if (cause.what === "filter") for (const id of fields[cause.name] ?? Object.values(fields).flat()) at(id).value = "";
  if (cause.what === "phrase") return ask(text.replaceAll('"', ""));
  if (cause.what === "without") return ask(text.replaceAll(new RegExp(`-${cause.name}`, "gi"), ""));
  return ask(text);
}

// Drawing -----------------------------------------------------------------------------------------------------------

function draw(items, known) {
  for (const url of state.stills.splice(0)) URL.revokeObjectURL(url);
  at("empty").hidden = true;
  const byId = new Map(known.map((row) => [String(Object.values(row)[0]), row]));
  at("results").replaceChildren(...items.map((item) => result(item, byId.get(item.id) ?? {})));
}

function result(item, row) {
  const one = at("result").content.firstElementChild.cloneNode(true);
  one.dataset.id = item.id;
  const name = one.querySelector("button");
  marked(name, row.title ?? item.id);
  name.addEventListener("click", () => attempt(() => open(one, item.id)));
  marked(one.querySelector(".about"), row.description ?? "");
  const facts = [
    row.speaker, row.language, length(row.duration_s), row.published_at && String(row.published_at).slice(0, 10),
    item.moment_s != null && `best at ${clock(item.moment_s)}`, item.score != null && item.score.toFixed(3),
  ];
  const said = facts.filter(Boolean).map((text) => Object.assign(document.createElement("span"), { textContent: text }));
  const chips = (item.sources ?? []).map((source) =>
    Object.assign(document.createElement("span"), { className: "chip", textContent: WHO[source] ?? source }));
  one.querySelector(".told").append(...said, ...chips);
  if (item.thumbnail) still(one.querySelector(".still"), item);
  return one;
}

async function still(place, item) {
  try {
    const url = URL.createObjectURL(await frame(item.thumbnail));
    state.stills.push(url);
    place.querySelector("img").src = url;
    place.querySelector("img").alt = "The moment that fits best";
    place.querySelector(".at").textContent = clock(item.moment_s);
    place.hidden = false;
  } catch {
    place.hidden = true; // it may not be shown any more
  }
}

// A text with the words that were asked for marked; never as HTML.
function marked(place, text) {
  const words = (state.reply?.text ?? "").replaceAll(/-\S+|"/g, " ").split(/\s+/).filter((word) => word.length > 2);
  const escaped = words.map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (!escaped.length) return void (place.textContent = text);
  const parts = String(text).split(new RegExp(`(${escaped.join("|")})`, "gi"));
  place.replaceChildren(...parts.map((part, i) =>
    i % 2 ? Object.assign(document.createElement("mark"), { textContent: part }) : document.createTextNode(part)));
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const length = (seconds) => (seconds == null ? "" : `${Math.max(1, Math.round(seconds / 60))} min`);

function empty(text) {
  at("empty").textContent = text;
  at("empty").hidden = false;
}

// Acting ------------------------------------------------------------------------------------------------------------

async function open(one, id) {
  one.classList.toggle("open");
  if (one.classList.contains("open")) await tell("click", [id]);
}

async function tell(type, ids) {
  if (!state.reply || !ids.length) return;
  const { query, recommendation_id, items } = state.reply;
  const [asking, answering] = state.roles;
  const place = new Map(items.map((item) => [item.id, item.position]));
  await postEvents(ids.map((id) => ({
    event_id: crypto.randomUUID(), type, recommendation_id, [asking]: query, [answering]: id,
    ...(type === "impression" ? { position: place.get(id), surface: "page" } : {}),
  })));
}

// A service that asks for a key --------------------------------------------------------------------------------------

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return withKey(work);
    toast(error.fix ? `${error.message}: ${error.fix}` : error.message);
  }
}

function withKey(work) {
  at("key-wrong").hidden = !state.key;
  at("key").onclose = () => {
    state.key = at("key-text").value;
    useKey(state.key);
    attempt(work);
  };
  at("key").showModal();
}

let fading;
function toast(text) {
  at("toast").textContent = text;
  at("toast").hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (at("toast").hidden = true), 6000);
}

// Listening ---------------------------------------------------------------------------------------------------------

const again = () => attempt(() => ask(at("text").value));
at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  again();
});
at("narrow").addEventListener("submit", (event) => event.preventDefault());
at("narrow").addEventListener("change", again);
at("narrow").addEventListener("reset", () => setTimeout(again));

attempt(begin);
