"""The rules that a row must pass, applied by columns: every row is told the first rule that it breaks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Problem, did_you_mean
from winnow.core.time import MICROS
from winnow.data.chunk import NO_TIME
from winnow.data.columns import LONGEST_ID, Mask, Parsed, Raw, parse
from winnow.data.nights import malformed
from winnow.data.schema import LARGEST, Kind, Storage
from winnow.data.spec import Spec

SKEW_US = 300 * MICROS  # how far ahead of ours a client's clock may run

_EXPECTED: Mapping[Storage, str] = {
    "number": "a number", "category": "an id (text or whole number)", "ref": "an id (text or whole number)",
    "categories": "a list of ids", "text": "text", "time": "a time", "flag": "true or false",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Fault:
    """Rows that break one rule.

    Args:
        field: the column at fault.
        code: stable name of the rule.
        rows: mask, bool [n].
        reason: what is wrong, after the column's name.
        fix: what to do about it.
    """

    field: str
    code: str
    rows: Mask
    reason: str
    fix: str


@dataclass(frozen=True, eq=False)
class Checked:
    """Rows after the rules.

    Args:
        parsed: column → values, for the columns that were sent.
        at: own time of each row, int64 [n], never missing.
        faults: what was found.
        blame: per row the index in `faults` of the first rule that it breaks, -1 for a good row; int64 [n].
        sent: own time of each row as it was sent, int64 [n], `NO_TIME` where there was none.
        counted: expectations that rows break and that let them in all the same.
    """

    parsed: Mapping[str, Parsed]
    at: NDArray[np.int64]
    faults: Sequence[Fault]
    blame: NDArray[np.int64]
    sent: NDArray[np.int64]
    counted: Sequence[Fault] = ()

    @property
    def good(self) -> Mask:
        return self.blame < 0


class Expecting(Protocol):
    """Expectations of a type, besides its declaration: `expectations.enforce.Rules`."""

    def broken(self, spec: Spec, parsed: Mapping[str, Parsed], rows: int) -> tuple[list[Fault], list[Fault]]: ...


def check(
    spec: Spec, raw: Mapping[str, Raw], *, rows: int, now: int, unknown: Sequence[Fault] = (),
    expected: Expecting | None = None,
) -> Checked:  # fmt: skip
    """Parses and checks the columns of `rows` rows of one type.

    Args:
        spec: what may be sent.
        raw: column → values; only columns that `spec` knows.
        rows: how many rows.
        now: the present; later times are refused, or read as now when within five minutes.
        unknown: faults found before, such as unknown fields.
        expected: what else the rows should be.
    """
    parsed = {name: parse(values, spec.columns[name].storage) for name, values in raw.items()}
    faults = [*unknown, *(f for name, column in parsed.items() for f in _column_faults(spec, name, column))]
    sent = parsed[spec.time].values if spec.time in parsed else np.full(rows, NO_TIME)
    faults += _too_late(spec.time, sent > now + SKEW_US)
    refused, counted = expected.broken(spec, parsed, rows) if expected else ([], [])
    faults += refused
    at = np.where(sent == NO_TIME, now, np.minimum(sent, now))
    return Checked(parsed, at, faults, _blame(faults, rows), sent, counted)


def _blame(faults: Sequence[Fault], rows: int) -> NDArray[np.int64]:
    blame = np.full(rows, -1)
    for i, fault in enumerate(faults):
        blame[fault.rows & (blame < 0)] = i
    return blame


def _column_faults(spec: Spec, name: str, column: Parsed) -> Iterator[Fault]:
    kind = spec.columns[name]
    broken = np.zeros(len(column.values), dtype=bool)
    for code, rows in column.faults.items():
        broken |= rows
        yield _parse_fault(name, code, rows, kind)
    if name in spec.required:
        yield from _absent(spec, name, column, broken)
    if kind.storage == "number":
        yield from _out_of_range(name, column, kind)
    if kind.media == "nights" and (rows := malformed(column.values)).any():
        fix = "send a date and a hexadecimal digit for each four nights: 2026-07-01 ff3c"
        yield Fault(name, "bad-nights", rows, "does not say which nights are free", fix)


def _parse_fault(name: str, code: str, rows: Mask, kind: Kind) -> Fault:
    expected = _EXPECTED[kind.storage]
    if code == "not-finite":
        return Fault(name, code, rows, "is not a finite number", "send null where the value is unknown")
    if code == "bad-time":
        fix = "send ISO 8601 text with an offset, or seconds, milliseconds or microseconds since 1970"
        return Fault(name, code, rows, "is not a time", fix)
    if code == "id-too-long":
        fix = f"use ids of at most {LONGEST_ID} characters"
        return Fault(name, code, rows, f"is longer than {LONGEST_ID} characters", fix)
    return Fault(name, code, rows, f"is not {expected}", f"send {expected}, or null where it is unknown")


def _absent(spec: Spec, name: str, column: Parsed, broken: Mask) -> Iterator[Fault]:
    if None not in column.values:
        return
    rows = np.array([v is None for v in column.values], dtype=bool) & ~broken
    if rows.any():
        code = "missing-key" if spec.kind == "row" else "missing-ref"
        yield Fault(name, code, rows, "is missing", f"send `{name}` in every row of `{spec.name}`")


def _out_of_range(name: str, column: Parsed, kind: Kind) -> Iterator[Fault]:
    least = -LARGEST if kind.at_least is None else kind.at_least
    most = LARGEST if kind.at_most is None else kind.at_most
    if (rows := column.values < least).any():
        reason = f"is below {least:g}, the smallest value {_word(kind.at_least)}"
        yield Fault(name, "below-minimum", rows, reason, "correct the value at its source")
    if (rows := column.values > most).any():
        reason = f"is above {most:g}, the largest value {_word(kind.at_most)}"
        yield Fault(name, "above-maximum", rows, reason, "correct the value at its source")


def _word(limit: float | None) -> str:
    return "that sums can hold" if limit is None else "declared"


def _too_late(name: str, rows: Mask) -> list[Fault]:
    if not rows.any():
        return []
    reason, fix = "lies more than five minutes ahead", "set the sender's clock, or check the unit of the time"
    return [Fault(name, "future-time", rows, reason, fix)]


def names(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Every name that some row has."""
    found: set[str] = set()
    return found.union(*rows)


