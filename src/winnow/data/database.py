"""The one SQLite file of a project that holds what must not be lost: connections, write transactions, schema."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from winnow.core.errors import Problem, Unavailable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER, known_at INTEGER);
INSERT OR IGNORE INTO position VALUES (1, 0, 0);
CREATE TABLE IF NOT EXISTS chunk (
    first_seq INTEGER PRIMARY KEY, until_seq INTEGER, kind TEXT, name TEXT, rows INTEGER, known_at INTEGER, body BLOB);
CREATE TABLE IF NOT EXISTS event_id (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS domain (name TEXT, id TEXT, row INTEGER, PRIMARY KEY (name, id)) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS domain_row ON domain (name, row);
CREATE TABLE IF NOT EXISTS quarantine (
    id INTEGER PRIMARY KEY, digest BLOB UNIQUE, kind TEXT, name TEXT, received_at INTEGER, backfill INTEGER,
    code TEXT, field TEXT, reason TEXT, fix TEXT, row TEXT);
"""
_PRAGMAS = """
PRAGMA synchronous = FULL;
PRAGMA cache_size = -65536;
PRAGMA wal_autocheckpoint = 8000;
PRAGMA journal_size_limit = 67108864;
"""


class Database:
    """Connections to one SQLite file in WAL mode with full sync; many processes may have it open.

    Args:
        path: the file; it and its folder are made when absent.
        busy_s: how long a writer waits for writers of other processes.
    """

    def __init__(self, path: Path | str, *, busy_s: float = 60.0) -> None:
        self.path = Path(path)
        self.busy_s = busy_s
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._forget()
        with self.write() as connection:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)

    def _forget(self) -> None:
        # A connection must not cross a fork, so a child process starts with none and leaves the parent's alone.
        self._pid = os.getpid()
        self._idle: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._writing = False

    def _own(self) -> None:
        if self._pid != os.getpid():
            self._inherited = (self._idle, self._writer)  # kept, since closing them would drop the parent's locks
            self._forget()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=self.busy_s, isolation_level=None, check_same_thread=False)
        _use_wal(connection, give_up_at=time.monotonic() + self.busy_s)
        for pragma in filter(str.strip, _PRAGMAS.split(";")):
            connection.execute(pragma)
        return connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees everything committed.

        Raises:
            Unavailable: `log-unreadable`, `log-busy`.
        """
        self._own()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._opened()
        try:
            yield connection
        except sqlite3.Error as error:
            raise unavailable(error, self.path) from error
        finally:
            self._idle.append(connection)

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.Error as error:
            raise unavailable(error, self.path) from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One write transaction: committed and on disk when the block ends, undone when it raises.

        Raises:
            Unavailable: `log-full` (no room), `log-busy` (another process kept writing), `log-unwritable`.
        """
        self._own()
        with self._lock:
            self._writer = self._writer or self._opened()
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                raise unavailable(error, self.path) from error
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def close(self) -> None:
        """Closes every connection; using the database again opens new ones."""
        self._own()
        with self._lock:
            for connection in [*self._idle, self._writer]:
                if connection is not None:
                    connection.close()
            self._idle, self._writer = [], None


def _use_wal(connection: sqlite3.Connection, *, give_up_at: float) -> None:
    # SQLite does not wait when two processes turn WAL on at once: it says `locked` immediately.
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)


_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})


def unavailable(error: sqlite3.Error, path: Path) -> Unavailable:
    """What a user is told when SQLite fails: `log-full`, `log-busy`, `log-unwritable` or `log-unreadable`."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    # A write that the system cut short (quota, file size limit) is reported as a write error, not as a full disk.
    if code in _FULL:
        kind, what, fix = "log-full", "no room to write the event log", "free disk space, then send the batch again"
    elif code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        kind, what, fix = "log-busy", "other processes keep the event log locked", "send the batch again"
    elif code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        kind, what, fix = "log-unwritable", "the event log cannot be opened for writing", "check the file's owner"
    else:
        kind, what, fix = "log-unreadable", "the event log failed", "look at the disk, or restore from a backup"
    why = f"nothing of this batch was kept ({error})"
    return Unavailable(Problem(kind, what, path.name, why, fix))
