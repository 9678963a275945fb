// The page for reviewers: one post at a time, hidden until asked for, decided by keyboard, with undo.

import * as api from "./review-api.js";
import { ago, moment, part, percent } from "./words.js";

const at = (id) => document.getElementById(id);
const template = at("head");
const state = { item: null, shown: false, loaded: false, busy: false, last: null, picture: "" };

// The next post -----------------------------------------------------------------------------------------------------

async function next() {
  const reply = await api.next();
  counts(reply.counts);
  present(reply.item);
}

function present(item) {
  conceal();
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

// Showing and hiding ------------------------------------------------------------------------------------------------

async function toggle() {
  if (state.shown) return cover();
  if (!state.loaded) {
    const found = await api.content(state.item.task);
    write(found.text);
    draw(found.image);
    at("unshown").hidden = !found.unshown;
    state.loaded = true;
  }
  state.shown = true;
  at("cover").hidden = true;
  at("content").hidden = false;
}

function cover() {
  state.shown = false;
  at("cover").hidden = false;
  at("content").hidden = true;
  veil(true);
}

// Nothing of a post stays in the page once it is done with.
function conceal() {
  cover();
  state.loaded = false;
  at("text").replaceChildren();
  at("image").removeAttribute("src");
  at("figure").hidden = true;
  if (state.picture) URL.revokeObjectURL(state.picture);
  state.picture = "";
}

// The service counts characters, the browser half surrogate pairs.
function write(text) {
  const letters = Array.from(text);
  const parts = [];
  let done = 0;
  for (const [head, start, end] of [...state.item.spans].sort((a, b) => a[1] - b[1])) {
    if (start < done) continue;
    parts.push(letters.slice(done, start).join(""));
    const mark = document.createElement("mark");
    mark.textContent = letters.slice(start, end).join("");
    mark.title = part(head);
    parts.push(mark);
    done = end;
  }
  at("text").replaceChildren(...parts, letters.slice(done).join(""));
}

function draw(image) {
  at("figure").hidden = !image;
  if (!image) return;
  const bytes = Uint8Array.from(atob(image), (letter) => letter.charCodeAt(0));
  state.picture = URL.createObjectURL(new Blob([bytes]));
  at("image").src = state.picture;
}

function veil(on) {
  at("image").classList.toggle("veiled", on);
  at("clear").setAttribute("aria-pressed", String(!on));
}

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
  if (!state.loaded) return tell("Look at the post first, or leave it to somebody else.");
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

// Keys and trouble --------------------------------------------------------------------------------------------------

async function attempt(work) {
  if (state.busy) return;
  state.busy = true;
  try {
    await work();
  } catch (error) {
    failed(error);
  } finally {
    state.busy = false;
  }
}

function tell(words) {
  at("status").textContent = words;
}

let fading;
function failed(error) {
  if (error instanceof api.Refused && error.status === 401) return ask("key", error.code === "unknown-key");
  if (error instanceof api.Refused && error.code === "no-reviewer") return ask("name");
  const toast = at("toast");
  toast.textContent = [error.message, error.fix].filter(Boolean).join(" – ");
  toast.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (toast.hidden = true), 8000);
}

const ASK = {
  key: ["API key", "Reviewers are told apart by their keys. Yours stays in this browser tab.", "Key", "password", api.useKey],
  name: ["Who reviews?", "An appeal is decided by somebody else than those who decided before.", "Your name", "text", api.useName],
};

function ask(kind, wrong = false) {
  const [title, why, label, type, use] = ASK[kind];
  at("who-title").textContent = title;
  at("who-why").textContent = why;
  at("who-label").textContent = label;
  at("who-text").type = type;
  at("who-text").value = "";
  at("who-wrong").hidden = !wrong;
  at("who-wrong").textContent = wrong ? "The service does not know this key." : "";
  at("who").onclose = () => {
    use(at("who-text").value);
    attempt(next);
  };
  at("who").showModal();
}

const KEYS = {
  " ": toggle,
  i: () => state.shown && veil(!at("image").classList.contains("veiled")),
  Enter: submit, c: unsure, s: skip, z: undo,
};

function pressed(event) {
  if (at("who").open || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
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

function run(event, work) {
  event.preventDefault();
  attempt(async () => work());
}

document.addEventListener("keydown", pressed);
at("form").addEventListener("submit", (event) => run(event, submit));
for (const [id, work] of Object.entries({ show: toggle, hide: toggle, unsure, skip, undo, again: next, clear: KEYS.i })) {
  at(id).addEventListener("click", () => attempt(async () => work()));
}
attempt(next);