def unknown_fields(spec: Spec, rows: Sequence[Mapping[str, Any]]) -> list[Fault]:
    """One fault for every name that the type does not have."""
    odd = names(rows) - spec.columns.keys() - ({"type"} if spec.kind == "event" else set())
    return [
        Fault(
            str(name), "unknown-field", np.array([name in row for row in rows], dtype=bool),
            f"is not a column of `{spec.name}`", did_you_mean(str(name), spec.columns),
        )
        for name in sorted(odd, key=str)
    ]  # fmt: skip


def summary(spec: Spec, checked: Checked, raw: Mapping[str, Raw], places: NDArray[np.int64]) -> Iterator[Problem]:
    """One problem per kind of mistake: how many rows, and the first.

    Args:
        spec: what may be sent.
        checked: what was found.
        raw: the values as sent, to quote the first bad one (never a personal one).
        places: place of each row in what was sent, int64 [n].
    """
    why = "the row was set aside with this reason; the good rows of the batch landed"
    for i, fault in enumerate(checked.faults):
        yield from _told(spec, fault, checked.blame == i, raw=raw, places=places, why=why)
    why = "the row landed: its expectation only warns"
    for fault in checked.counted:
        yield from _told(spec, fault, fault.rows & checked.good, raw=raw, places=places, why=why)


def _told(
    spec: Spec, fault: Fault, mask: Mask, *, raw: Mapping[str, Raw], places: NDArray[np.int64], why: str
) -> Iterator[Problem]:
    rows = np.flatnonzero(mask)
    if len(rows):
        where = f"{spec.name}[{places[rows[0]]}].{fault.field}"
        quote = _quote(spec, fault.field, raw, int(rows[0]))
        more = f" ({len(rows)} rows; this is the first)" if len(rows) > 1 else ""
        yield Problem(fault.code, f"`{fault.field}`{quote} {fault.reason}{more}", where, why, fault.fix)


def _quote(spec: Spec, name: str, raw: Mapping[str, Raw], row: int) -> str:
    kind = spec.columns.get(name)
    if name not in raw or kind is None or kind.privacy == "personal" or raw[name][row] is None:
        return ""
    return f" = {repr(raw[name][row])[:60]}"
