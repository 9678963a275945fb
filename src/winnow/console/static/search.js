// The page of a search by picture: drop one, see what is like it, click one to search on, draw a box around a part.

import { Refused, postEvents, search as collection, useKey } from "./api.js";
import { boxed } from "./search-box.js";
import { look, systems, thumbnail } from "./search-api.js";

const SIZE = 30;
const at = (id) => document.getElementById(id);
const state = { system: "", table: "", key: "", roles: [], asked: null, reply: null, turn: 0, shown: [] };

// Asking ------------------------------------------------------------------------------------------------------------

async function begin() {
  const found = (await systems()).find((system) => system.user === system.item);
  if (!found) throw new Error("No system of this project answers a picture with pictures.");
  state.system = found.name;
  state.table = found.item;
  state.roles = found.roles;
  const from = new URLSearchParams(location.search).get("id");
  await (from ? ask({ id: from }) : welcome());
}

async function welcome() {
  const rows = await collection(state.table, "", SIZE);
  at("title").textContent = "From the collection";
  at("told").textContent = rows.length ? "Click one, or drop a picture of your own." : "";
  draw(rows.map((row) => ({ id: String(Object.values(row)[0]) })));
  if (!rows.length) empty("There are no pictures yet. Import some: winnow import pictures FOLDER");
}

// What is asked for: { id } or { file }, and a box.
async function ask(asked) {
  const turn = ++state.turn;
  at("grid").classList.add("busy");
  try {
    const reply = await look(state.system, asked, SIZE);
    if (turn !== state.turn) return;
    if (state.asked?.id !== asked.id || state.asked?.file !== asked.file) await present(asked);
    state.asked = asked;
    answer(reply);
  } finally {
    if (turn === state.turn) at("grid").classList.remove("busy");
  }
}

async function present(asked) {
  box.clear();
  say(null);
  const picture = asked.file ?? (await thumbnail(state.system, asked.id, 1024));
  const old = at("preview").src;
  at("preview").src = URL.createObjectURL(picture);
  if (old) URL.revokeObjectURL(old);
  at("preview").alt = asked.id ? `The picture ${asked.id}` : "Your picture";
  at("asked").hidden = false;
}

function answer(reply) {
  state.reply = reply;
  at("facts").hidden = false;
  at("release").textContent = reply.release;
  at("took").textContent = `${reply.ms.toFixed(1)} ms`;
  at("title").textContent = "Looks like it";
  const kept = state.asked.box ? "the part in the box" : "the whole picture";
  at("told").textContent = `${reply.items.length} pictures, by ${kept}.`;
  draw(reply.items);
  if (!reply.items.length) empty(reply.degraded[0]?.effect ?? "Nothing in the collection looks like it.");
  tell("impression", reply.items.map((item) => item.id));
}

// Drawing -----------------------------------------------------------------------------------------------------------

function draw(items) {
  for (const url of state.shown.splice(0)) URL.revokeObjectURL(url);
  at("empty").hidden = true;
  at("grid").replaceChildren(...items.map(tile));
}

function tile(item) {
  const one = at("tile").content.firstElementChild.cloneNode(true);
  one.dataset.id = item.id;
  one.querySelector(".name").textContent = item.id;
  one.querySelector(".name").title = item.id;
  const open = one.querySelector(".open");
  open.setAttribute("aria-label", `Search for pictures like ${item.id}`);
  if (item.score !== undefined) one.querySelector(".score").textContent = item.score.toFixed(2);
  open.addEventListener("click", () => attempt(() => onwards(item.id)));
  const save = one.querySelector(".save");
  save.setAttribute("aria-label", `Save ${item.id}`);
  save.hidden = item.score === undefined;
  save.addEventListener("click", () => attempt(() => keep(item.id, save)));
  fill(one, item.id);
  return one;
}

async function fill(one, id) {
  try {
    const url = URL.createObjectURL(await thumbnail(state.system, id));
    state.shown.push(url);
    const picture = one.querySelector("img");
    picture.onload = () => picture.classList.add("there");
    picture.src = url;
  } catch {
    one.remove(); // it may not be shown any more
  }
}

function empty(text) {
  at("empty").textContent = text;
  at("empty").hidden = false;
}

// Acting ------------------------------------------------------------------------------------------------------------

async function onwards(id) {
  tell("click", [id]);
  await ask({ id });
  scrollTo({ top: 0 });
  at("title").focus({ preventScroll: true });
}

async function keep(id, button) {
  await tell("save", [id]);
  button.setAttribute("aria-pressed", "true");
}

// What people do teaches the next release; where somebody looked for what is no picture of ours, its name stands for it.
async function tell(type, ids) {
  if (!state.reply || !ids.length) return;
  const { query, recommendation_id } = state.reply;
  const [asking, answering] = state.roles;
  const event = (id, place) => ({
    event_id: crypto.randomUUID(), type, recommendation_id, [asking]: query, [answering]: id,
    ...(type === "impression" ? { position: place, surface: "page" } : {}),
  });
  await postEvents(ids.map(event));
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
  const dialog = at("key");
  at("key-wrong").hidden = !state.key;
  dialog.onclose = () => {
    state.key = at("key-text").value;
    useKey(state.key);
    attempt(work);
  };
  dialog.showModal();
}

let fading;
function toast(text) {
  at("toast").textContent = text;
  at("toast").hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (at("toast").hidden = true), 6000);
}

// Listening ---------------------------------------------------------------------------------------------------------

const box = boxed(at("frame"), at("box"), (edges) => {
  say(edges);
  attempt(() => ask({ ...state.asked, box: edges }));
});

function say(edges) {
  at("whole").hidden = !edges;
  const [width, height] = edges ? [edges[2] - edges[0], edges[3] - edges[1]].map((share) => Math.round(share * 100)) : [];
  at("part").textContent = edges ? `${width} × ${height} % of it` : "";
}

function dropped(files) {
  const file = [...files].find((one) => one.type.startsWith("image/")) ?? files[0];
  if (file) attempt(() => ask({ file }));
}

at("file").addEventListener("change", (event) => dropped(event.target.files));
at("whole").addEventListener("click", () => box.set(null));
for (const type of ["dragover", "dragleave", "drop"]) {
  addEventListener(type, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", type === "dragover");
    if (type === "drop") dropped(event.dataTransfer.files);
  });
}
addEventListener("paste", (event) => event.clipboardData.files.length && dropped(event.clipboardData.files));

attempt(begin);
