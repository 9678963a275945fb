"""Learns expectations from a training period."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.core.system import System
from winnow.core.time import MICROS, iso
from winnow.data.expectations import flags
from winnow.data.expectations.behaviour import People
from winnow.data.expectations.declare import Bots, ColumnExpectation, Expectations, Group, Period
from winnow.data.expectations.profile import SURE, Rate, learn, long_before, usual
from winnow.data.expectations.sample import Sample, up
from winnow.data.expectations.tally import HOUR
from winnow.data.history import History
from winnow.data.ids import IdMap
from winnow.data.schema import Events, Table

Report = Callable[[str, float, float | None], None]
AHEAD = 0.05
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def silent(what: str, done: float, total: float | None) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Data:
    """Where the data of a project is.

    Args:
        history: in step with the log.
        ids: ids and row numbers.
        tables: by name.
        events: by name.
        systems: by name; the people of the first are those whose behaviour is learned.
    """

    history: History
    ids: IdMap
    tables: Mapping[str, Table]
    events: Mapping[str, Events]
    systems: Mapping[str, System] = field(default_factory=dict)


Notes = dict[tuple[str, ...], str]


def infer(
    data: Data, *, start: int | None = None, until: int | None = None, report: Report = silent
) -> tuple[Expectations, Notes]:
    """What to expect of the data, and what was observed.

    Args:
        data: of a project.
        start, until: the training period by own time, microseconds UTC; None reaches as far as there are events.
        report: told what is being done.

    Raises:
        InputError: `bad-period`, `empty-period`.
    """
    if start is not None and until is not None and start >= until:
        raise InputError(Problem("bad-period", f"{iso(start)} is not before {iso(until)}", "--from", fix="swap them"))
    frames = {}
    for i, (name, event) in enumerate(data.events.items()):
        report("events", i, len(data.events))
        frame = data.history.events(name).select("at", "known_at", *event.columns)
        frame = frame if start is None else frame.filter(pl.col("at") >= start)
        frames[name] = (frame if until is None else frame.filter(pl.col("at") < until)).collect()
    found = [f["at"] for f in frames.values() if len(f)]
    if not found:
        what = f"no events from {_shown(start, 'the beginning')} to {_shown(until, 'the end')}"
        fix = "import data first, or give another period"
        raise InputError(Problem("empty-period", what, "--from, --to", "nothing can be learned from nothing", fix))
    first, end = min(int(a.min()) for a in found), max(int(a.max()) for a in found) + 1  # type: ignore[arg-type]
    if until is not None and until - end < HOUR:
        end = until  # the period ends where it was said to, unless the data ended long before
    return _learned(data, frames, first=first, end=end, report=report)


def _learned(
    data: Data, frames: Mapping[str, pl.DataFrame], *, first: int, end: int, report: Report
) -> tuple[Expectations, Notes]:
    notes: Notes = {}
    groups: dict[str, dict[str, Group]] = {"event": {}, "table": {}}
    for i, (name, frame) in enumerate(frames.items()):
        report("learning", i, len(frames) + len(data.tables) + 1)
        if len(frame):
            groups["event"][name] = _event(data, data.events[name], frame, end=end, notes=notes)
    for i, (name, table) in enumerate(data.tables.items()):
        report("learning", len(frames) + i, len(frames) + len(data.tables) + 1)
        rows = data.history.table_at(name, end)
        if len(rows):
            groups["table"][name] = _table(data, table, rows, notes=notes)
    system = next(iter(data.systems.values()), None)
    bots = flags.learn(People.of(system), frames, notes) if system else Bots()
    report("learning", 1, 1)
    period = Period(start=moment(first), until=moment(end))
    return Expectations(period=period, bots=bots, event=groups["event"], table=groups["table"]), notes


def moment(us: int) -> datetime:
    """Microseconds as a datetime."""
    return _EPOCH + timedelta(microseconds=us)


def _shown(us: int | None, open_end: str) -> str:
    return open_end if us is None else iso(us)


def _event(data: Data, event: Events, frame: pl.DataFrame, *, end: int, notes: Notes) -> Group:
    path, at = ("event", event.name), frame["at"].to_numpy()
    # From its own first event on: a type that was introduced later was not silent before.
    rate, late = Rate.of(at, int(at.min()), end), lateness(frame)
    columns = dict(_columns(data, event, frame, path=path, notes=notes))
    columns["event_id"] = ColumnExpectation(kind="category", unique=True)
    columns["at"] = ColumnExpectation(kind="time", never_below=long_before(moment(int(at.min()))))
    notes[(*path, "columns", "at", "never_below")] = f"ten years before the first, {moment(int(at.min())):%Y-%m-%d}"
    for what, counts in (("hour", rate.hours), ("day", rate.days)):
        if len(counts):
            told = f"observed {int(counts.min()):,} to {int(counts.max()):,} in {len(counts):,} {what}s"
            notes[(*path, f"per_{what}")] = told
    known = len(late) >= SURE
    p99 = float(np.quantile(late, 0.99)) if known else 0.0
    notes[(*path, "late_s")] = f"99 of 100 were known within {p99:.3g} s"
    return Group(
        rows=len(frame), per_hour=usual(rate.hours, 24), per_day=usual(rate.days, 3),
        late_s=max(1.0, up(2 * p99)) if known else None, ahead=AHEAD, columns=columns,
    )  # fmt: skip


def lateness(frame: pl.DataFrame) -> NDArray[np.float64]:
    """Seconds between own time and being known, of events that were sent; imported ones do not tell theirs."""
    late: NDArray[np.float64] = (frame["known_at"] - frame["at"]).to_numpy() / MICROS
    return late[late > 0]


def _table(data: Data, table: Table, rows: pl.DataFrame, *, notes: Notes) -> Group:
    columns = dict(_columns(data, table, rows, path=("table", table.name), notes=notes))
    columns[table.key] = ColumnExpectation(kind="category", unique=True)
    return Group(rows=len(rows), columns=columns)


def _columns(
    data: Data, owner: Events | Table, frame: pl.DataFrame, *, path: tuple[str, ...], notes: Notes
) -> Iterator[tuple[str, ColumnExpectation]]:
    for name, kind in (owner.fields if isinstance(owner, Events) else owner.columns).items():
        names = partial(data.ids.ids, owner.domain(name)) if kind.has_domain else _nameless
        expectation, told = learn(Sample.of(frame[name], kind.storage), kind, names)
        notes.update({(*path, "columns", name, key): text for key, text in told.items()})
        yield name, expectation


def _nameless(rows: NDArray[np.int64]) -> list[str]:
    return []
