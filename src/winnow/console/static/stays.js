// Pick a listing, say what the stay must meet, see what is like it; what is opened and booked is logged.

import * as api from "./api.js";

const SIZE = 12;
const FOUND = 10;
const SYSTEM = "similar_listings";
const at = (id) => document.getElementById(id);
const visitor = `visitor-${crypto.randomUUID()}`;

let viewed = "";
let shown = ""; // the reply on the page, that what follows from it names
let turn = 0;

const event = (type, fields) => ({ type, event_id: crypto.randomUUID(), visitor, ...fields });
const log = (events) => api.postEvents(events).catch(failed);

function failed(error) {
  at("told").textContent = [error.message, error.fix].filter(Boolean).join(" — ");
}

// What the form asks for, as a filter of a request.
function wishes() {
  const filter = {};
  const [from, to] = [at("from").value, at("to").value];
  if (from && to) filter.calendar = { from, to };
  if (at("guests").value) filter.guests = { at_least: Number(at("guests").value) };
  if (at("price").value) filter.price = { at_most: Number(at("price").value) };
  return filter;
}

const facts = (row) =>
  [row.kind, row.area, row.price && `${Math.round(row.price)} a night`, row.guests && `sleeps ${row.guests}`, row.rating && `★ ${row.rating}`]
    .filter(Boolean)
    .join(" · ");

async function open(id, source) {
  viewed = id;
  at("listing").value = id;
  await log([event("view", { listing: id, source })]);
  await refresh();
}

async function refresh() {
  const mine = ++turn;
  try {
    const [row] = await api.rows("listing", [viewed]);
    if (!row) throw new Error(`There is no listing ${viewed}.`);
    const reply = await api.like(SYSTEM, viewed, { size: SIZE, filter: wishes(), context: { surface: "console" } });
    const rows = await api.rows("listing", reply.items.map((item) => item.id));
    if (mine === turn) draw(row, reply, rows);
  } catch (error) {
    failed(error);
  }
}

function draw(row, reply, rows) {
  shown = reply.recommendation_id;
  at("viewed").hidden = at("facts").hidden = false;
  at("viewed-title").textContent = row.title ?? viewed;
  at("viewed-facts").textContent = facts(row);
  at("release").textContent = reply.release.slice(0, 8);
  at("took").textContent = `${reply.ms.toFixed(1)} ms`;
  at("told").textContent = rows.length ? `${rows.length} listings` : "Nothing is free that meets this.";
  at("list").replaceChildren(...rows.map(card));
  const place = { viewed, recommendation_id: shown, surface: "console" };
  if (rows.length) log(rows.map((other, position) => event("impression", { ...place, listing: other.listing_id, position })));
}

function card(row) {
  const button = document.createElement("button");
  button.type = "button";
  const [name, more] = [document.createElement("strong"), document.createElement("span")];
  name.textContent = row.title ?? row.listing_id;
  more.textContent = facts(row);
  more.className = "muted";
  button.append(name, more);
  button.addEventListener("click", async () => {
    await log([event("click", { viewed, listing: row.listing_id, recommendation_id: shown })]);
    await open(row.listing_id, "similar");
    at("title").focus();
  });
  const item = document.createElement("li");
  item.append(button);
  return item;
}

async function offer() {
  try {
    const rows = await api.search("listing", at("listing").value.trim(), FOUND);
    at("known").replaceChildren(...rows.map((row) => new Option(row.title ?? "", row.listing_id)));
    return rows;
  } catch (error) {
    return failed(error) ?? [];
  }
}

at("listing").addEventListener("input", offer);
at("stay").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const typed = at("listing").value.trim();
  const [row] = (await api.rows("listing", [typed]).catch(() => [])).concat(await offer());
  if (row && row.listing_id !== viewed) await open(row.listing_id, "search");
  else if (viewed) await refresh();
});
at("book").addEventListener("click", async () => {
  await log([event("book", { listing: viewed })]);
  at("told").textContent = "Booked.";
});

const [first] = await offer();
if (first) await open(first.listing_id, "search");
