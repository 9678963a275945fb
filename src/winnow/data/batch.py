"""What goes into the log in one piece: checked rows whose ids are not row numbers yet, and rows that were refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Problem
from winnow.data.chunk import ChunkKind, Column

MOST_PROBLEMS = 20  # told in one receipt


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of ids: each distinct id once, and per row its place in that list.

    Args:
        domain: the domain that the ids belong to.
        ids: the distinct ids in order of first appearance.
        codes: int64 [n] or [n, m], indexes into `ids`; -1 is missing.
    """

    domain: str
    ids: Sequence[str]
    codes: NDArray[np.int64]

    def only(self, keep: NDArray[np.bool_]) -> "Coded":
        """The chosen rows; ids that no chosen row has are left out, so that they get no row number."""
        codes = self.codes[keep]
        used = np.unique(codes[codes >= 0])
        place = np.full(len(self.ids) + 1, -1)
        place[used] = np.arange(len(used))
        return Coded(self.domain, [self.ids[i] for i in used.tolist()], place[codes])


@dataclass(frozen=True, eq=False)
class Draft:
    """Rows of one event type or table, checked but not yet numbered.

    Args:
        kind: `event` or `row`.
        name: the event type or the table.
        order: place of each row in the batch as it was sent, int64 [n], ascending.
        at: own time of each row, int64 [n], microseconds UTC.
        columns: as in `Chunk`, ids still as `Coded`; without `seq`, `at`, `known_at` and `event_id`.
        event_id: n ids, of which the log takes each once; for tables only for dated rows of an import, else None.
        backfill: whether the log pretends to have learned each row at its own time (`known_at` = `at`).
    """

    kind: ChunkKind
    name: str
    order: NDArray[np.int64]
    at: NDArray[np.int64]
    columns: Mapping[str, Column | Coded]
    event_id: list[str] | None = None
    backfill: bool = False

    def __len__(self) -> int:
        return len(self.order)

    def only(self, keep: NDArray[np.bool_]) -> "Draft":
        """The chosen rows."""
        return replace(
            self,
            order=self.order[keep],
            at=self.at[keep],
            columns={name: _only(column, keep) for name, column in self.columns.items()},
            event_id=None if self.event_id is None else _only_of(self.event_id, keep),
        )


def _only(column: Column | Coded, keep: NDArray[np.bool_]) -> Column | Coded:
    if isinstance(column, Coded):
        return column.only(keep)
    return _only_of(column, keep) if isinstance(column, list) else column[keep]


def _only_of(values: list[Any], keep: NDArray[np.bool_]) -> list[Any]:
    return [values[i] for i in np.flatnonzero(keep).tolist()]


@dataclass(frozen=True)
class Reject:
    """A row that did not pass, with the reason.

    Args:
        kind: `event` or `row`.
        name: the event type or table; empty when unknown.
        code: stable name of the mistake.
        field: the column at fault; may be empty.
        reason: what is wrong, for people.
        fix: what to do about it.
        row: the row as JSON text.
        backfill: whether it came with an import.
    """

    kind: ChunkKind
    name: str
    code: str
    field: str
    reason: str
    fix: str
    row: str
    backfill: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """What one append writes: all of it or nothing.

    Args:
        drafts: good rows.
        rejects: rows for the quarantine.
        settled: quarantine ids of rows that are among the drafts and leave the quarantine.
    """

    drafts: Sequence[Draft] = ()
    rejects: Sequence[Reject] = ()
    settled: Sequence[int] = ()

    def __len__(self) -> int:
        return sum(map(len, self.drafts))


@dataclass(frozen=True)
class Receipt:
    """What became of a batch; whatever it counts is on disk.

    Args:
        accepted: rows now in the log.
        duplicates: events whose `event_id` the log had already.
        quarantined: rows set aside with their reason, to be mended and replayed.
        refused: rows that could not even be set aside: events without an `event_id`.
        problems: one per kind of mistake, with a count and the first bad row.
    """

    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    refused: int = 0
    problems: tuple[Problem, ...] = field(default=())

    def __add__(self, other: "Receipt") -> "Receipt":
        return Receipt(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.quarantined + other.quarantined,
            self.refused + other.refused,
            (self.problems + other.problems)[:MOST_PROBLEMS],
        )
