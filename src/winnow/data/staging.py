"""From what was sent to what the log is given: rows grouped by type and shape, checked, with ids as codes."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.errors import Problem, did_you_mean
from winnow.data.batch import Coded, Draft, Reject
from winnow.data.checks import Checked, check, names, summary, unknown_fields
from winnow.data.chunk import ChunkKind, Column
from winnow.data.columns import Raw, parse
from winnow.data.expectations.edge import Edge
from winnow.data.expectations.tally import Note
from winnow.data.schema import Storage
from winnow.data.spec import Spec

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Staged:
    """Rows ready to be appended, and what was wrong with the others.

    Args:
        drafts: good rows.
        rejects: rows for the quarantine.
        problems: one per kind of mistake.
        refused: how many rows cannot even be quarantined.
        bad: places of the rows that did not pass.
        notes: what to count about rows that passed.
    """

    drafts: tuple[Draft, ...] = ()
    rejects: tuple[Reject, ...] = ()
    problems: tuple[Problem, ...] = ()
    refused: int = 0
    bad: frozenset[int] = frozenset()
    notes: tuple[Note, ...] = ()

    def __add__(self, other: "Staged") -> "Staged":
        return Staged(
            self.drafts + other.drafts,
            self.rejects + other.rejects,
            self.problems + other.problems,
            self.refused + other.refused,
            self.bad | other.bad,
            self.notes + other.notes,
        )


@dataclass(frozen=True)
class Stager:
    """Stages rows as of one moment.

    Args:
        now: the present, microseconds UTC.
        backfill: whether the rows come from an import.
        expected: what is expected of rows besides their declaration.
    """

    now: int
    backfill: bool = False
    expected: Edge | None = None

    def events(self, rows: Sequence[Row], known: Mapping[str, Spec]) -> Staged:
        """Event objects of any types, in the order sent."""
        by_type: dict[str, list[int]] = {}
        for i, row in enumerate(rows):
            by_type.setdefault(_type_of(row), []).append(i)
        staged = Staged()
        for name, places in by_type.items():
            chosen = rows if len(by_type) == 1 else [rows[i] for i in places]
            spec = known.get(name)
            if spec is not None:
                staged += self._events_of(spec, chosen, places)
            else:
                staged += self._unusable(
                    "event", chosen, places, problem=_no_such_event(name, places, known), name=name
                )
        return staged

    def rows(self, spec: Spec, rows: Sequence[Row]) -> Staged:
        """Changes of table rows; the changes of one row keep their order."""
        odd = [i for i, row in enumerate(rows) if not isinstance(row, Mapping)]
        staged = Staged()
        if odd:
            problem = _not_an_object(spec.name, odd)
            staged += self._unusable("row", [rows[i] for i in odd], odd, problem=problem, name=spec.name)
        for shape, places in _by_shape(spec, rows, skip=frozenset(odd)):
            chosen = [rows[i] for i in places]
            raw: dict[str, Raw] = {name: _values(spec, name, chosen) for name in spec.columns if name in shape}
            staged += self._checked(spec, raw, rows=chosen, places=places, first=sum(map(len, staged.drafts)))
        return staged

    def frame(self, spec: Spec, frame: pl.DataFrame) -> Staged:
        """A frame of one event type or table."""
        if "deleted" in frame.columns and spec.kind == "row":
            return self.rows(spec, frame.to_dicts())
        staged = Staged()
        if spec.kind == "event" and frame[spec.key].has_nulls():
            places = frame[spec.key].is_null().arg_true().to_list()
            staged, frame = Staged((), (), (_nameless(spec, places),), len(places)), frame.drop_nulls(spec.key)
        raw: dict[str, Raw] = {name: frame.get_column(name) for name in frame.columns}
        return staged + self._checked(spec, raw, rows=frame, places=range(len(frame)))

    def _events_of(self, spec: Spec, rows: Sequence[Row], places: Sequence[int]) -> Staged:
        nameless = [i for i, row in enumerate(rows) if not row.get("event_id") and row.get("event_id") != 0]
        staged = Staged()
        if nameless:
            where = [places[i] for i in nameless]
            staged, left = Staged((), (), (_nameless(spec, where),), len(where), frozenset(where)), set(nameless)
            places = [p for i, p in enumerate(places) if i not in left]
            rows = [row for i, row in enumerate(rows) if i not in left]
        if not rows:
            return staged
        sent = names(rows) & spec.columns.keys() | spec.required
        raw: dict[str, Raw] = {name: [row.get(name) for row in rows] for name in spec.columns if name in sent}
        return staged + self._checked(spec, raw, rows=rows, places=places)

    def _checked(
        self,
        spec: Spec,
        raw: Mapping[str, Raw],
        *,
        rows: Sequence[Row] | pl.DataFrame,
        places: Sequence[int],
        first: int | None = None,
    ) -> Staged:
        """Checks the rows of one type and shape; `first` numbers them anew instead of by their places."""
        sent = np.asarray(places, dtype=np.int64)
        unknown = [] if isinstance(rows, pl.DataFrame) else unknown_fields(spec, rows)
        rules = self.expected.rules(spec.kind, spec.name) if self.expected else None
        checked = check(spec, raw, rows=len(sent), now=self.now, unknown=unknown, expected=rules)
        notes = tuple(rules.notes(spec, checked, self.now, sent=not self.backfill)) if rules else ()
        order = sent if first is None else np.arange(first, first + len(sent))
        draft = _draft(spec, checked, order, backfill=self.backfill)
        if spec.kind == "row" and self.backfill and spec.time in raw:
            draft = replace(draft, event_id=_fingerprints(spec, rows, checked.good))
        problems = tuple(summary(spec, checked, raw, sent)) if checked.faults or checked.counted else ()
        if checked.good.all():
            return Staged((draft,), problems=problems, notes=notes)
        rejects = tuple(_rejects(spec, checked, rows, backfill=self.backfill))
        bad = frozenset(sent[~checked.good].tolist())
        return Staged((draft,) if len(draft) else (), rejects, problems, bad=bad, notes=notes)

    def _unusable(
        self, kind: ChunkKind, rows: Sequence[Any], places: Sequence[int], *, problem: Problem, name: str = ""
    ) -> Staged:
        """Rows of which not even the type is known."""
        rejects = tuple(
            Reject(kind, name, problem.code, "", problem.what, problem.fix, _json(row), self.backfill) for row in rows
        )
        return Staged((), rejects, (problem,), bad=frozenset(places))


def _type_of(row: Any) -> str:
    name = row.get("type") if isinstance(row, Mapping) else None
    return name if isinstance(name, str) else ""


def _by_shape(spec: Spec, rows: Sequence[Row], *, skip: frozenset[int]) -> Iterator[tuple[frozenset[str], list[int]]]:
    """Rows that set the same columns, together: shape, places.

    With several shapes the n-th changes of all rows come before the (n+1)-th ones, so that those of one row keep
    their order.
    """
    shapes = {i: _shape(spec, row) for i, row in enumerate(rows) if i not in skip}
    one_shape = len(set(shapes.values())) == 1
    seen: dict[Any, int] = {}
    groups: dict[tuple[int, frozenset[str]], list[int]] = {}
    for i, shape in shapes.items():
        key = str(rows[i].get(spec.key))
        seen[key] = seen.get(key, -1) + 1
        groups.setdefault((0 if one_shape else seen[key], shape), []).append(i)
    for (_, shape), places in sorted(groups.items(), key=lambda group: group[0][0]):
        yield shape, places


def _gone(row: Row) -> bool:
    return row.get("deleted") in (True, 1)


def _shape(spec: Spec, row: Row) -> frozenset[str]:
    if _gone(row):
        return frozenset(spec.columns)
    return frozenset(row.keys() & spec.columns.keys()) | {spec.key, spec.time}


def _values(spec: Spec, name: str, rows: Sequence[Row]) -> list[Any]:
    if name in spec.stored:  # a deleted row has no values, whatever else was sent with it
        return [None if _gone(row) else row.get(name) for row in rows]
    return [row.get(name) for row in rows]


def _draft(spec: Spec, checked: Checked, order: NDArray[np.int64], *, backfill: bool) -> Draft:
    good, n = checked.good, len(order)
    columns: dict[str, Column | Coded] = {}
    for name in spec.stored:
        if name in checked.parsed:
            columns[name] = _stored(spec, name, checked.parsed[name].only(good))
        elif spec.kind == "event":
            columns[name] = _stored(spec, name, _missing(spec.columns[name].storage, int(good.sum())))
    if spec.kind == "event":
        ids = checked.parsed[spec.key].only(good)
        return Draft("event", spec.name, order[good], checked.at[good], columns, ids, backfill)
    deleted = checked.parsed["deleted"].only(good) if "deleted" in checked.parsed else np.zeros(n)[good]
    keys = coded(spec.name, checked.parsed[spec.key].only(good))
    columns = {"row": keys, "deleted": np.maximum(deleted, 0).astype(np.int64), **columns}
    return Draft("row", spec.name, order[good], checked.at[good], columns, None, backfill)


def _fingerprints(spec: Spec, rows: Sequence[Row] | pl.DataFrame, good: NDArray[np.bool_]) -> list[str]:
    """What makes importing a table twice the same as once: a dated change with the same content has the same name."""
    every = rows.iter_rows(named=True) if isinstance(rows, pl.DataFrame) else iter(rows)
    digests = (hashlib.blake2b(_json(row).encode(), digest_size=12).hexdigest() for row in compress(every, good))
    return [f"{spec.name}:{digest}" for digest in digests]


def _stored(spec: Spec, name: str, values: Any) -> Column | Coded:
    if name in spec.domains:
        several = spec.columns[name].storage == "categories"
        return coded_lists(spec.domains[name], values) if several else coded(spec.domains[name], values)
    if spec.kind == "row" and spec.columns[name].storage == "text":
        return [text or "" for text in values]  # a text that is cleared reads as empty; None would mean "not sent"
    return values  # type: ignore[no-any-return]


def _missing(storage: Storage, n: int) -> Any:
    return parse([None] * n, storage).values


def coded(domain: str, ids: Sequence[str | None]) -> Coded:
    """A column of ids as distinct ids and codes, int64 [n]; None becomes -1."""
    place: dict[str, int] = {}
    codes = [-1 if i is None else place.setdefault(i, len(place)) for i in ids]
    return Coded(domain, list(place), np.array(codes, dtype=np.int64))


def coded_lists(domain: str, lists: Sequence[list[str] | None]) -> Coded:
    """A multi-valued column as distinct ids and codes, int64 [n, m], padded with -1."""
    place: dict[str, int] = {}
    width = max((len(ids) for ids in lists if ids), default=0)
    codes = np.full((len(lists), width), -1, dtype=np.int64)
    for row, ids in enumerate(lists):
        if ids:
            codes[row, : len(ids)] = [place.setdefault(i, len(place)) for i in ids]
    return Coded(domain, list(place), codes)


def _rejects(spec: Spec, checked: Checked, rows: Sequence[Row] | pl.DataFrame, *, backfill: bool) -> Iterator[Reject]:
    for i in np.flatnonzero(~checked.good).tolist():
        fault = checked.faults[checked.blame[i]]
        row = rows.row(i, named=True) if isinstance(rows, pl.DataFrame) else rows[i]
        if spec.kind == "event":
            row = {"type": spec.name, **row}
        reason = f"`{fault.field}` {fault.reason}"
        yield Reject(spec.kind, spec.name, fault.code, fault.field, reason, fault.fix, _json(row), backfill)


def _json(row: Any) -> str:
    return json.dumps(row, default=str, ensure_ascii=True)


def _nameless(spec: Spec, places: Sequence[int]) -> Problem:
    return Problem(
        "missing-event-id",
        f"`event_id` is missing ({len(places)} rows; this is the first)",
        f"{spec.name}[{places[0]}].event_id",
        "without it a batch that is sent again would count twice; these rows were not kept anywhere",
        "give every event an id of its own when it happens, and keep it when sending again",
    )


def _no_such_event(name: str, places: Sequence[int], known: Mapping[str, Spec]) -> Problem:
    if not name:
        return _not_an_object("event", places)
    what = f"unknown event type `{name}` ({len(places)} rows; this is the first)"
    why = "the rows were set aside; they can be replayed once the type is declared"
    return Problem("unknown-event", what, f"events[{places[0]}].type", why, did_you_mean(name, known))


def _not_an_object(name: str, places: Sequence[int]) -> Problem:
    what = f"not an object with the needed names ({len(places)} rows; this is the first)"
    fix = 'send {"type": ..., "event_id": ..., ...}' if name == "event" else "send objects with the table's key"
    return Problem("not-an-object", what, f"{name}[{places[0]}]", "the row was set aside", fix)
