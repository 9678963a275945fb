"""A history on paper: a few events and row changes written by hand, to see what a feature makes of them.

paper = Paper()
paper.event(watch, "10:00", user="ann", video="v1", seconds=12)
paper.value(count(watch, by=user), "10:05", user="ann")
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.core.time import parse_time
from winnow.data.schema import Events, Kind, Table
from winnow.data.text import text_hashes
from winnow.features.declare import Feature
from winnow.features.history import HistoryState
from winnow.features.keys import Columns, fitted, missing
from winnow.features.plan import Plan
from winnow.features.story import Asked, Story, told
from winnow.features.view import Moments

DAY = "2026-03-02"  # a Monday, of moments given as a time of day
Moment = str | int


def moment(at: Moment) -> int:
    """A moment in microseconds UTC: a time of day on DAY, ISO 8601, or microseconds as they are.

    >>> moment("10:00") == moment("2026-03-02T10:00") == moment("2026-03-02 10:00:00")
    True
    """
    if isinstance(at, int):
        return at
    return parse_time(at if "-" in at else f"{DAY}T{at}")


class Paper:
    """Events and table rows in the order in which they are written down, as a history source.

    Ids are text, and become row numbers as they appear. An event whose `event_id` is there already is left out, as the
    log leaves it out. What is known earlier must be written down earlier.
    """

    def __init__(self) -> None:
        self._events: dict[str, tuple[Events, list[_Line]]] = {}
        self._rows: dict[str, tuple[Table, list[_Line]]] = {}
        self._ids: dict[str, dict[str, int]] = {}
        self._seen: set[str] = set()
        self._seq, self._known_at = 0, 0

    def event(
        self, of: Events, at: Moment, *, known_at: Moment | None = None, event_id: str | None = None, **columns: Any
    ) -> Self:
        """Writes an event down.

        Args:
            of: its type.
            at: its own time.
            known_at: when the log learned it; its own time unless told otherwise.
            event_id: one that is there already adds nothing.
            columns: ids of its roles, values of its fields; what is left out is missing.

        Raises:
            InputError: `out-of-order`.
        """
        if event_id is not None and event_id in self._seen:
            return self
        self._seen |= {event_id} if event_id is not None else set()
        values = {c: self._value(of.domain(c), kind, columns.get(c)) for c, kind in of.columns.items()}
        _, lines = self._events.setdefault(of.name, (of, []))
        lines.append(self._line(moment(at), known_at, values))
        return self

    def row(self, of: Table, key: str, at: Moment, *, deleted: bool = False, **columns: Any) -> Self:
        """Writes a change of a table's row down: the columns that are named get new values, the others keep theirs.

        Raises:
            InputError: `out-of-order`.
        """
        _, lines = self._rows.setdefault(of.name, (of, []))
        row = self.row_of(of.name, key)
        before = next((x for x in reversed(lines) if x.row == row), None)
        kept = {} if deleted or before is None or before.deleted else before.values
        new = {c: self._value(of.domain(c), k, columns.get(c)) for c, k in of.columns.items()}
        held = {c: kept[c] if c in kept and c not in columns else v for c, v in new.items()}
        lines.append(self._line(moment(at), None, held, row=row, deleted=deleted))
        return self

    def row_of(self, domain: str, key: str | None) -> int:
        """The row number of an id; a new one gets the next."""
        if key is None:
            return -1
        ids = self._ids.setdefault(domain, {})
        return ids.setdefault(key, len(ids))

    def id_of(self, domain: str, row: int) -> str:
        """The id of a row number; empty for -1."""
        return next((key for key, number in self._ids.get(domain, {}).items() if number == row), "")

    def value(self, feature: Feature, at: Moment, **ids: str) -> Any:
        """What a feature is at a moment: a number, or of a category its row numbers; one per window if it has several.

        Args:
            feature: the declaration.
            at: the moment.
            ids: table, or the role that it plays, → id of those that it depends on.
        """
        refs = {t: np.array([row], np.int64) for t, row in self._asked(feature, ids).items()}
        plan = Plan((feature,), {t: t for t in ids})
        batch = plan.compute(Moments(np.array([moment(at)], np.int64), refs), HistoryState(self))
        found = [*batch.numeric[0].tolist(), *(v[0].tolist() for v in batch.categorical.values()),
                 *([int(r) for r in s.rows[0] if r >= 0] for s in batch.sequences.values())]  # fmt: skip
        return found[0] if len(found) == 1 else found

    def _asked(self, feature: Feature, ids: Mapping[str, str]) -> dict[str, int]:
        """Row numbers of ids, of tables that a feature may call by another name."""
        names = {path.table.called: path.table.name for path in feature.paths}
        return {t: self.row_of(names.get(t, t), key) for t, key in ids.items()}

    def story(self, feature: Feature, start: Moment, end: Moment, **ids: str) -> Story:
        """What a feature was from one moment to another, and why; `winnow.project.features.picture.draw` shows it."""
        asked = Asked(self._asked(feature, ids), {t: t for t in ids}, moment(start), moment(end))
        return told(feature, feature.names[0], asked, state=HistoryState(self), source=self)

    # What a history source answers

    def events(self, name: str) -> Columns:
        """See `winnow.features.source.Source`."""
        of, lines = self._events.get(name, (None, []))
        return _columns(lines, of.columns if of else {})

    def rows(self, table: str) -> Columns:
        """See `winnow.features.source.Source`."""
        of, lines = self._rows.get(table, (None, []))
        extra = {"row": np.array([x.row for x in lines], np.int64),
                 "deleted": np.array([x.deleted for x in lines], np.int64)}  # fmt: skip
        return {**_columns(lines, of.columns if of else {}), **extra}

    def _line(self, at: int, known_at: Moment | None, values: dict[str, Any], **facts: Any) -> "_Line":
        known = moment(known_at) if known_at is not None else max(at, self._known_at)
        if known < max(at, self._known_at):
            what = "an event cannot be known before it happens, nor before what stands above it"
            raise InputError(Problem("out-of-order", what, fix="write down first what was known first"))
        self._seq, self._known_at = self._seq + 1, known
        return _Line(self._seq, at, known, values, **facts)

    def _value(self, domain: str, kind: Kind, given: Any) -> Any:
        if kind.storage == "categories":
            return [self.row_of(domain, key) for key in given or ()]
        if kind.has_domain:
            return self.row_of(domain, given)
        if given is None:
            return None if kind.storage == "text" else missing(kind)
        return moment(given) if kind.storage == "time" else given


@dataclass(frozen=True)
class _Line:
    """One event or row change."""

    seq: int
    at: int
    known_at: int
    values: dict[str, Any]
    row: int = -1
    deleted: bool = False


def _columns(lines: list[_Line], kinds: Mapping[str, Kind]) -> dict[str, NDArray[Any]]:
    times = {name: np.array([getattr(x, name) for x in lines], np.int64) for name in ("seq", "at", "known_at")}
    return times | dict(_typed(lines, kinds))


def _typed(lines: list[_Line], kinds: Mapping[str, Kind]) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, kind in kinds.items():
        values = [x.values[name] for x in lines]
        if kind.storage == "text":
            yield name, text_hashes(values)
        elif kind.storage == "categories":
            width = max((len(v) for v in values), default=0)
            sets = [v + [-1] * (width - len(v)) for v in values]
            yield name, fitted(np.array(sets, np.int64).reshape(len(values), width))
        else:
            yield name, np.array(values, np.float64 if kind.storage == "number" else np.int64)
