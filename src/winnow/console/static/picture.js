// A picture for a video that has none: colour by its main tag, shapes by its id; the same every time.

function hash(text) {
  let h = 2166136261;
  for (const c of text) h = Math.imul(h ^ c.codePointAt(0), 16777619);
  h = Math.imul(h ^ (h >>> 15), 2246822507);
  return (h ^ (h >>> 13)) >>> 0;
}

const NS = "http://www.w3.org/2000/svg";

function shape(name, values) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
  return element;
}

export function picture(id, tags) {
  const seed = hash(id);
  const hue = hash(tags?.[0] ?? id) % 360;
  const other = (hue + 24 + (hash(tags?.[1] ?? "") % 40)) % 360;
  const svg = shape("svg", { viewBox: "0 0 160 90", preserveAspectRatio: "xMidYMid slice" });
  svg.append(shape("rect", { width: 160, height: 90, fill: `hsl(${hue} 38% 42%)` }));
  const bits = (shift, range) => (seed >>> shift) % range;
  svg.append(
    shape("circle", { cx: 20 + bits(0, 120), cy: 96, r: 42 + bits(3, 26), fill: `hsl(${other} 46% 52%)`, opacity: 0.75 }),
    shape("circle", { cx: 10 + bits(7, 140), cy: 4 + bits(9, 30), r: 16 + bits(11, 20), fill: `hsl(${other} 60% 70%)`, opacity: 0.5 }),
    shape("path", {
      d: `M-5 ${52 + bits(13, 24)} Q ${35 + bits(15, 30)} ${20 + bits(17, 30)} 84 ${46 + bits(19, 22)} T 168 ${34 + bits(21, 30)} V 96 H -5 Z`,
      fill: `hsl(${hue} 45% 26%)`, opacity: 0.55,
    }),
  );
  return svg;
}
