// The page: pick a person, see the list, act, see the next list.

import * as api from "./api.js";
import { show } from "./list.js";
import { past, picker, present } from "./person.js";
import { call, part, personName, titleOf } from "./words.js";

const SIZE = 15;
const PAST = 30;
const WAITS_MS = [60, 90, 120, 180, 250, 400, 600, 800];
const HEADS = { click: "Click", long_view: "Long view", like: "Like", watch_s: "Watch time", dwell_s: "Time spent" };
// Of what a person did, the first that there is.
const PASTS = { watch: "Watched", click: "Opened", like: "Liked", register: "Registered", request: "Asked" };
const VERBS = { watch: "Watch", register: "Register", request: "Ask" };

const at = (id) => document.getElementById(id);
const state = { about: null, user: null, reply: null, rows: new Map(), watched: [], busy: false };

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function learn(ids) {
  const missing = [...new Set(ids)].filter((id) => !state.rows.has(id));
  const { item, item_key } = state.about;
  for (const row of await api.rows(item, missing)) state.rows.set(String(row[item_key]), row);
}

// The items in a reply: those shown, and those that reasons speak of.
const named = (reply) =>
  reply.items.flatMap((item) => [item.id, ...(item.reasons ?? []).map((reason) => reason.item)]).filter(Boolean);

// Opening a person's page -------------------------------------------------------------------------------------------

async function open(user) {
  state.user = user;
  history.replaceState(null, "", `#${encodeURIComponent(user)}`);
  await attempt(async () => {
    const about = state.about;
    const [rows, events, reply] = await Promise.all([
      api.rows(about.user, [user]), api.eventsOf(about.user, user, about.past, PAST), api.rank(about.name, user, SIZE),
    ]);
    state.watched = events.map((event) => ({ item: event[about.item_role], at: event.at }));
    await learn([...named(reply), ...state.watched.map((event) => event.item)]);
    present(user, rows[0], about.user_key);
    past(state.watched, state.rows, PASTS[about.past]);
    draw(reply, null);
    at("change").textContent = `${about.open}${about.events.includes("like") ? ", like" : ""} or hide something: the next list will differ.`;
  });
}

async function anyone() {
  await attempt(async () => {
    const letter = String.fromCharCode(97 + Math.floor(Math.random() * 26));
    const { user, user_key } = state.about;
    let rows = await api.search(user, letter, 50);
    if (!rows.length) rows = await api.search(user, "", 50);
    if (!rows.length) throw new Error(`There is nobody in the table \`${user}\` yet: import some data first.`);
    await open(String(rows[Math.floor(Math.random() * rows.length)][user_key]));
  });
}

// Drawing -----------------------------------------------------------------------------------------------------------

function headsOf(reply, item) {
  const predicted = reply.explanation?.items?.find((one) => one.id === item.id)?.heads ?? {};
  return Object.entries(predicted).map(([name, value]) => ({
    name, value, label: HEADS[name] ?? part(name), type: name.endsWith("_s") ? "amount" : "binary",
  }));
}

function draw(reply, before) {
  state.reply = reply;
  at("list-title").textContent = `${state.about.nouns} for ${personName(state.user)}`;
  const { open, events } = state.about;
  const acts = [...events, ...(events.includes("dismiss") ? ["hide"] : [])];
  const moved = show(reply, { rows: state.rows, headsOf, before, act, open, acts });
  at("empty").hidden = reply.items.length > 0;
  at("empty").textContent = "Nothing left to show: this person has seen everything that may be shown.";
  facts(reply);
  stages(reply);
  return moved;
}

function facts(reply) {
  at("release").textContent = reply.release;
  at("declaration").textContent = reply.declaration;
  at("took").textContent = `${reply.ms.toFixed(1)} ms`;
  at("facts").hidden = false;
}

function stages(reply) {
  const all = reply.explanation?.stages ?? [];
  at("stages").replaceChildren(...all.map(stageRow));
  at("stages").closest("section").hidden = !all.length;
  const faults = (reply.degraded ?? []).map((fault) => `${part(fault.part)}: ${fault.effect}`);
  at("degraded").hidden = !faults.length;
  at("degraded").textContent = faults.join(" · ");
}

