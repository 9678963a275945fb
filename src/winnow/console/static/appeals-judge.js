// For whoever looks again: one appeal at a time, the post hidden until asked for, decided by keyboard.

import * as api from "./appeals-api.js";
import { what } from "./appeals-author.js";
import { at, attempt, named, plain, run, start, tell, typing } from "./desk.js";
import * as veil from "./veil.js";
import { ago, moment } from "./words.js";

const SAID = { upheld: "It stays.", reversed: "It was wrong, and has ended." };
const state = { waiting: [], place: 0, appeal: null, made: null, kept: true };

async function look() {
  const all = await api.waiting();
  state.waiting = all.filter((one) => one.yours);
  at("none").textContent = all.length ? "No appeal waits for you; those that are open are for others." : "No appeal is open.";
  state.place = 0;
  await present();
}

async function present() {
  veil.conceal();
  at("said").textContent = "";
  state.appeal = state.waiting[state.place] ?? null;
  for (const id of ["post", "ruling"]) at(id).hidden = true;
  at("empty").hidden = Boolean(state.appeal);
  at("ruling").reset();
  say();
  if (!state.appeal) return at("again").focus();
  const facts = await api.facts(state.appeal.decision);
  state.made = facts.made;
  at("decided").textContent = what(facts.action);
  at("because").textContent = facts.made.reason;
  at("place").textContent = `${state.place + 1} of ${state.waiting.length}`;
  at("about").textContent = [
    `decided ${ago(moment(facts.at))}`, `appealed ${ago(moment(state.appeal.at))}`,
    facts.made.language && `language ${facts.made.language}`,
  ].filter(Boolean).join(" · ");
  at("source").hidden = !facts.made.source;
  at("said").textContent = "";
  for (const id of ["post", "ruling"]) at(id).hidden = false;
  at("post").focus({ preventScroll: true });
}

const toggle = () => veil.toggle(content, state.made.spans);

async function content() {
  const found = await api.content(state.appeal.id);
  state.kept = found.kept;
  at("said").textContent = found.statement || "Nothing more.";
  at("gone").hidden = found.kept;
  tell("");
  return found;
}

const chosen = () => at("ruling").elements.outcome.value;

function say() {
  const outcome = chosen();
  at("decide").disabled = !outcome;
  at("decide-text").textContent = outcome ? `Record: ${outcome}` : "Choose first";
}

function choose(outcome) {
  at("ruling").elements.outcome.value = outcome;
  say();
  at("why").focus();
}

async function decide() {
  if (!veil.seen()) return tell("Look at the post first: Space shows it.");
  const outcome = chosen();
  if (!outcome) return tell("Choose whether the decision stays (U) or was wrong (R).");
  const made = await api.decide(state.appeal.id, outcome, at("why").value, at("all").checked);
  const also = made.changed.length - 1;
  await look();
  tell(`${SAID[outcome]}${also > 0 ? ` With it ${also} more that rested on it.` : ""}`);
}

async function next() {
  if (!state.waiting.length) return look();
  state.place = (state.place + 1) % state.waiting.length;
  await present();
}

const KEYS = {
  " ": toggle, i: veil.clear, u: () => choose("upheld"), r: () => choose("reversed"), n: next, Enter: decide,
  a: () => !at("source").hidden && at("all").click(),
};

function pressed(event) {
  if (!plain(event)) return;
  const key = named(event);
  if (key === "Escape" && typing(event)) return at("post").focus();
  const own = event.target.closest("button, a") || (typing(event) && event.target.type !== "radio");
  if (own) return;
  if (!state.appeal) return key === "l" ? run(event, look) : undefined;
  if (KEYS[key]) run(event, KEYS[key]);
}

export function begin() {
  document.addEventListener("keydown", pressed);
  at("ruling").addEventListener("submit", (event) => run(event, decide));
  at("ruling").addEventListener("change", say);
  for (const [id, work] of Object.entries({ show: toggle, hide: toggle, clear: veil.clear, next, again: look })) {
    at(id).addEventListener("click", () => attempt(async () => work()));
  }
  start(look);
}
