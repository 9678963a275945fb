// The page for reviewers: one post at a time, hidden until asked for, decided by keyboard, with undo.

import { at, attempt, named, plain, run, start, tell } from "./desk.js";
import * as api from "./review-api.js";
import * as veil from "./veil.js";
import { ago, moment, part, percent } from "./words.js";

const template = at("head");
const state = { item: null, last: null };

// The next post -----------------------------------------------------------------------------------------------------

async function next() {
  const reply = await api.next();
  counts(reply.counts);
  present(reply.item);
}

function present(item) {
  veil.conceal();
  state.item = item;
  for (const id of ["post", "form"]) at(id).hidden = !item;
  at("empty").hidden = Boolean(item);
  if (!item) return tell("");
  const passages = item.spans.length;
  at("about").textContent = [
    ago(moment(item.at)), item.language && `language ${item.language}`,
    passages ? `${passages} ${passages === 1 ? "passage" : "passages"} marked` : "no passage marked",
  ].filter(Boolean).join(" · ");
  at("until").textContent = `yours until ${new Date(item.until).toLocaleTimeString("en-GB")}`;
  at("heads").replaceChildren(...Object.entries(item.heads).map(([name, why], place) => choice(name, why, place)));
  say();
  at("post").focus({ preventScroll: true });
}

function choice(name, why, place) {
  const element = template.content.firstElementChild.cloneNode(true);
  const score = state.item.scores[name];
  const box = element.querySelector("input");
  box.name = name;
  box.addEventListener("change", say);
  element.querySelector("kbd").textContent = place < 9 ? place + 1 : "";
  element.querySelector(".name").textContent = part(name);
  element.querySelector(".why").textContent = why;
  element.querySelector("output").textContent = score == null ? "not judged" : percent(score);
  // Widths by script: the page's rules allow no inline styles in its text.
  element.querySelector(".meter i").style.width = `${100 * (score ?? 0)}%`;
  return element;
}

function counts(found) {
  at("counts").hidden = false;
  for (const name of ["waiting", "claimed", "appeals", "done"]) at(name).textContent = found[name];
  at("oldest").textContent = found.oldest ? ago(moment(found.oldest)) : "none";
}

const toggle = () => veil.toggle(() => api.content(state.item.task), state.item.spans);

// Verdicts ----------------------------------------------------------------------------------------------------------

const boxes = () => [...at("heads").querySelectorAll("input")];

function say() {
  const found = boxes().filter((box) => box.checked).map((box) => part(box.name));
  at("submit-text").textContent = found.length ? `It is: ${found.join(", ")}` : "Nothing of this";
}

async function decide(heads, words) {
  const { task } = state.item;
  const made = await api.verdict(task, heads);
  state.last = made.verdict;
  at("taken").hidden = false;
  at("taken-text").textContent = words;
  forget(moment(made.undo_until) - Date.now());
  await next();
  tell(words);
}

let forgetting;
function forget(wait) {
  clearTimeout(forgetting);
  forgetting = setTimeout(() => { at("taken").hidden = true; state.last = null; }, Math.max(0, wait));
}

async function submit() {
  if (!veil.seen()) return tell("Look at the post first, or leave it to somebody else.");
  const found = boxes().filter((box) => box.checked).map((box) => part(box.name));
  const heads = Object.fromEntries(boxes().map((box) => [box.name, box.checked]));
  await decide(heads, `Recorded: ${found.join(", ") || "nothing of this"}.`);
}

const unsure = () => decide(null, "Recorded: cannot tell.");

async function skip() {
  await api.skip(state.item.task);
  await next();
  tell("Left to somebody else.");
}

async function undo() {
  if (state.last === null) return;
  await api.undo(state.last);
  state.last = null;
  at("taken").hidden = true;
  await next();
  tell("Taken back: the post is yours again.");
}

// Keys --------------------------------------------------------------------------------------------------

const KEYS = {
  " ": toggle, i: veil.clear,
  Enter: submit, c: unsure, s: skip, z: undo,
};

function pressed(event) {
  if (!plain(event)) return;
  const key = named(event);
  if (key === "z") return run(event, undo);
  if (!state.item) return key === "r" ? run(event, next) : undefined;
  const box = /^[1-9]$/.test(key) ? boxes()[Number(key) - 1] : null;
  if (box) {
    box.checked = !box.checked;
    say();
    event.preventDefault();
  } else if (KEYS[key] && !(event.target.closest("button, a, input") && (key === "Enter" || key === " "))) {
    run(event, KEYS[key]);
  }
}

document.addEventListener("keydown", pressed);
at("form").addEventListener("submit", (event) => run(event, submit));
for (const [id, work] of Object.entries({ show: toggle, hide: toggle, unsure, skip, undo, again: next, clear: veil.clear })) {
  at(id).addEventListener("click", () => attempt(async () => work()));
}
start(next);