function stageRow(stage) {
  const row = document.createElement("tr");
  row.classList.toggle("failed", Boolean(stage.error));
  const name = row.insertCell();
  const kind = document.createElement("span");
  kind.className = "kind";
  kind.textContent = stage.kind;
  name.append(kind, stage.name === stage.kind ? "" : ` ${part(stage.name)}`);
  for (const text of [stage.kind === "source" ? "" : stage.in, stage.out, stage.ms.toFixed(1)]) {
    const cell = row.insertCell();
    cell.className = "number";
    cell.textContent = text;
  }
  return row;
}

// Acting ------------------------------------------------------------------------------------------------------------

function eventsFor(kind, item) {
  const { about, user, reply, rows } = state;
  const seconds = rows.get(item.id)?.duration_s ?? 60;
  const event = (type, more) => ({
    event_id: `${reply.recommendation_id}-${item.id}-${type}`, type, [about.user_role]: user, [about.item_role]: item.id,
    recommendation_id: reply.recommendation_id, ...more,
  });
  const seen = event("impression", { surface: "home", position: item.position });
  const opened = [event("click"), event("watch", { seconds, long: true })];
  if (about.past in VERBS && about.past !== "watch") opened.push(event(about.past));
  const hidden = [event("hide"), event("dismiss")];
  const acts = { open: [seen, ...opened], like: [seen, ...opened, event("like")], hide: [seen, ...hidden] };
  return acts[kind].filter((one) => about.events.includes(one.type));
}

const done = (kind) => ({ open: PASTS[state.about.past], like: "Liked", hide: "Hidden" })[kind];

async function act(kind, item) {
  if (state.busy) return;
  state.busy = true;
  at("list").classList.add("busy");
  await attempt(async () => {
    await api.postEvents(eventsFor(kind, item));
    const before = state.reply.items.map((one) => one.id).filter((id) => id !== item.id);
    const reply = await nextList(item.id);
    await learn(named(reply));
    if (kind !== "hide") state.watched = [{ item: item.id, at: Date.now() * 1000 }, ...state.watched];
    past(state.watched, state.rows, PASTS[state.about.past], item.id);
    tell(done(kind), item.id, draw(reply, before));
    at("list-title").focus({ preventScroll: true });
  });
  at("list").classList.remove("busy");
  state.busy = false;
}

// The list once the service has taken in what was done: by then the item is among those seen.
async function nextList(gone) {
  let reply;
  for (const wait of WAITS_MS) {
    await pause(wait);
    reply = await api.rank(state.about.name, state.user, SIZE);
    if (reply.items.every((item) => item.id !== gone)) break;
  }
  return reply;
}

function tell(done, id, moved) {
  const kinds = [...moved.values()];
  const count = (test) => kinds.filter(test).length;
  const [fresh, up, down] = [count((k) => k === "new"), count((k) => k > 0), count((k) => k < 0)];
  const title = titleOf(state.rows.get(id), id);
  at("change").textContent = `${done} “${title}”. ${fresh} new, ${up} up, ${down} down.`;
}

// Trouble -----------------------------------------------------------------------------------------------------------

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    failed(error);
  }
}

let fading;
function failed(error) {
  if (error instanceof api.Refused && error.status === 401) return askForKey();
  const toast = at("toast");
  toast.textContent = [error.message, error.fix].filter(Boolean).join(" – ");
  toast.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (toast.hidden = true), 8000);
}

function askForKey() {
  const dialog = at("key");
  if (dialog.open) return;
  at("key-wrong").hidden = !at("key-text").value;
  dialog.onclose = () => {
    api.useKey(at("key-text").value);
    begin();
  };
  dialog.showModal();
}

// Which system the page shows: the first that puts items in order for people.
async function learnAbout() {
  const about = (await api.systems()).find((one) => one.ranks && !one.alike);
  if (!about) throw new Error("No system of this project puts anything in order for people.");
  const people = about.user === about.item;
  const noun = call(about.item_role.replaceAll("_", " "), people);
  const past = Object.keys(PASTS).find((type) => about.events.includes(type)) ?? "click";
  state.about = { ...about, past, nouns: people ? "People" : `${noun}s`, open: VERBS[past] ?? "Open" };
  at("system").textContent = about.name.replaceAll("_", " ");
  picker({ table: about.user, key: about.user_key, choose: open, failed });
}

async function begin() {
  let ready = false;
  await attempt(async () => {
    if (!state.about) await learnAbout();
    ready = true;
  });
  if (!ready) return;
  const asked = decodeURIComponent(location.hash.slice(1));
  return asked ? open(asked) : anyone();
}

at("anyone").addEventListener("click", anyone);
begin();
