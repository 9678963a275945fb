"""Changes of table rows within a batch: what each column becomes, and what it was at an event's place in the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from winnow.data.chunk import Chunk
from winnow.data.schema import Kind, Table, time
from winnow.data.text import text_hashes
from winnow.features.batch import Ints
from winnow.features.keys import Columns, missing, stored
from winnow.features.live.layout import columns_of
from winnow.features.state import KNOWN_AT

_TIMES = {"seq": time, "at": time, "known_at": time}
_ROW = {"row": Kind("ref"), "deleted": Kind("flag")}


@dataclass(frozen=True)
class Change:
    """New values of one table column in one batch, by (known_at, seq)."""

    rows: Ints
    known_at: Ints
    seq: Ints
    values: NDArray[Any]


Changes = dict[tuple[str, str], Change]  # (table, column) → its new values


def merged(kinds: Mapping[str, Kind], chunks: Sequence[Chunk], span: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Some columns of the chunks' rows inside a span of the log, one after the other."""
    inside = [(c.ints("seq") > span[0]) & (c.ints("seq") <= span[1]) for c in chunks]
    none: list[NDArray[Any]] = [np.empty(0, np.int64)] * (not chunks)
    return {
        name: np.concatenate([_stored(c, name, kind)[i] for c, i in zip(chunks, inside, strict=True)] + none)
        for name, kind in kinds.items()
    }


def _stored(chunk: Chunk, name: str, kind: Kind) -> NDArray[Any]:
    if kind.storage == "text" and name in chunk.columns:
        return text_hashes(chunk.texts(name))
    return stored(cast(Columns, chunk.columns), name, kind, len(chunk))


def changed(table: Table, chunks: Sequence[Chunk], span: tuple[int, int]) -> Changes:
    """The new values of each column: those that a row sets; a deletion sets all to missing."""
    found = Changes()
    for column, kind in columns_of(table).items() if chunks else ():
        parts = [_setting(c, column, kind, span) for c in chunks]
        rows, known_at, seq, values = (np.concatenate([p[i] for p in parts]) for i in range(4))
        order = np.lexsort((seq, known_at))
        if len(order):
            found[table.name, column] = Change(rows[order], known_at[order], seq[order], values[order])
    return found


def _setting(chunk: Chunk, column: str, kind: Kind, span: tuple[int, int]) -> tuple[NDArray[Any], ...]:
    part = merged(_TIMES | _ROW | {column: kind}, [chunk], span)
    deleted, values = part["deleted"] == 1, part[column].copy()
    values[deleted] = missing(kind)
    chosen = deleted | (column in chunk.columns)
    return tuple(a[chosen] for a in (part["row"], part["known_at"], part["seq"], values))


def stood(change: Change, values: NDArray[Any], since: Ints, *, rows: Ints, known_at: Ints, seq: Ints) -> NDArray[Any]:
    """A column's values for the rows of events, at the events' places in the log.

    Args:
        change: this batch's changes of the column.
        values: those held before, [n]; written over.
        since: when they became known, int64 [n].
        rows: the row of each event, int64 [n].
        known_at, seq: the place of each event, int64 [n].
    """
    touched = np.zeros(int(change.rows.max()) + 2, bool)
    touched[change.rows] = True
    may = np.flatnonzero(touched.take(rows, mode="clip"))  # clipped to -1 + 1 or past the end: never touched
    last = last_before(change, rows[may], known_at[may], seq[may])
    use = (last >= 0) & (change.known_at[last] >= since[may])
    values[may[use]] = change.values[last[use]]
    return values


def last_before(change: Change, rows: Ints, known_at: Ints, seq: Ints) -> Ints:
    """For each event the last change of its row before it in the log, int64 [n]; -1 when there is none."""
    size = len(change.rows)
    both = [np.concatenate(pair) for pair in ((change.seq, seq), (change.known_at, known_at), (change.rows, rows))]
    order = np.lexsort(both)
    last = np.maximum.accumulate(np.where(order < size, np.arange(len(order)), -1))
    place = np.empty(len(order), np.int64)
    place[order] = np.where(last >= 0, order[last], -1)
    found = place[size:]
    return np.where((found >= 0) & (change.rows[found] == rows), found, -1)


__all__ = ["KNOWN_AT", "Change", "Changes", "changed", "last_before", "merged", "stood"]
