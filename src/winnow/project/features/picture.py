"""The picture of a story: the value as a line over time, and under it the events that made it."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from winnow.core.time import FOREVER, iso, short
from winnow.features.meaning import windows
from winnow.features.state import NEVER
from winnow.features.story import Floats, Lane, Story
from winnow.project.features import svg
from winnow.project.features.svg import Scale, element

WIDTH, LEFT, RIGHT = 960, 76, 150
TOP, CHART, LANE, AXIS = 84, 210, 44, 30
_INKS = ("--b", "--c", "--d", "--a")
_BARS = "▁▂▃▄▅▆▇█"
_CROWDED = 400  # of more events in a lane, those that lie on one place are drawn once
Naming = Callable[[tuple[int, ...]], str]


def draw(story: Story, *, whose: str, meaning: str = "", naming: Naming = str) -> str:
    """A story as SVG, readable on light and on dark ground.

    Args:
        story: what to show.
        whose: the key in words, such as `user 712`.
        meaning: a sentence under the title.
        naming: what a level of a category is called.
    """
    start, end = int(story.at[0]), int(story.at[-1])
    across = Scale(start, end, LEFT, WIDTH - RIGHT)
    floor = TOP + CHART
    height = floor + AXIS + LANE * len(story.lanes) + 22
    body = [
        element("text", story.name, kind="title", x=20, y=30),
        element("text", whose, kind="strong", x=20, y=50),
        *(element("text", line, kind="small", x=20, y=66 + 14 * i) for i, line in enumerate(_wrapped(meaning))),
        *_windows(story, across, height=height - 18),
        *_axis(across, start, end, height=height - 18),
        *_value(story, across, naming),
        *(part for i, lane in enumerate(story.lanes) for part in _lane(lane, across, i, end)),
    ]
    return svg.document(body, width=WIDTH, height=height, title=f"{story.name} of {whose}")


def sparkline(story: Story, width: int = 60) -> str:
    """A story as one line of text: a block per stretch of time, as high as the value at its end."""
    edges = np.linspace(int(story.at[0]), int(story.at[-1]), width + 1)[1:]
    at = np.maximum(np.searchsorted(story.at, edges, "right") - 1, 0)
    values = story.values[at]
    low, high = float(values.min()), float(values.max())
    place = np.zeros(width) if high == low else (values - low) / (high - low)
    return "".join(_BARS[round(float(p) * (len(_BARS) - 1))] for p in place)


def written(value: float) -> str:
    """A value as people read it.

    >>> written(3.0), written(0.45238), written(12345.678)
    ('3', '0.4524', '12,346')
    """
    if value == round(value) or abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _wrapped(text: str, width: int = 150) -> list[str]:
    if len(text) <= width:
        return [text] if text else []
    cut = text.rfind(" ", 0, width)
    return [text[:cut], text[cut + 1 :][: width - 1] + ("…" if len(text) - cut > width else "")]


def _axis(across: Scale, start: int, end: int, *, height: float) -> Iterator[str]:
    for at, label in svg.moments(start, end):
        x = float(across(at))
        yield element("line", kind="grid", x1=x, x2=x, y1=TOP + 12, y2=TOP + CHART + 4)
        yield element("text", label, kind="small middle", x=x, y=TOP + CHART + 19)
    x = float(across(end))
    yield element("line", kind="edge", x1=x, x2=x, y1=TOP + 12, y2=height)
    yield element("text", f"now: {iso(end)[:19].replace('T', ' ')}", kind="small end", x=x + 4, y=TOP + 6)


def _value(story: Story, across: Scale, naming: Naming) -> Iterator[str]:
    """The line, with its scale at the left and its last value at the right."""
    steps = [float(i) for i in range(len(story.levels))] if story.levels else _steps(story.values)
    up = Scale(steps[0], steps[-1], TOP + CHART, TOP + 16)
    for step in steps[:40]:
        y = float(up(step))
        label = _short(naming(story.levels[int(step)]) or "unknown", 11) if story.levels else written(step)
        yield element("line", kind="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y)
        yield element("text", label, kind="small end", x=LEFT - 8, y=y + 4)
    x, height = across(story.at), up(story.values)
    for first, last, known in _runs(story.known):
        part = slice(max(first - 1, 0), last)
        if known and not story.levels:
            area = f"{svg.path(x[part], height[part])}L{x[part][-1]:.1f} {TOP + CHART}L{x[part][0]:.1f} {TOP + CHART}Z"
            yield element("path", kind="area", d=area)
        yield element("path", kind="value" if known else "unknown", d=svg.path(x[part], height[part]))
    now = _short(naming(story.levels[int(story.now)]) or "unknown", 12) if story.levels else written(story.now)
    yield element("circle", cx=float(x[-1]), cy=float(height[-1]), r=4, fill="var(--a)")
    yield element("text", now, kind="big", x=WIDTH - RIGHT + 12, y=float(height[-1]) + 6)
    if not story.known[-1]:
        yield element("text", "nothing is known", kind="small", x=WIDTH - RIGHT + 12, y=float(height[-1]) + 22)


def _steps(values: Floats) -> list[float]:
    low, high = float(values.min()), float(values.max())
    if low >= 0 and (high > 2 * low or low == high):
        low = 0.0
    if high - low < 5 and (values == np.round(values)).all():
        return [float(step) for step in range(int(low), int(max(high, low + 1)) + 1)]
    return svg.nice(low, high if high > low else low + 1)


def _runs(known: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Iterator[tuple[int, int, bool]]:
    """Stretches in which the value was known, and those in which it was not: first, one past the last, which."""
    cuts = np.flatnonzero(np.diff(known)) + 1
    edges = [0, *cuts.tolist(), len(known)]
    return ((a, b, bool(known[a])) for a, b in pairwise(edges))


def _windows(story: Story, across: Scale, *, height: float) -> Iterator[str]:
    """The window of the last moment, from its edge to now."""
    edges = [lane.edge for lane in story.lanes if lane.edge != NEVER]
    span = [w for w in windows(story.feature, story.name) if w != FOREVER]
    if not edges or not span:
        return
    left, right = float(across(max(min(edges), int(story.at[0])))), float(across(int(story.at[-1])))
    top = TOP + CHART + AXIS
    yield element("rect", kind="window", x=left, y=top, width=max(right - left, 0.0), height=height - top)
    if min(edges) >= story.at[0]:
        yield element("line", kind="edge", x1=left, x2=left, y1=TOP + 12, y2=height)
        before = left > WIDTH / 2
        kind, x = ("small end", left - 4) if before else ("small", left + 4)
        yield element("text", f"edge of the window ({short(span[0])})", kind=kind, x=x, y=height + 12)


def _lane(lane: Lane, across: Scale, place: int, end: int) -> Iterator[str]:
    y = TOP + CHART + AXIS + LANE * place + LANE / 2
    ink = f"var({_INKS[place % len(_INKS)]})"
    yield element("line", kind="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y + 12, y2=y + 12)
    x, known = across(lane.at), across(lane.known_at)
    shown = np.flatnonzero((known >= LEFT) & (x <= WIDTH - RIGHT + 1))
    if len(shown) > _CROWDED:
        _, first = np.unique(np.round(x[shown]), return_index=True)
        shown = shown[first]
    marks = [mark for i in shown for mark in _mark(lane, int(i), float(x[i]), known_x=float(known[i]), y=y)]
    yield svg.group(marks, stroke=ink, fill=ink)
    yield element("text", _short(lane.label, 22), kind="strong", x=WIDTH - RIGHT + 12, y=y - 1)
    count = len(lane.at) if lane.row else int(lane.times[lane.counts].sum())
    what = f"change{'s' * (count != 1)}" if lane.row else "counting now"
    yield element("text", f"{count:,} {what}", kind="small", x=WIDTH - RIGHT + 12, y=y + 13)


def _mark(lane: Lane, event: int, x: float, *, known_x: float, y: float) -> Iterator[str]:
    """A stroke at an event's own time; one that became known later has a thread to that moment."""
    kind = "" if lane.counts[event] else "gone"
    if known_x - x > 2:
        yield element("line", kind=f"late {kind}".strip(), x1=max(x, LEFT), x2=known_x, y1=y, y2=y)
        yield element("circle", kind=kind, cx=known_x, cy=y, r=3)
    if x < LEFT:
        return
    if lane.row:
        yield element("path", kind=kind, d=f"M{x:.1f} {y - 7:.1f}l6 7l-6 7l-6 -7Z")
        return
    yield element("line", kind=kind, stroke_width=2, x1=x, x2=x, y1=y - 10, y2=y + 10)
    value = float(lane.value[event])
    if not np.isnan(value) and len(lane.at) <= 24:
        yield element("text", written(value), kind="small", stroke="none", x=x + 4, y=y - 3)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
