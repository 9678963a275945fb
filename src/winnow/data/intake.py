"""The one edge by which data comes in, for HTTP and importers alike.

Rows are checked by columns. Good rows go to the log; each bad one goes to the quarantine with its reason; both in one
transaction. An event is `{"event_id", "type", "at"?, "<role>": id, "<field>": value, "recommendation_id"?}`, a table
row `{"<key>": id, "<column>": value, "changed_at"?, "deleted"?}`. Ids may be text or whole numbers.

A table row sets the columns that it names (null clears one) and leaves the others as they were; `"deleted": true`
clears all of them and marks the row as gone until it is sent again. Later rows win: within a batch those further
down, between batches those that the log learned later.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from winnow.core.errors import InputError, Problem, did_you_mean, unknown
from winnow.core.time import now_us
from winnow.data import spec as specs
from winnow.data.batch import MOST_PROBLEMS, Batch, Receipt
from winnow.data.chunk import ChunkKind
from winnow.data.expectations.edge import Edge
from winnow.data.expectations.tally import Note
from winnow.data.log import EventLog
from winnow.data.quarantine import Row as QuarantinedRow
from winnow.data.schema import Events, Kind, Table
from winnow.data.spec import Spec
from winnow.data.staging import Staged, Stager

SLICE = 65_536  # rows of a frame that are checked and written at a time


class Intake:
    """Checks what comes in and writes it to the log.

    Args:
        log: where good rows go.
        tables: the tables of the project by name.
        events: its event types by name.
        clock: the present, microseconds UTC.
        expected: what is expected of rows besides their declaration; see `data/expectations`.
    """

    def __init__(
        self,
        log: EventLog,
        tables: Mapping[str, Table],
        events: Mapping[str, Events],
        *,
        clock: Callable[[], int] = now_us,
        expected: Edge | None = None,
    ) -> None:
        self._log = log
        self._expected = expected
        self._clock = clock
        self._tables = {name: specs.of_table(table) for name, table in tables.items()}
        self._events = {name: specs.of_events(event) for name, event in events.items()}

    def events(self, rows: Sequence[Mapping[str, Any]], *, backfill: bool = False) -> Receipt:
        """Takes events of any types, in the order in which they were sent.

        Args:
            rows: public event objects.
            backfill: take each event as known at its own time, as an import of an old log must.

        Raises:
            Unavailable: `log-full`, `log-busy`; nothing was kept.
        """
        return self._append(self._stager(backfill).events(rows, self._events))

    def rows(self, table: str, rows: Sequence[Mapping[str, Any]], *, backfill: bool = False) -> Receipt:
        """Takes changes of table rows.

        Raises:
            NotFound: `unknown-table`.
            Unavailable: `log-full`, `log-busy`; nothing was kept.
        """
        spec = self._tables.get(table)
        if spec is None:
            raise unknown("table", table, self._tables)
        return self._append(self._stager(backfill).rows(spec, rows))

    def frame(self, name: str, frame: pl.DataFrame, *, backfill: bool = False) -> Receipt:
        """Takes a frame of events of one type, or of rows of one table.

        Times are `Datetime` or whole microseconds; ids are text or whole numbers; `categories` are lists. Written in
        slices of 65,536 rows, each in its own transaction: sending the frame again after a failure completes it.

        Raises:
            NotFound: `unknown-event`, when neither an event type nor a table has this name.
            InputError: `unknown-field`, `missing-column`, about the frame as a whole.
            Unavailable: `log-full`, `log-busy`.
        """
        spec = self._events.get(name) or self._tables.get(name)
        if spec is None:
            raise unknown("event", name, [*self._events, *self._tables])
        _check_columns(spec, frame.columns)
        receipt = Receipt()
        for part in frame.iter_slices(SLICE):
            receipt += self._append(self._stager(backfill).frame(spec, part))
        return receipt

    def kinds(self, name: str) -> Mapping[str, Kind]:
        """What a row of an event type or table may carry: column → kind; empty when neither has this name."""
        spec = self._events.get(name) or self._tables.get(name)
        return spec.columns if spec else {}

    def replay(self, quarantined: Sequence[QuarantinedRow]) -> Receipt:
        """Checks quarantined rows again; those that pass now land and leave the quarantine, in one transaction.

        Args:
            quarantined: id, kind, name, whether from an import, and the row, as `Quarantine.page` gives them.
        """
        receipt = Receipt()
        for (kind, name, backfill), group in _by_source(quarantined).items():
            rows = [row for _, row in group]
            staged = self._stage_again(kind, name, rows, backfill=backfill)
            settled = [i for place, (i, _) in enumerate(group) if place not in staged.bad]
            receipt += self._append(staged, settled=settled)
        return receipt

    def _stage_again(self, kind: ChunkKind, name: str, rows: list[Any], *, backfill: bool) -> Staged:
        if kind == "event":
            return self._stager(backfill).events(rows, self._events)
        if name in self._tables:
            return self._stager(backfill).rows(self._tables[name], rows)
        return Staged(bad=frozenset(range(len(rows))))

    def _append(self, staged: Staged, *, settled: Sequence[int] = ()) -> Receipt:
        batch = Batch(staged.drafts, staged.rejects, settled)
        receipt = self._log.append(batch) if staged.drafts or staged.rejects or settled else Receipt()
        if self._expected:
            self._expected.count(_counted(staged, receipt), self._clock())
        return replace(receipt, refused=staged.refused, problems=staged.problems[:MOST_PROBLEMS])

    def _stager(self, backfill: bool) -> Stager:
        return Stager(now=self._clock(), backfill=backfill, expected=self._expected)


def _counted(staged: Staged, receipt: Receipt) -> list[Note]:
    """What to count about a batch: what was noted, and how much of it the log had already."""
    if not receipt.duplicates:
        return list(staged.notes)
    names = {d.name for d in staged.drafts}
    return [*staged.notes, Note("event", names.pop() if len(names) == 1 else "*", "", "resent", receipt.duplicates)]


def _check_columns(spec: Spec, columns: Sequence[str]) -> None:
    """A frame is refused as a whole for its columns: they are the same mistake in every row."""
    needed = {spec.key, *spec.required}
    problems = [
        Problem("unknown-field", f"`{spec.name}` has no column `{c}`", c, fix=did_you_mean(c, spec.columns))
        for c in columns
        if c not in spec.columns
    ] + [
        Problem("missing-column", f"`{spec.name}` needs the column `{c}`", c, fix="add it to the frame")
        for c in sorted(needed - set(columns))
    ]
    if problems:
        raise InputError(*problems)


def _by_source(
    quarantined: Sequence[QuarantinedRow],
) -> dict[tuple[ChunkKind, str, bool], list[tuple[int, Any]]]:
    groups: dict[tuple[ChunkKind, str, bool], list[tuple[int, Any]]] = {}
    for i, kind, name, backfill, row in quarantined:
        source = (kind, name if kind == "row" else "", backfill)
        groups.setdefault(source, []).append((i, row))
    return groups
