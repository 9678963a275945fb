"""Which keys an event counts under, and what it adds: the one reading of event columns that history and live share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.time import to_us
from winnow.data.schema import LARGEST, Condition, Events, Kind, Path, Table
from winnow.data.text import text_hashes
from winnow.features.aggregate import DECAY_HALVES, DECAY_UNIT, FIXED_POINT, OWN_TIME, Aggregate
from winnow.features.batch import Ints
from winnow.features.state import NEVER, SET_WIDTH

Columns = Mapping[str, NDArray[Any]]
Lookup = Callable[[Table, str, Ints], NDArray[Any]]  # a table's column for the rows that each event refers to


_TESTS: dict[str, Callable[[Any, float], Any]] = {
    ">=": np.greater_equal, "<=": np.less_equal, ">": np.greater, "<": np.less, "==": np.equal,
}  # fmt: skip


def missing(kind: Kind) -> float | int:
    """The value that stands for "not known" in a column of this kind."""
    return {"number": np.nan, "time": NEVER}.get(kind.storage, -1)


def fitted(values: NDArray[Any]) -> Ints:
    """A multi-valued column cut or padded to SET_WIDTH values, int64 [n, SET_WIDTH]."""
    wide = np.full((len(values), SET_WIDTH), -1, np.int64)
    width = min(values.shape[1], SET_WIDTH)
    wide[:, :width] = values[:, :width]
    return wide


def stored(columns: Columns, name: str, kind: Kind, size: int) -> NDArray[Any]:
    """A column as it is held, all missing when the data does not carry it (it was declared later)."""
    values = columns.get(name)
    if kind.storage == "categories":
        return fitted(np.empty((size, 0), np.int64) if values is None else values)
    if kind.storage == "text" and values is not None:
        return hashed(values)
    dtype = np.float64 if kind.storage == "number" else np.int64
    return np.full(size, missing(kind), dtype) if values is None else np.asarray(values, dtype)


def hashed(texts: Any) -> Ints:
    """Texts as content hashes, int64 [n]; hashes stay what they are."""
    return texts if isinstance(texts, np.ndarray) and texts.dtype.kind == "i" else text_hashes(texts)


def field(events: Events, columns: Columns, name: str) -> NDArray[Any]:
    """A role or field of events."""
    return stored(columns, name, events.columns[name], len(columns["seq"]))


def passing(events: Events, columns: Columns, conditions: Iterable[Condition]) -> NDArray[np.bool_]:
    """Which events pass all tests; a missing value passes none. bool [n]."""
    passed = np.ones(len(columns["seq"]), bool)
    for test in conditions:
        values, kind = field(events, columns, test.field), events.columns[test.field]
        passed &= _TESTS[test.op](values, test.value)
        if kind.storage != "number":
            passed &= values != missing(kind)
    return passed


def millionths(values: NDArray[Any]) -> Ints:
    """Numbers in whole millionths, int64; a missing value adds nothing.

    >>> millionths(np.array([1.5, np.nan])).tolist()
    [1500000, 0]
    """
    if values.dtype.kind != "f":
        return np.asarray(np.maximum(values, 0) * FIXED_POINT, np.int64)
    known = np.nan_to_num(values, nan=0.0, posinf=LARGEST, neginf=-LARGEST)
    return np.asarray(np.rint(np.clip(known, -LARGEST, LARGEST) * FIXED_POINT), np.int64)


def measured(values: NDArray[Any]) -> Ints:
    """Numbers or flags in whole millionths, int64; NEVER for a missing one.

    >>> measured(np.array([1.5, np.nan])).tolist() == [1500000, NEVER]
    True
    """
    unknown = np.isnan(values) if values.dtype.kind == "f" else values < 0
    return np.where(unknown, NEVER, millionths(values))


def decay_units(at: Ints, half_life: timedelta) -> Ints:
    """What events add to a decayed count: more the later they come in their period, in whole numbers; int64 [n].

    >>> decay_units(np.array([0, 3_600_000_000]), timedelta(hours=1)).tolist()
    [1048576, 2097152]
    """
    size = to_us(half_life)
    return np.asarray(np.rint(DECAY_UNIT * np.exp2(at % (DECAY_HALVES * size) / size)), np.int64)


def weight(aggregate: Aggregate, columns: Columns) -> Ints:
    """What each event adds to a sum, conditions aside; int64 [n]."""
    if aggregate.half_life is not None:
        return decay_units(columns["at"], aggregate.half_life)
    adds = added(aggregate.events, columns, aggregate.value)
    return np.ones(len(columns["seq"]), np.int64) if adds is None else adds


def compared(aggregate: Aggregate, columns: Columns) -> Ints:
    """What a maximum is taken of, conditions aside: NEVER for events that lack it; int64 [n]."""
    own = aggregate.value == OWN_TIME
    values = columns["at"] if own else measured(field(aggregate.events, columns, str(aggregate.value)))
    return np.where(values == NEVER, NEVER, -values) if aggregate.negated else values


def used(aggregate: Aggregate) -> set[str]:
    """The fields and roles of events that an aggregate reads, `at` where it needs it."""
    fields = {c.field for c in aggregate.conditions}
    if aggregate.value is not None:
        fields.add(aggregate.value)
    return fields if aggregate.half_life is None else fields | {OWN_TIME}


def added(events: Events, columns: Columns, value: str | None) -> Ints | None:
    """What each event adds to a sum; None for a count, where each adds one."""
    return None if value is None else millionths(field(events, columns, value))


def follow(events: Events, path: Path, columns: Columns, lookup: Lookup) -> Ints:
    """The key of each event along a path from its role: int64 [n], or [n, SET_WIDTH] when multi-valued."""
    rows: NDArray[Any] = field(events, columns, events.role(path.table))
    for depth, column in enumerate(path.columns):
        owner = Path(path.table, path.columns[:depth]).kind.table or path.table
        rows = lookup(owner, column, rows)
    return rows


def exploded(keys: Sequence[Ints]) -> tuple[Ints, tuple[Ints, ...]]:
    """Each event once under each of its keys.

    Args:
        keys: one or two int64 [n], or [n, m] when multi-valued.

    Returns:
        which event, int64 [e], in event order, and the keys, int64 [e] each; events with a missing key are left out.
    """
    if all(k.ndim == 1 for k in keys):
        event = np.flatnonzero(np.logical_and.reduce([k >= 0 for k in keys]))
        return event, tuple(k[event] for k in keys)
    wide = np.broadcast_arrays(*(k if k.ndim == 2 else k[:, None] for k in keys))
    event, place = np.nonzero(np.logical_and.reduce([k >= 0 for k in wide]))
    return event, tuple(k[event, place] for k in wide)
