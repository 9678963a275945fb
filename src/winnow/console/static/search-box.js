// A box on a picture, drawn with a pointer or set with the keyboard. Edges are shares of the picture: left, top, right,
// bottom, rounded to a thousandth.

const LEAST = 0.04; // of a side; anything smaller is a click
const STEP = 0.03;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const within = (value, low = 0, high = 1) => Math.min(high, Math.max(low, value));
const rounded = (edges) => edges.map((edge) => Math.round(edge * 1000) / 1000);

export function boxed(frame, box, told) {
  let edges = null;
  let start = null;

  function draw(shown) {
    box.hidden = !shown;
    if (!shown) return;
    const [left, top, right, bottom] = shown.map((edge) => edge * 100);
    Object.assign(box.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
  }

  function set(next) {
    edges = next && rounded(next);
    draw(edges);
    told(edges);
  }

  const place = (event) => {
    const area = frame.getBoundingClientRect();
    return [within((event.clientX - area.left) / area.width), within((event.clientY - area.top) / area.height)];
  };
  const between = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
  const large = ([left, top, right, bottom]) => right - left >= LEAST && bottom - top >= LEAST;

  frame.addEventListener("pointerdown", (event) => {
    start = place(event);
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => start && draw(between(start, place(event))));
  frame.addEventListener("pointerup", (event) => {
    const drawn = start && between(start, place(event));
    start = null;
    if (drawn && large(drawn)) set(drawn);
    else draw(edges);
  });
  frame.addEventListener("pointercancel", () => {
    start = null;
    draw(edges);
  });
  frame.addEventListener("keydown", (event) => {
    if (event.key === "Enter") set(edges ?? [0.25, 0.25, 0.75, 0.75]);
    else if (event.key === "Escape" && edges) set(null);
    else if (edges && MOVES[event.key]) set(event.shiftKey ? sized(edges, MOVES[event.key]) : moved(edges, MOVES[event.key]));
    else return;
    event.preventDefault();
  });

  return { set, clear() { edges = null; draw(null); } };
}

function moved([left, top, right, bottom], [x, y]) {
  const across = within(x * STEP, -left, 1 - right);
  const down = within(y * STEP, -top, 1 - bottom);
  return [left + across, top + down, right + across, bottom + down];
}

function sized([left, top, right, bottom], [x, y]) {
  return [left, top, within(right + x * STEP, left + LEAST), within(bottom + y * STEP, top + LEAST)];
}
