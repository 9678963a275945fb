// For whose post it was: what was done and why, and the appeal. Nothing else of the decision gets here.

import * as api from "./appeals-api.js";
import { at, run, start, tell } from "./desk.js";
import { ago, moment } from "./words.js";

const DONE = {
  allow: "Nothing is done about the post.", warn: "The post is shown with a warning.",
  age_gate: "The post is shown to adults only.", demote: "Fewer people see the post.",
  hold: "The post is held until somebody has looked at it.", remove: "The post was removed.",
  escalate: "The post was removed, and passed on.",
};
const STATES = {
  open: "An appeal is open: somebody will look at it.", upheld: "An appeal was heard; the decision stays.",
  reversed: "An appeal was heard, and the decision was wrong. It is over.",
};
let current = "";

export const what = (action) => DONE[action] ?? action;

async function look() {
  if (!current) return at("decision").focus();
  const found = await api.notice(current);
  at("notice").hidden = false;
  at("action").textContent = what(found.action);
  at("when").textContent = ago(moment(found.at));
  at("reason").textContent = found.reason;
  at("outcome").textContent = found.appeal ? `${STATES[found.appeal.state]} (${ago(moment(found.appeal.at))})` : "";
  at("appeal").hidden = !found.may_appeal;
  at("anew").hidden = found.content_kept;
  if (found.may_appeal) at("statement").focus();
}

async function find() {
  current = at("decision").value.trim();
  for (const id of ["notice", "appeal"]) at(id).hidden = true;
  history.replaceState(null, "", `?${new URLSearchParams({ decision: current })}`);
  tell("");
  await look();
}

async function appeal() {
  const photo = at("photo").files[0];
  const again = !at("anew").hidden && (at("words").value || photo);
  const post = again ? { text: at("words").value, ...(photo ? { image: await encoded(photo) } : {}) } : null;
  await api.open(current, at("statement").value, post);
  for (const id of ["statement", "words", "photo"]) at(id).value = "";
  await look();
  tell("The appeal is open.");
}

const encoded = (file) => new Promise((done, failed) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result.split(",")[1]);
  reader.onerror = () => failed(new Error("the image cannot be read"));
  reader.readAsDataURL(file);
});

export function begin(asked) {
  current = at("decision").value = asked;
  at("find").addEventListener("submit", (event) => run(event, find));
  at("appeal").addEventListener("submit", (event) => run(event, appeal));
  at("appeal").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event, appeal);
  });
  start(look);
}
