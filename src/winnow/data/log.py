"""The event log: the truth from which everything else can be rebuilt.

An acknowledged event is on disk; an `event_id` is in the log at most once; `seq` gives every event and every change of
a table row one global order. Two times per row: `at`, when it happened, and `known_at`, when the log learned it
(>= at). Rows that are sent get a `known_at` later than that of every earlier append; rows of an import (`backfill`)
are taken to have been known at their own time.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import WinnowError
from winnow.core.time import now_us
from winnow.data.batch import Batch, Coded, Draft, Receipt
from winnow.data.chunk import Chunk, Column, decode, encode
from winnow.data.database import Database
from winnow.data.ids import IdMap, NewIds, to_json
from winnow.data.quarantine import put_aside, take_out


class EventLog(Protocol):
    """An append-only, durable, idempotent log of events and table changes."""

    @property
    def ids(self) -> IdMap:
        """Ids and row numbers of every domain."""

    def append(self, batch: Batch) -> Receipt:
        """Writes a batch, all of it or nothing; on disk when this returns.

        Events whose `event_id` is in the log (or earlier in the batch) are counted as duplicates and left out.

        Raises:
            Unavailable: `log-full`, `log-busy`, `log-unwritable`; nothing was written and the batch may be resent.
        """

    def read(self, after_seq: int = 0, limit: int = 100_000) -> list[Chunk]:
        """The chunks after a position in log order, whole appends until they hold `limit` rows; empty at the end.

        Args:
            after_seq: 0, or the `until` of the last chunk that was read.
            limit: rows after which no further append is begun.
        """

    def last_seq(self) -> int:
        """The highest `seq` given out; 0 in an empty log."""

    def watermark(self) -> int:
        """A moment x such that every event sent (not imported) with `known_at` < x is committed, now and for ever."""

    def close(self) -> None:
        """Closes files; the log can be used again."""


class SqliteLog:
    """The log in one SQLite file: WAL, full sync, and one sync for all threads that wait to append.

    Args:
        path: the file, `truth.db` of a project; made when absent.
        clock: the present, microseconds UTC.
        busy_s: how long an append waits for other processes.
    """

    def __init__(self, path: Path | str, *, clock: Callable[[], int] = now_us, busy_s: float = 60.0) -> None:
        self.database = Database(path, busy_s=busy_s)
        self._ids = IdMap(self.database)
        self._clock = clock
        self._waiting: deque[_Ticket] = deque()
        self._turn = threading.Lock()

    @property
    def ids(self) -> IdMap:
        return self._ids

    def append(self, batch: Batch) -> Receipt:
        ticket = _Ticket(batch)
        self._waiting.append(ticket)
        # Whoever gets the turn commits for everybody who has queued up while the turn before was syncing.
        with self._turn:
            if not ticket.done:
                self._commit_waiting()
        return ticket.result()

    def _commit_waiting(self) -> None:
        tickets = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._commit(tickets)
        if (
            len(tickets) > 1
            and isinstance(tickets[0].error, Exception)
            and not isinstance(tickets[0].error, WinnowError)
        ):
            for ticket in tickets:  # one batch is broken: the others must not suffer for it
                self._commit([ticket])

    def _commit(self, tickets: Sequence["_Ticket"]) -> None:
        fresh = NewIds(self._ids)
        try:
            with self.database.write() as connection:
                append = _Append(connection, fresh, self._clock())
                receipts = [append.write(t.batch) for t in tickets]
                append.close()
        except BaseException as error:
            for ticket in tickets:
                ticket.error = error
            if not isinstance(error, Exception):
                raise
        else:
            fresh.keep()
            for ticket, receipt in zip(tickets, receipts, strict=True):
                ticket.receipt, ticket.error = receipt, None

    def read(self, after_seq: int = 0, limit: int = 100_000) -> list[Chunk]:
        sql = "SELECT until_seq, kind, name, rows, body FROM chunk WHERE first_seq > ? ORDER BY first_seq"
        chunks: list[Chunk] = []
        rows = 0
        with self.database.read() as connection:
            cursor = connection.execute(sql, (after_seq,))
            for until, kind, name, size, body in cursor:
                if rows >= limit and until != chunks[-1].until:
                    break
                chunks.append(Chunk(kind, name, decode(body), until))
                rows += size
            cursor.close()
        return chunks

    def last_seq(self) -> int:
        with self.database.read() as connection:
            return int(connection.execute("SELECT seq FROM position").fetchone()[0])

    def watermark(self) -> int:
        # Written down, so that no later append is dated before it even if the clock is set back.
        with self.database.write() as connection:
            known_at = int(connection.execute("SELECT known_at FROM position").fetchone()[0])
            moment = max(self._clock(), known_at + 1)
            connection.execute("UPDATE position SET known_at = ?", (moment - 1,))
        return moment

    def close(self) -> None:
        self.database.close()


class _Ticket:
    """One thread's append, waiting for whoever commits."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.receipt: Receipt | None = None
        self.error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.receipt is not None or self.error is not None

    def result(self) -> Receipt:
        if isinstance(self.error, WinnowError):
            raise type(self.error)(*self.error.problems) from self.error  # its own copy for each thread
        if isinstance(self.error, Exception):
            raise self.error
        if self.receipt is None:
            raise RuntimeError("the append that this one was part of was interrupted") from self.error
        return self.receipt


