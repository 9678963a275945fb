"""Reads `expectations.toml`: every mistake at once, each with its line."""

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from winnow.core.errors import InputError, Problem, did_you_mean
from winnow.data.expectations.declare import KEYS, Bots, ColumnExpectation, Expectations, Group, Period, Storms
from winnow.data.expectations.lines import Place, line_of, places
from winnow.data.schema import Events, Kind, Table
from winnow.data.spec import Spec, of_events, of_table

S = TypeVar("S", bound=msgspec.Struct)
_ONLY_EVENTS = ("per_hour", "per_day", "late_s", "ahead", "producer")
_ORDERED = (("at_least", "at_most"), ("never_below", "never_above"), ("never_below", "at_least"),
            ("at_most", "never_above"))  # fmt: skip


@dataclass(frozen=True)
class Schema:
    """What may be expected of something: the specs of event types and tables by name."""

    event: Mapping[str, Spec]
    table: Mapping[str, Spec]

    @classmethod
    def of(cls, tables: Mapping[str, Table], events: Mapping[str, Events]) -> "Schema":
        """The schema of a project."""
        return cls({n: of_events(e) for n, e in events.items()}, {n: of_table(t) for n, t in tables.items()})


def read(path: Path, schema: Schema) -> Expectations:
    """The expectations in a file.

    Args:
        path: `expectations.toml` of a project.
        schema: what the project declares.

    Raises:
        InputError: every mistake with file and line: `bad-expectations-file`, `unknown-expectation`, `bad-expectation`,
            `unknown-event`, `unknown-table`, `unknown-column`.
        FileNotFoundError: when there is no such file.
    """
    text = _text(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(Problem("bad-expectations-file", str(error), path.name, fix=_FIX)) from error
    reading = _Reading(path.name, places(text), schema)
    found = reading.expectations(data)
    if reading.problems:
        raise InputError(*sorted(reading.problems, key=lambda p: int(p.where.rpartition(":")[2])))
    return found


_FIX = "correct the line, or write the file anew with `winnow data infer --force`"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(Problem("bad-expectations-file", f"not UTF-8: {error}", path.name, fix=_FIX)) from error


class _Reading:
    """One pass through the file; mistakes are gathered."""

    def __init__(self, file: str, lines: dict[Place, int], schema: Schema) -> None:
        self._file, self._lines, self._schema = file, lines, schema
        self.problems: list[Problem] = []

    def expectations(self, data: Mapping[str, Any]) -> Expectations:
        for name in data.keys() - set(Expectations.__struct_fields__):
            self._unknown((name,), Expectations.__struct_fields__)
        period = self._period(data["period"]) if "period" in data else None
        return Expectations(
            period=period,
            bots=self._filled(Bots, data.get("bots", {}), ("bots",)) or Bots(),
            storms=self._filled(Storms, data.get("storms", {}), ("storms",)) or Storms(),
            event=self._groups(data.get("event", {}), "event", self._schema.event),
            table=self._groups(data.get("table", {}), "table", self._schema.table),
        )

    def _period(self, data: Any) -> Period | None:
        period = self._filled(Period, data, ("period",))
        if period and _moment(period.start) >= _moment(period.until):
            self._bad(("period", "start"), "the period ends before it starts", "swap `start` and `until`")
        return period

    def _groups(self, data: Any, section: str, specs: Mapping[str, Spec]) -> dict[str, Group]:
        if not isinstance(data, Mapping):
            self._bad((section,), f"`{section}` is {data!r}", f"write [{section}.NAME] sections")
            return {}
        found = {}
        for name, group in data.items():
            if name in specs:
                found[name] = self._group(group, (section, name), specs[name])
            else:
                what, where, fix = f"unknown {section} `{name}`", self._at((section, name)), did_you_mean(name, specs)
                self.problems.append(
                    Problem("unknown-event", what, where, fix=fix)
                    if section == "event"
                    else Problem("unknown-table", what, where, fix=fix)
                )
        return {name: group for name, group in found.items() if group}

    def _group(self, data: Any, place: Place, spec: Spec) -> Group | None:
        if not isinstance(data, Mapping):
            self._bad(place, f"`{place[-1]}` is {data!r}", "write a section")
            return None
        columns = data.get("columns", {})
        group = self._filled(Group, {k: v for k, v in data.items() if k != "columns"}, place, skip=("columns",))
        found = {}
        for name, column in columns.items() if isinstance(columns, Mapping) else ():
            if name in spec.columns:
                found[name] = self._column(column, (*place, "columns", name), spec)
            else:
                what, where = f"`{spec.name}` has no column `{name}`", self._at((*place, "columns", name))
                self.problems.append(Problem("unknown-column", what, where, fix=did_you_mean(name, spec.columns)))
        for name in _ONLY_EVENTS if spec.kind == "row" else ():
            if name in data:
                self._bad((*place, name), f"`{name}` says nothing about a table", "take the line out")
        if group is None:
            return None
        self._whole(group, place, spec)
        return msgspec.structs.replace(group, columns={n: c for n, c in found.items() if c})

    def _whole(self, group: Group, place: Place, spec: Spec) -> None:
        for name in ("per_hour", "per_day"):
            span = getattr(group, name)
            if span and not 0 <= span[0] <= span[1]:
                self._bad((*place, name), f"`{name}` = {list(span)}", "give [fewest, most], 0 ≤ fewest ≤ most")
        kind = spec.columns.get(group.producer)
        if group.producer and (kind is None or kind.storage != "category"):
            categories = [n for n, k in spec.columns.items() if k.storage == "category"]
            fix, where = did_you_mean(group.producer, categories), self._at((*place, "producer"))
            what = f"`{spec.name}` has no category `{group.producer}` that could tell producers apart"
            self.problems.append(Problem("unknown-column", what, where, fix=fix))

    def _column(self, data: Any, place: Place, spec: Spec) -> ColumnExpectation | None:
        kind = spec.columns[place[-1]]
        keys = [*_keys(spec, place[-1]), "kind", "level"]
        if not isinstance(data, Mapping):
            self._bad(place, f"`{place[-1]}` is {data!r}", "write a section")
            return None
        for name in data.keys() & set(ColumnExpectation.__struct_fields__) - set(keys):
            fix = f"what can be said: {', '.join(sorted(keys))}"
            self._bad((*place, name), f"`{name}` says nothing about a {kind.storage} such as `{place[-1]}`", fix)
        expected = self._filled(ColumnExpectation, data, place)
        if expected:
            self._fits(expected, place, kind)
        return expected

    def _fits(self, expected: ColumnExpectation, place: Place, kind: Kind) -> None:
        if expected.kind != kind.storage:
            fix = "infer again, or set the kind and what follows from it"
            what = f"`{place[-1]}` was a {expected.kind} and is declared as {kind.storage} now"
            self._bad((*place, "kind"), what, fix)
            return
        bounds = {n: getattr(expected, n) for pair in _ORDERED for n in pair}
        wrong = [n for n, v in bounds.items() if v is not None and isinstance(v, datetime) != (kind.storage == "time")]
        for name in wrong:
            self._bad((*place, name), f"`{name}` is not a {kind.storage}", f"give a {kind.storage}")
        for low, high in () if wrong else _ORDERED:
            a, b = bounds[low], bounds[high]
            if a is not None and b is not None and number(a) > number(b):
                self._bad((*place, low), f"`{low}` is above `{high}`: nothing could pass", "swap them")
        for name, what, fix in _shape_faults(expected):
            self._bad((*place, name), what, fix)

    def _filled(self, kind: type[S], data: Any, place: Place, *, skip: Sequence[str] = ()) -> S | None:
        """A struct from data; every mistake in it is noted, and then there is no struct."""
        fields = {f.name: f for f in msgspec.structs.fields(kind) if f.name not in skip}
        if not isinstance(data, Mapping):
            self._bad(place, f"`{place[-1]}` is {data!r}", "write a section")
            return None
        before, values = len(self.problems), {}
        for name, value in data.items():
            if name not in fields:
                self._unknown((*place, name), [*fields, *skip])
            elif not _finite(value):
                self._bad((*place, name), f"`{name}` is not finite", "give a number, or take the line out")
            else:
                try:
                    values[name] = msgspec.convert(value, fields[name].type)
                except msgspec.ValidationError as error:
                    self._bad((*place, name), f"`{name}` is {value!r}: {error}", "see the reference of settings")
        for name in (n for n, f in fields.items() if f.required and n not in data):
            self._bad(place, f"`{name}` is missing", f"add `{name}`")
        return kind(**values) if len(self.problems) == before else None

    def _unknown(self, place: Place, known: Sequence[str]) -> None:
        what, fix = f"unknown expectation `{place[-1]}`", did_you_mean(place[-1], known)
        self.problems.append(Problem("unknown-expectation", what, self._at(place), fix=fix))

    def _bad(self, place: Place, what: str, fix: str) -> None:
        self.problems.append(Problem("bad-expectation", what, self._at(place), fix=fix))

    def _at(self, place: Place) -> str:
        return f"{self._file}:{line_of(self._lines, place)}"


def _keys(spec: Spec, column: str) -> list[str]:
    keys = KEYS[spec.columns[column].storage]
    if column == spec.key:
        return ["unique"]
    return [k for k in keys if k != "unique"]


def _shape_faults(expected: ColumnExpectation) -> Iterator[tuple[str, str, str]]:
    edges, shares, values = expected.edges, expected.shares, expected.values
    if edges is not None and any(a >= b for a, b in pairwise(edges)):
        yield "edges", "`edges` do not ascend", "sort them"
    if values is not None and len(set(values)) < len(values):
        yield "values", "`values` names something twice", "name each once"
    bins = {"flag": 2, "number": len(edges or ()) + 1}.get(expected.kind, len(values or ()))
    if shares is not None and len(shares) != bins:
        yield "shares", f"`shares` has {len(shares)} numbers for {bins} bins", f"give {bins} shares"
    if shares is not None and sum(shares) > 1.01:
        yield "shares", f"`shares` add up to {sum(shares):.3f}", "give shares of at most 1 in all"


def _finite(value: Any) -> bool:
    several = value if isinstance(value, list) else value.values() if isinstance(value, dict) else [value]
    return all(math.isfinite(v) for v in several if isinstance(v, float))


def number(bound: float | datetime) -> float:
    """A bound as values are held: moments in microseconds."""
    return _moment(bound) if isinstance(bound, datetime) else float(bound)


def _moment(value: datetime) -> int:
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1_000_000)
