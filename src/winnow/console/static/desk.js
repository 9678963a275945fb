// What the pages for people who judge share: one thing at a time, trouble told, and who they are.

import { Refused, useKey, useName } from "./review-api.js";

export const at = (id) => document.getElementById(id);

let busy = false;
let again = () => {};

// What to do once somebody has said who they are.
export function start(work) {
  again = work;
  attempt(work);
}

export async function attempt(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } catch (error) {
    failed(error);
  } finally {
    busy = false;
  }
}

export function run(event, work) {
  event.preventDefault();
  attempt(async () => work());
}

export function tell(words) {
  at("status").textContent = words;
}

export const typing = (event) => Boolean(event.target.closest("input, textarea, select"));

// A key by itself, not held down, and nobody is being asked who they are.
export const plain = (event) => !(at("who").open || event.ctrlKey || event.metaKey || event.altKey || event.repeat);

export const named = (event) => (event.key.length === 1 ? event.key.toLowerCase() : event.key);

let fading;
function failed(error) {
  if (error instanceof Refused && error.status === 401) return ask("key", error.code === "unknown-key");
  if (error instanceof Refused && error.code === "no-reviewer") return ask("name");
  const toast = at("toast");
  toast.textContent = [error.message, error.fix].filter(Boolean).join(" – ");
  toast.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (toast.hidden = true), 8000);
}

const ASK = {
  key: ["API key", "Reviewers are told apart by their keys. Yours stays in this browser tab.", "Key", "password", useKey],
  name: ["Who reviews?", "An appeal is decided by somebody else than those who decided before.", "Your name", "text", useName],
};

export function ask(kind, wrong = false) {
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
    attempt(again);
  };
  at("who").showModal();
}
