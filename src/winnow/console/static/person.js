// Choosing a person, and what the service knows of them.

import * as api from "./api.js";
import { ago, moment, personName, taste, told, titleOf } from "./words.js";

const SHOWN = 8;
const input = document.getElementById("person");
const box = document.getElementById("people");
const card = document.querySelector(".who");
const watched = document.getElementById("watched");

let found = [];
let active = -1;
let asked = 0;

export function picker({ table, key, choose, failed }) {
  const open = async (text) => {
    const turn = ++asked;
    try {
      const rows = await api.search(table, text, SHOWN);
      if (turn === asked) offer(rows.map((row) => ({ id: String(row[key]), note: row.activity ?? row.country ?? "" })), pick);
    } catch (error) {
      failed(error);
    }
  };
  const pick = (id) => {
    close();
    choose(id);
  };
  let waiting;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => open(input.value.trim()), 90);
  });
  input.addEventListener("focus", () => {
    input.select();
    open("");
  });
  input.addEventListener("keydown", (event) => onKey(event, pick));
  input.addEventListener("blur", () => setTimeout(close, 120));
}

function onKey(event, pick) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && found.length) {
    event.preventDefault();
    highlight((active + step + found.length) % found.length);
  } else if (event.key === "Enter" && found.length) {
    event.preventDefault();
    pick(found[Math.max(active, 0)].id);
  } else if (event.key === "Escape") close();
}

function offer(people, pick) {
  found = people;
  active = -1;
  box.replaceChildren(...people.map((person, i) => option(person, i, pick)));
  if (!people.length) {
    const none = document.createElement("li");
    none.className = "none";
    none.textContent = "Nobody of that name";
    box.append(none);
  }
  box.hidden = document.activeElement !== input;
  input.setAttribute("aria-expanded", String(!box.hidden));
}

function option(person, i, pick) {
  const element = document.createElement("li");
  element.id = `person-${i}`;
  element.setAttribute("role", "option");
  element.setAttribute("aria-selected", "false");
  element.append(personName(person.id));
  const note = document.createElement("small");
  note.textContent = person.note;
  element.append(note);
  element.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pick(person.id);
  });
  return element;
}

function highlight(i) {
  active = i;
  [...box.children].forEach((element, j) => element.setAttribute("aria-selected", String(i === j)));
  box.children[i].scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", `person-${i}`);
}

function close() {
  box.hidden = true;
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

export function present(id, row, key) {
  input.value = personName(id);
  input.blur();
  document.getElementById("who").textContent = personName(id);
  document.getElementById("told").textContent = row ? told(row, key) : "Not known to the service";
  card.hidden = false;
}

// Entries are `{item, at}`, newest first; `done` is what was done with them.
export function past(entries, rows, done, fresh) {
  const items = entries.map((entry) => rows.get(entry.item));
  document.getElementById("done").textContent = `${done} last`;
  document.getElementById("taste").textContent =
    taste(items) || (entries.length ? "" : `Nothing ${done.toLowerCase()} yet: this is what a newcomer sees.`);
  watched.replaceChildren(
    ...entries.slice(0, 6).map((entry, i) => line(titleOf(items[i], entry.item), entry.at, entry.item === fresh)),
  );
}

function line(title, at, fresh) {
  const element = document.createElement("li");
  const name = document.createElement("span");
  name.textContent = title;
  const when = document.createElement("time");
  when.textContent = ago(moment(at));
  element.append(name, when);
  element.classList.toggle("just", fresh);
  return element;
}
