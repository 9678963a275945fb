// The ranked list: what each item is, why it is there, and what has moved since the list before.

import { ago, duration, moment, part, percent, tagsOf, titleOf } from "./words.js";
import { picture } from "./picture.js";

const template = document.getElementById("item");
const place = document.getElementById("list");
const CHIPS = 2; // reasons come with the most telling one first; the others show with the details
const SLIDE = { duration: 420, easing: "cubic-bezier(.2, .8, .2, 1)" };
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function make(name, text, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function byline(row) {
  const when = row?.uploaded_at ?? row?.created_at;
  const told = row?.starts_at ? `starts ${ago(moment(row.starts_at))}` : when && ago(moment(when));
  const said = [row?.author, row?.school, row?.work, tagsOf(row).join(", "), told];
  return said.filter(Boolean).flatMap((text, i) => (i ? [make("span", "·", "dot"), text] : [text]));
}

function reasonChips(item, rows) {
  return (item.reasons ?? []).map((reason, i) => {
    const named = reason.item ? `“${titleOf(rows.get(reason.item), reason.item)}”` : "";
    const text = reason.text.replace(reason.item || "\0", () => named);
    return make("li", text.charAt(0).toUpperCase() + text.slice(1), `${reason.kind}${i < CHIPS ? "" : " further"}`);
  });
}

function score(head, most) {
  const row = make("div");
  const probability = head.type === "binary";
  const bar = make("i");
  bar.style.inlineSize = `${Math.min(100, (100 * head.value) / (most || 1))}%`;
  const track = make("div", undefined, "bar");
  track.append(bar);
  row.append(make("dt", head.label), make("dd", probability ? percent(head.value) : `${head.value.toFixed(head.value < 10 ? 1 : 0)} s`), track);
  return row;
}

function detail(element, item, heads, most) {
  element.querySelector(".scores").replaceChildren(...heads.map((head) => score(head, most[head.name])));
  const found = (item.sources ?? []).map(part);
  const sources = found.length ? `Proposed by ${found.join(", ")}. ` : "";
  element.querySelector(".sources").textContent = `${sources}Value ${item.score.toFixed(3)}.`;
}

function mark(element, change) {
  const move = element.querySelector(".move");
  if (change === undefined || change === 0) return "";
  const kind = change === "new" ? "new" : change > 0 ? "up" : "down";
  move.textContent = kind === "new" ? "new" : `${kind === "up" ? "▲" : "▼"} ${Math.abs(change)}`;
  move.classList.add(kind);
  element.classList.toggle("new", kind === "new");
  return { new: ", new in the list", up: `, up ${change}`, down: `, down ${-change}` }[kind];
}

function entry(item, { rows, heads, most, change, act, open, acts }) {
  const row = rows.get(item.id);
  const element = template.content.firstElementChild.cloneNode(true);
  const title = titleOf(row, item.id);
  element.dataset.id = item.id;
  element.querySelector(".rank").textContent = item.position;
  const image = element.querySelector(".picture");
  image.append(picture(item.id, tagsOf(row)));
  if (row?.duration_s) image.append(make("span", duration(row.duration_s), "duration"));
  const button = element.querySelector(".title");
  button.textContent = title;
  button.setAttribute("aria-label", `${open} ${title}${mark(element, change)}`);
  element.querySelector(".by").append(...byline(row));
  element.querySelector(".reasons").append(...reasonChips(item, rows));
  detail(element.querySelector(".detail"), item, heads, most);
  for (const one of [image, button]) one.addEventListener("click", () => act("open", item));
  for (const name of ["like", "hide"]) {
    const control = element.querySelector(`.${name}`);
    control.hidden = !acts.includes(name);
    control.setAttribute("aria-label", `${name === "like" ? "Like" : "Hide"} ${title}`);
    control.addEventListener("click", () => act(name, item));
  }
  const why = element.querySelector(".why");
  why.setAttribute("aria-label", `Why ${title} is here`);
  why.addEventListener("click", () => unfold(element, why));
  return element;
}

function unfold(element, why) {
  const box = element.querySelector(".detail");
  box.hidden = !box.hidden;
  element.classList.toggle("open", !box.hidden);
  why.setAttribute("aria-expanded", String(!box.hidden));
}

// How far each item moved up; "new" for those that were not there; undefined for all when there is nothing to compare.
export function changes(before, after) {
  if (!before) return new Map();
  const was = new Map(before.map((id, i) => [id, i]));
  return new Map(after.map((id, i) => [id, was.has(id) ? was.get(id) - i : "new"]));
}

export function show(reply, { rows, headsOf, before, ...how }) {
  const old = new Map([...place.children].map((e) => [e.dataset.id, e.getBoundingClientRect().top]));
  const moved = changes(before, reply.items.map((item) => item.id));
  const heads = new Map(reply.items.map((item) => [item.id, headsOf(reply, item)]));
  const most = {};
  for (const list of heads.values()) for (const h of list) most[h.name] = Math.max(most[h.name] ?? 0, h.value);
  place.replaceChildren(
    ...reply.items.map((item) =>
      entry(item, { rows, heads: heads.get(item.id), most, change: moved.get(item.id), ...how }),
    ),
  );
  if (before && !calm.matches) slide(old);
  return moved;
}

function slide(old) {
  for (const element of place.children) {
    const top = old.get(element.dataset.id);
    const shift = top === undefined ? 0 : top - element.getBoundingClientRect().top;
    if (top === undefined) element.animate({ opacity: [0, 1], transform: ["translateX(24px)", "none"] }, SLIDE);
    else if (shift) element.animate({ transform: [`translateY(${shift}px)`, "none"] }, SLIDE);
  }
}
