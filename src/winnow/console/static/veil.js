// A post that is hidden until asked for: nothing of it is loaded before, and nothing of it stays once it is done with.

import { at } from "./desk.js";
import { part } from "./words.js";

const state = { shown: false, loaded: false, picture: "" };

export const seen = () => state.loaded;

// Shows the post, or hides it again. `load` gives its content and is asked once for each post.
export async function toggle(load, spans) {
  if (state.shown) return cover();
  if (!state.loaded) {
    const found = await load();
    write(found.text ?? "", spans);
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

export function conceal() {
  cover();
  state.loaded = false;
  at("text").replaceChildren();
  at("image").removeAttribute("src");
  at("figure").hidden = true;
  if (state.picture) URL.revokeObjectURL(state.picture);
  state.picture = "";
}

// The service counts characters, the browser half surrogate pairs.
function write(text, spans) {
  const letters = Array.from(text);
  const parts = [];
  let done = 0;
  for (const [head, start, end] of [...spans].sort((a, b) => a[1] - b[1])) {
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

export const clear = () => state.shown && veil(!at("image").classList.contains("veiled"));