class _Append:
    """The work of one write transaction: any number of batches under one `known_at`."""

    def __init__(self, connection: sqlite3.Connection, fresh: NewIds, now: int) -> None:
        self._connection = connection
        self._fresh = fresh
        self._seq, known_at = connection.execute("SELECT seq, known_at FROM position").fetchone()
        self._now = now
        self._known_at = max(now, known_at + 1)
        self._live = False

    def write(self, batch: Batch) -> Receipt:
        kept = [d for d in _only_new(self._connection, batch.drafts) if len(d)]
        until = self._seq + sum(map(len, kept))
        for draft, seq in zip(kept, _numbered(kept, self._seq), strict=True):
            self._write_chunk(draft, seq, until)
        self._seq = until
        take_out(self._connection, batch.settled)
        quarantined = put_aside(self._connection, batch.rejects, now=self._now)
        accepted = sum(map(len, kept))
        return Receipt(accepted, len(batch) - accepted, quarantined)

    def close(self) -> None:
        known_at = ", known_at = max(known_at, ?)" if self._live else ""
        values = (self._seq, self._known_at) if self._live else (self._seq,)
        self._connection.execute(f"UPDATE position SET seq = ?{known_at}", values)

    def _write_chunk(self, draft: Draft, seq: NDArray[np.int64], until: int) -> None:
        self._live |= not draft.backfill
        known_at = draft.at if draft.backfill else np.full(len(draft), self._known_at)
        columns: dict[str, Column] = {"seq": seq, "at": np.minimum(draft.at, known_at), "known_at": known_at}
        if draft.kind == "event" and draft.event_id is not None:
            columns["event_id"] = list(draft.event_id)
        columns |= {name: self._numbered(column) for name, column in draft.columns.items()}
        row = (int(seq[0]), until, draft.kind, draft.name, len(draft), int(known_at.max()), encode(columns))
        self._connection.execute("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _numbered(self, column: Column | Coded) -> Column:
        if not isinstance(column, Coded):
            return column
        rows = self._fresh.rows(self._connection, column.domain, column.ids)
        return np.append(rows, -1)[column.codes]  # code -1 reads the last place: missing stays -1


def _only_new(connection: sqlite3.Connection, drafts: Sequence[Draft]) -> list[Draft]:
    """The drafts without the events that the log has already or that came earlier in the same batch."""
    sent = [
        (place, i)
        for d in drafts
        if d.event_id is not None
        for place, i in zip(d.order.tolist(), d.event_id, strict=True)
    ]
    first = {i: place for place, i in sorted(sent, reverse=True)}
    old = _claim(connection, sorted(first))
    if not old and len(first) == len(sent):
        return list(drafts)
    return [d if d.event_id is None else d.only(_is_new(d, first, old)) for d in drafts]


def _is_new(draft: Draft, first: dict[str, int], old: set[str]) -> NDArray[np.bool_]:
    places = zip(draft.order.tolist(), draft.event_id or (), strict=True)
    return np.array([first[i] == place and i not in old for place, i in places], dtype=bool)


def _claim(connection: sqlite3.Connection, ids: list[str]) -> set[str]:
    """Enters event ids; returns those that were there before."""
    if not ids:
        return set()
    # One statement for all ids: every statement gives up the interpreter lock, which waiting threads then hold.
    insert = "INSERT OR IGNORE INTO event_id SELECT value FROM json_each(?)"
    connection.execute("SAVEPOINT claim")
    before = connection.total_changes
    connection.execute(insert, (to_json(ids),))
    old: set[str] = set()
    if connection.total_changes - before < len(ids):
        # Resent events are rare, so it is first tried as if there were none: that saves a look-up of every id.
        connection.execute("ROLLBACK TO claim")
        find = "SELECT id FROM event_id WHERE id IN (SELECT value FROM json_each(?))"
        old = {i for (i,) in connection.execute(find, (to_json(ids),))}
        connection.execute(insert, (to_json([i for i in ids if i not in old]),))
    connection.execute("RELEASE claim")
    return old


def _numbered(drafts: Sequence[Draft], after: int) -> list[NDArray[np.int64]]:
    """The seq of every row: consecutive from `after` + 1 in the order sent, over all drafts."""
    if not drafts:
        return []
    order = np.concatenate([d.order for d in drafts])
    seq = np.empty(len(order), dtype=np.int64)
    seq[np.argsort(order, kind="stable")] = np.arange(after + 1, after + 1 + len(order))
    return np.split(seq, np.cumsum([len(d) for d in drafts])[:-1])
