"""A small writer of SVG: elements, scales, and a style that follows the reader's light or dark scheme."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from winnow.core.time import MICROS

STYLE = """
svg { --ground: #ffffff; --ink: #1c211e; --soft: #5d655f; --line: #e3e2db; --tint: #eef4f0;
  --a: #2a6848; --b: #3557a8; --c: #a2541c; --d: #7b3f8c; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { svg { --ground: #171a18; --ink: #e9ebe7; --soft: #a2aaa4; --line: #343a36;
  --tint: #20291f; --a: #7fc79f; --b: #94b2f4; --c: #e0a06c; --d: #cf9be0; } }
text { font: 12px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  fill: var(--soft); }
.ground { fill: var(--ground); } .title { font-size: 16px; font-weight: 600; fill: var(--ink); }
.strong { font-weight: 600; fill: var(--ink); } .big { font-size: 20px; font-weight: 600; fill: var(--a); }
.small { font-size: 11px; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: var(--line); stroke-width: 1; } .value { stroke: var(--a); stroke-width: 2; fill: none;
  stroke-linejoin: round; } .unknown { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 3 4; fill: none; }
.area { fill: var(--a); opacity: .08; } .window { fill: var(--tint); } .edge { stroke: var(--soft);
  stroke-dasharray: 2 3; } .gone { opacity: .35; } .late { stroke-width: 1; stroke-dasharray: 1 2; }
""".strip()


@dataclass(frozen=True)
class Scale:
    """A straight line from values to places.

    Args:
        low, high: values at the two ends.
        start, stop: places of the two ends.
    """

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Places of values, float64 of the same shape."""
        share = (np.asarray(values, np.float64) - self.low) / ((self.high - self.low) or 1.0)
        return np.asarray(self.start + share * (self.stop - self.start), np.float64)


def element(name: str, text: str = "", *, kind: str = "", **attributes: object) -> str:
    """One element.

    >>> element("text", "a < b", kind="end", x=1.5)
    '<text class="end" x="1.5">a &lt; b</text>'
    """
    given = {"class": kind, **{k.replace("_", "-"): v for k, v in attributes.items()}}
    told = "".join(f' {k}="{escape(_plain(v))}"' for k, v in given.items() if v != "")
    return f"<{name}{told}>{escape(text, quote=False)}</{name}>" if text else f"<{name}{told}/>"


def group(elements: Iterable[str], **attributes: object) -> str:
    """Elements that share attributes."""
    told = "".join(f' {k.replace("_", "-")}="{escape(_plain(v))}"' for k, v in attributes.items())
    return f"<g{told}>{''.join(elements)}</g>"


def path(x: Sequence[float] | NDArray[np.float64], y: Sequence[float] | NDArray[np.float64]) -> str:
    """The `d` of a line through points; points that lie on one place with the one before are left out."""
    places = list(dict.fromkeys((round(float(a), 1), round(float(b), 1)) for a, b in zip(x, y, strict=True)))
    return "M" + "L".join(f"{a:g} {b:g}" for a, b in places)


def document(body: Iterable[str], *, width: float, height: float, title: str) -> str:
    """A whole picture."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img">'
    )
    ground = element("rect", kind="ground", width=width, height=height, rx=10)
    return "\n".join([head, element("title", title), f"<style>{STYLE}</style>", ground, *body, "</svg>", ""])


def nice(low: float, high: float, many: int = 4) -> list[float]:
    """Round values that span a range.

    >>> nice(0, 7), nice(0.21, 0.34)
    ([0.0, 2.0, 4.0, 6.0, 8.0], [0.2, 0.25, 0.3, 0.35])
    """
    span = (high - low) or abs(high) or 1.0
    rough = span / many
    scale = 10.0 ** np.floor(np.log10(rough))
    step = float(next(s for s in (1, 2, 2.5, 5, 10) if s * scale >= rough * 0.999) * scale)
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return [round(float(i * step), 10) for i in np.arange(first, max(last, first + 1) + 1)]


_STEPS_S = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 2 * 86_400, 7 * 86_400,
            14 * 86_400, 28 * 86_400, 91 * 86_400, 364 * 86_400)  # fmt: skip


def moments(start: int, end: int, many: int = 7) -> list[tuple[int, str]]:
    """Round moments in a span and how each is written: at most about `many`.

    >>> moments(0, 3600 * 10**6, 4)
    [(0, '00:00'), (900000000, '00:15'), (1800000000, '00:30'), (2700000000, '00:45'), (3600000000, '01:00')]
    """
    step = next((s for s in _STEPS_S if s * MICROS * many >= end - start), _STEPS_S[-1]) * MICROS
    form = "%H:%M:%S" if step < 60 * MICROS else "%H:%M" if step < 86_400 * MICROS else "%-d %b"
    at = np.arange(-(-start // step) * step, end + 1, step).tolist()
    return [(int(t), _written(int(t), form)) for t in at]


def _written(at: int, form: str) -> str:
    moment = datetime.fromtimestamp(at / MICROS, UTC)
    if form != "%-d %b" and moment.hour == moment.minute == moment.second == 0 and at:
        form = "%-d %b"
    return moment.strftime(form)


def _plain(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
