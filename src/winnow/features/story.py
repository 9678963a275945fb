"""The story of one value: what a feature was at every moment of a span, and the events that made it so.

The value is computed by the plan from history, at every moment at which it can change and at evenly spread ones
between. The events are found on their own, by reading which key each event counts under.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.core.time import FOREVER, MICROS, iso, to_us
from winnow.data.schema import Condition, Events, Path, Table
from winnow.features.aggregate import OWN_TIME, Aggregate
from winnow.features.batch import FeatureBatch, Ints
from winnow.features.declare import Feature
from winnow.features.keys import Columns, follow, missing, passing, stored
from winnow.features.meaning import alone, windows
from winnow.features.plan import Plan
from winnow.features.source import Source
from winnow.features.state import NEVER, State
from winnow.features.view import Moments, View

Floats = NDArray[np.float64]
_SPREAD = 300  # moments between changes
_WINDOWS = 5  # a story that is told without a beginning goes back this many windows
_QUIET = 7 * 86_400 * MICROS  # or this far, where nothing has happened
_EXACT = 1_500  # with more events than this in the span, changes are not asked for one by one


@dataclass(frozen=True, eq=False)
class Lane:
    """The events of one type that a value looks at, or the changes of a table row.

    Args:
        events: the event type, or the table.
        conditions: tests that the events pass.
        row: whether these are versions of a table's row.
        seq, at, known_at: int64 [m], in the order in which they became known.
        value: the field that is summed or compared, float64 [m]; NaN without one.
        counts: whether each counts at the end of the story, bool [m].
        times: how often each counts, int64 [m]: by a multi-valued key, once for each value that they share.
        edge: the first own time that is inside the window at the end; NEVER without a window.
        hop, buckets: of the window; hop 0 without one.
    """

    events: str
    conditions: tuple[Condition, ...]
    row: bool
    seq: Ints
    at: Ints
    known_at: Ints
    value: Floats
    counts: NDArray[np.bool_]
    times: Ints
    field: str = ""
    edge: int = NEVER
    hop: int = 0
    buckets: int = 0

    @property
    def label(self) -> str:
        """The event type with its tests: `watch, long = 1`."""
        tests = [f"{c.field} {c.op.replace('==', '=')} {c.value:g}" for c in self.conditions if abs(c.value) < 1e300]
        return ", ".join([self.events, *tests])


@dataclass(frozen=True, eq=False)
class Story:
    """What one feature of one key was over time.

    Args:
        feature: its declaration, with one window.
        name: its column.
        at: moments, int64 [n], ascending; each side of every change is among them.
        values: float64 [n]; the default where nothing was known. Of a category the place in `levels`; of a sequence
            how many values it held.
        known: whether the value was more than the default, bool [n].
        lanes: what made it.
        levels: of a category, the different values met, as row numbers.
    """

    feature: Feature
    name: str
    at: Ints
    values: Floats
    known: NDArray[np.bool_]
    lanes: tuple[Lane, ...]
    levels: tuple[tuple[int, ...], ...] = field(default=())

    @property
    def now(self) -> float:
        """The value at the end."""
        return float(self.values[-1])


@dataclass(frozen=True)
class Asked:
    """Whose value, and over which span.

    Args:
        refs: role → row number.
        roles: table → role, as a plan has it.
        start: where the story begins, microseconds UTC; None for what the value rests on, and some more.
        end: where it ends, the moment of "now".
    """

    refs: Mapping[str, int]
    roles: Mapping[str, str]
    start: int | None
    end: int

    def moments(self, at: Ints) -> Moments:
        """The same question at many moments."""
        return Moments(at, {role: np.array([row], np.int64) for role, row in self.refs.items()})


def told(feature: Feature, name: str, asked: Asked, *, state: State, source: Source) -> Story:
    """The story of one column of a feature.

    Args:
        feature: the declaration.
        name: its column.
        asked: whose, and when.
        state: what was known at any moment.
        source: the same history, to find the events in.

    Raises:
        InputError: `missing-role` when `asked` lacks a key that the feature needs; `bad-span`.
    """
    one = alone(feature, name)
    view = one.seen(View(asked.moments(np.array([asked.end], np.int64)), state, asked.roles, one.aggregates()))
    lanes = [*_event_lanes(one, view, asked, source), *_row_lanes(one, view, asked, source)]
    start = asked.start if asked.start is not None else _beginning(lanes, one, asked.end)
    if start >= asked.end:
        what = f"the story would begin at {iso(start)} and end at {iso(asked.end)}"
        raise InputError(Problem("bad-span", what, fix="give an earlier --from or a later --to"))
    at = _moments(lanes, one, (start, asked.end))
    plan, blank = (Plan((f,), asked.roles) for f in (one, replace(one, default=float("nan"))))
    made = [p.compute(asked.moments(at), state, training=True) for p in (plan, blank)]
    values, levels = _values(made[0], name)
    known = ~np.isnan(_values(made[1], name)[0]) & np.array([not levels or any(levels[int(v)]) for v in values])
    if one.ttl is not None and not known[-1]:
        lanes = [replace(lane, counts=np.zeros(len(lane.at), bool)) for lane in lanes]
    return Story(one, name, at, values, known, tuple(lanes), tuple(levels))


def _values(batch: FeatureBatch, name: str) -> tuple[Floats, list[tuple[int, ...]]]:
    """A column as numbers to draw, and what the numbers of a category stand for."""
    if name in batch.numeric_names:
        return batch.column(name).astype(np.float64), []
    if name in batch.training_only:
        return batch.training_only[name].astype(np.float64), []
    if name in batch.sequences:
        held = batch.sequences[name]
        return ((held.rows >= 0) | (held.age_s > 0)).sum(axis=1).astype(np.float64), []
    rows = batch.categorical[name]
    sets = [tuple(int(r) for r in np.atleast_1d(row) if r >= 0) for row in rows]
    levels = list(dict.fromkeys(sets))
    return np.array([levels.index(s) for s in sets], np.float64), levels


def _beginning(lanes: Sequence[Lane], feature: Feature, end: int) -> int:
    """Some windows back, but not far before the first event."""
    spans = [to_us(w) for w in windows(feature, feature.names[0]) if w != FOREVER]
    first = min((int(lane.at.min()) for lane in lanes if len(lane.at)), default=end - _QUIET)
    begin = first - max((end - first) // 20, 1)
    return max(begin, end - _WINDOWS * max(spans)) if spans else begin


def _moments(lanes: Sequence[Lane], feature: Feature, span: tuple[int, int]) -> Ints:
    """Both sides of every change in the span, and moments spread between them."""
    start, end = span
    spread = np.linspace(start, end, _SPREAD).astype(np.int64)
    exact = [lane for lane in lanes if len(lane.at) <= _EXACT]
    last = [np.concatenate([lane.known_at, *_leaving(lane, feature)]) for lane in exact]
    changes = np.concatenate([np.empty(0, np.int64), *last])
    at = np.concatenate([spread, changes, changes + 1])
    return np.unique(np.append(at[(at >= start) & (at <= end)], [start, end]))


def _leaving(lane: Lane, feature: Feature) -> list[Ints]:
    """The last moments at which events still count."""
    out = [(lane.at // lane.hop + lane.buckets) * lane.hop - 1] if lane.hop else []
    if feature.ttl is not None:
        out.append((lane.known_at if lane.row else lane.at) + to_us(feature.ttl))
    return out


def _event_lanes(feature: Feature, view: View, asked: Asked, source: Source) -> list[Lane]:
    """One lane per event type and tests: of several windows the longest."""
    longest: dict[tuple[str, str, str], Aggregate] = {}
    for a in feature.aggregates():
        tests = tuple(c for c in a.conditions if abs(c.value) < 1e300)
        name = (a.events.name, a.subject, str([c.to_data() for c in tests]))
        held = longest.get(name)
        if held is None or (held.hop and a.value != OWN_TIME and (not a.hop or a.window > held.window)):
            longest[name] = a
    return [_lane(a, view, asked, source) for a in longest.values()]


def _lane(a: Aggregate, view: View, asked: Asked, source: Source) -> Lane:
    columns, times = _under(a.events, a.by, [view.path(p)[0] for p in a.by], source)
    chosen = passing(a.events, columns, a.conditions) & (columns["known_at"] < asked.end)
    order = np.flatnonzero(chosen)[np.lexsort((columns["seq"][chosen], columns["known_at"][chosen]))]
    seq, at, known_at = (np.asarray(columns[c])[order] for c in ("seq", "at", "known_at"))
    edge = (asked.end // a.hop - a.buckets + 1) * a.hop if a.hop else NEVER
    counts = at >= edge
    if a.kind == "recent" or (a.kind == "max" and a.value == OWN_TIME):
        counts = np.zeros(len(at), bool)
        counts[np.lexsort((seq, at))[::-1][: max(a.k, 1)]] = True
    kind, value = a.events.fields.get(a.value or ""), np.full(len(at), np.nan)
    shown = a.value if a.value and kind and kind.storage in ("number", "flag") else ""
    if kind and shown:
        value = np.asarray(stored(columns, shown, kind, len(chosen)), np.float64)[order]
    return Lane(a.events.name, a.conditions, False, seq, at, known_at, value, counts, times[order], shown, edge, a.hop,
                a.buckets if a.hop else 0)  # fmt: skip


def _row_lanes(feature: Feature, view: View, asked: Asked, source: Source) -> list[Lane]:
    """The changes of the table rows whose columns are read."""
    found: dict[tuple[str, int], Lane] = {}
    keys = {str(p) for a in feature.aggregates() for p in a.by}
    for path in (p for p in feature.paths if p.columns and str(p) not in keys):
        owner = Path(path.table, path.columns[:-1])
        table, row = owner.kind.table or owner.table, int(np.atleast_1d(view.path(owner)[0])[0])
        columns = source.rows(table.name)
        chosen = np.flatnonzero((columns["row"] == row) & (columns["known_at"] < asked.end))
        chosen = chosen[np.lexsort((columns["seq"][chosen], columns["known_at"][chosen]))]
        seq, at, known_at = (np.asarray(columns[c])[chosen] for c in ("seq", "at", "known_at"))
        counts = np.arange(len(chosen)) == len(chosen) - 1
        found[table.name, row] = Lane(
            table.name, (), True, seq, at, known_at, np.full(len(at), np.nan), counts, np.ones(len(at), np.int64)
        )
    return list(found.values())


def keys_of(events: Events, by: Sequence[Path], source: Source) -> list[Ints]:
    """The keys that every event of a type counts under: int64 [n], or [n, m] of a multi-valued one, per path."""
    columns = _numbers(events, source)
    return [follow(events, path, columns, _lookup(source, columns)) for path in by]


def _numbers(events: Events, source: Source) -> Columns:
    columns = source.events(events.name)
    names = [c for c, kind in events.columns.items() if kind.storage != "text" and c in columns]
    return {c: np.asarray(columns[c]) for c in ("seq", "at", "known_at", *names)}


def _under(events: Events, by: Sequence[Path], keys: Sequence[Any], source: Source) -> tuple[Columns, Ints]:
    """The events that count under a key, or under each part of a pair, and how often: once per value in common."""
    columns: Columns = _numbers(events, source)
    times = np.ones(len(columns["seq"]), np.int64)
    for path, key in sorted(zip(by, keys, strict=True), key=lambda pair: len(pair[0].columns)):
        values = follow(events, path, columns, _lookup(source, columns))
        shared = np.isin(values, np.atleast_1d(key)[np.atleast_1d(key) >= 0])
        hits = shared.sum(axis=tuple(range(1, shared.ndim)))
        columns, times = {c: v[hits > 0] for c, v in columns.items()}, (times * hits)[hits > 0]
    return columns, times


def _lookup(source: Source, columns: Columns) -> Any:
    """Table columns as they stood at each event's place in the log."""

    def lookup(table: Table, name: str, rows: Ints) -> NDArray[Any]:
        versions, kind = source.rows(table.name), table.columns[name]
        n = len(versions["seq"])
        both = [np.concatenate([versions[c], columns[c]]) for c in ("seq", "known_at")]
        row = np.concatenate([versions["row"], rows])
        order = np.lexsort((*both, row))
        last = np.maximum.accumulate(np.where(order < n, np.arange(len(order)), -1))
        version = np.empty(len(order), np.int64)
        version[order] = np.where(last >= 0, order[last], -1)
        version = version[n:]
        there = (version >= 0) & (row[version] == rows) & (rows >= 0)
        values = stored(versions, name, kind, n)
        found = np.full((len(rows), *values.shape[1:]), missing(kind), values.dtype)
        found[there] = values[version[there]]
        return found

    return lookup
