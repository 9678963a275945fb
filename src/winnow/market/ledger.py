"""The spend ledger: what campaigns may spend, what they were charged, and what may still be charged to them.

One SQLite file (WAL, full sync) that any number of processes write. Every check of a budget and the charge that follows
from it are one transaction, so no race overspends; a click is charged once, by its event id and by the showing that it
is about; sums by campaign and day are kept in the same transaction. What was acknowledged is on disk.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.core.candidates import Doubles, Ints, Mask
from winnow.core.time import now_us
from winnow.data.database import Database
from winnow.market.book import CHANGED, Book, Click, Outcome, Quote
from winnow.market.budget import DAY_US, ENDLESS, Budget
from winnow.market.money import Micros

FILE = "market.db"
PARTS = 96  # of a day, in which traffic is counted
_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
    id INTEGER PRIMARY KEY, campaign TEXT NOT NULL UNIQUE, currency TEXT NOT NULL, daily INTEGER, lifetime INTEGER,
    starts_at INTEGER NOT NULL, ends_at INTEGER NOT NULL, midnight_us INTEGER NOT NULL,
    row INTEGER NOT NULL DEFAULT -1,
    charged INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT 0,
    participation REAL NOT NULL DEFAULT 1, CHECK (charged >= 0 AND held >= 0));
CREATE INDEX IF NOT EXISTS account_version ON account (version);
CREATE TABLE IF NOT EXISTS spend (
    account INTEGER, day INTEGER, charged INTEGER NOT NULL, held INTEGER NOT NULL, expected INTEGER NOT NULL,
    clicks INTEGER NOT NULL, refused INTEGER NOT NULL, PRIMARY KEY (account, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quote (
    showing TEXT PRIMARY KEY, account INTEGER, day INTEGER, price INTEGER, held INTEGER, expected INTEGER,
    expires_at INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS quote_expires ON quote (expires_at);
CREATE TABLE IF NOT EXISTS charge (
    event_id TEXT PRIMARY KEY, showing TEXT NOT NULL, account INTEGER, day INTEGER, price INTEGER, charged INTEGER,
    at INTEGER) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS charge_showing ON charge (showing);
CREATE TABLE IF NOT EXISTS early (showing TEXT PRIMARY KEY, event_id TEXT, at INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS traffic (day INTEGER, part INTEGER, requests INTEGER, PRIMARY KEY (day, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS follower (name TEXT PRIMARY KEY, seq INTEGER, at INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (campaign TEXT PRIMARY KEY, why TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS edition (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER);
INSERT OR IGNORE INTO edition VALUES (1, 0);
"""


@dataclass(frozen=True, eq=False)
class Standing:
    """How C campaigns stand at a moment.

    Args:
        version: of the ledger; `Ledger.standing(after=version)` gives what changed since.
        campaigns: their ids.
        rows: their row numbers where they have any, int64 [C]; -1 for none.
        left: what may still be charged for showings of this day, without what is held, micros, int64 [C].
        today: charged for showings of this day, micros, int64 [C].
        coming: expected to be charged for showings of this day beside that, micros, int64 [C].
        budgets: meant for this day, micros, int64 [C].
        starts_at, ends_at: between which they may be shown, microseconds UTC, int64 [C]; both 0 for one whose budget
            was refused.
        participation: as the pacer last set it, float64 [C].
    """

    version: int
    campaigns: list[str]
    rows: Ints
    left: Micros
    today: Micros
    coming: Micros
    budgets: Micros
    starts_at: Ints
    ends_at: Ints
    participation: Doubles

    def runs(self, at: int) -> Mask:
        """Which may be shown at a moment, bool [C]."""
        return np.asarray((self.starts_at <= at) & (at < self.ends_at))


class Ledger:
    """The ledger in one file.

    Args:
        path: the file, made when absent.
        clock: the present, microseconds UTC.
        busy_s: how long a writer waits for other processes.
    """

    def __init__(self, path: Path | str, *, clock: Callable[[], int] = now_us, busy_s: float = 60.0) -> None:
        self.clock = clock
        self.database = Database(path, busy_s=busy_s)
        with self.database.write() as connection:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)

    @contextmanager
    def writing(self) -> Iterator[Book]:
        """One transaction: on disk when the block ends, undone when it raises.

        Raises:
            Unavailable: `log-full`, `log-busy`, `log-unwritable`.
        """
        with self.database.write() as connection:
            book = Book(connection)
            yield book
            book.close()

    def fund(self, budgets: Iterable[Budget]) -> None:
        """Opens accounts, or changes their budgets; what was charged stays charged.

        Raises:
            Conflict: `currency-changed`, when money was charged in another currency.
        """
        with self.writing() as book:
            for budget in budgets:
                book.fund(budget)

    def quote(self, quotes: Sequence[Quote]) -> list[bool]:
        """Notes down what a click on each showing will cost, and sets money aside for firm ones.

        A showing that was quoted before keeps its first price.

        Returns:
            whether each one stands: not when the campaign does not run, or has not enough left for a firm quote.

        Raises:
            NotFound: `unknown-campaign`.
            InputError: `currency-mix`.
        """
        with self.writing() as book:
            return [book.quote(quote) for quote in quotes]

    def charge(self, clicks: Sequence[Click]) -> list[Outcome]:
        """Charges clicks at the price of their showing, each whole or not at all; see `Outcome`."""
        with self.writing() as book:
            return [book.charge(click) for click in clicks]

    def expire(self, now: int) -> int:
        """Gives back what quotes hold that no click can use any more; how many those were."""
        with self.writing() as book:
            return book.expire(now)

    def spent(self, campaign: str, day: int | None = None) -> int:
        """What a campaign was charged for the showings of a day, or in all, micros; 0 for an unknown one."""
        sql = "SELECT charged FROM account WHERE campaign = ?"
        if day is not None:
            sql = "SELECT s.charged FROM spend s JOIN account a ON a.id = s.account WHERE campaign = ? AND day = ?"
        with self.database.read() as connection:
            row = connection.execute(sql, (campaign, *([] if day is None else [day]))).fetchone()
        return 0 if row is None else int(row[0])

    def standing(self, at: int, *, after: int = -1) -> Standing:
        """How campaigns stand at a moment.

        Args:
            at: microseconds UTC.
            after: only those that changed after this version.
        """
        with self.database.read() as connection:
            version = int(connection.execute("SELECT version FROM edition").fetchone()[0])
            rows = connection.execute(CHANGED, {"at": at, "after": after}).fetchall()
        return _standing(version, rows, at)

    def position(self, follower: str) -> int:
        """How far a follower of the event log has come: the last `seq` that it took in."""
        with self.database.read() as connection:
            row = connection.execute("SELECT seq FROM follower WHERE name = ?", (follower,)).fetchone()
        return 0 if row is None else int(row[0])

    def heard(self, follower: str) -> int:
        """When a follower of the event log last said that it is there, microseconds UTC; 0 for never."""
        with self.database.read() as connection:
            row = connection.execute("SELECT at FROM follower WHERE name = ?", (follower,)).fetchone()
        return 0 if row is None else int(row[0])

    def refused(self) -> dict[str, str]:
        """Campaigns whose budget makes no sense, and why; they are not shown until it does."""
        with self.database.read() as connection:
            return dict(connection.execute("SELECT campaign, why FROM refused").fetchall())

    def traffic(self, day: int) -> Micros:
        """Requests in each part of a day, int64 [PARTS]."""
        counts = np.zeros(PARTS, np.int64)
        with self.database.read() as connection:
            found = connection.execute("SELECT part, requests FROM traffic WHERE day = ?", (day,)).fetchall()
        for part, requests in found:
            counts[part] = requests
        return counts

    def mistakes(self) -> list[str]:
        """Where sums differ from the charges and quotes that they are sums of, or exceed a budget; empty when sound."""
        with self.database.read() as connection:
            return [str(row[0]) for sql in _CHECKS for row in connection.execute(sql).fetchall()]

    def close(self) -> None:
        """Closes files; the ledger can be used again."""
        self.database.close()


def _standing(version: int, rows: list[sqlite3.Row], at: int) -> Standing:
    """Rows of `CHANGED` as columns; what `Budget.left` and `Budget.for_day` say of each, for all at once."""
    columns = list(zip(*rows, strict=True)) or [()] * 16
    daily, lifetime = (np.array([ENDLESS if v is None else v for v in columns[i]], np.int64) for i in (3, 4))
    starts, ends, midnight, charged, held = (np.array(c, np.int64) for c in columns[5:10])
    today, held_today, coming = (np.array(c, np.int64) for c in columns[10:13])
    live = ~np.array(columns[15], bool)
    left = np.minimum(daily - today - held_today, lifetime - charged - held)
    rest = np.maximum(lifetime - (charged - today), 0)
    days_left = np.maximum((ends - 1 - midnight) // DAY_US - (at - midnight) // DAY_US + 1, 1)
    even = np.where(ends == ENDLESS, rest, rest // days_left)
    return Standing(
        version=version,
        campaigns=list(columns[1]),
        rows=np.array(columns[14], np.int64),
        left=np.maximum(left, 0),
        today=today,
        coming=coming,
        budgets=np.where(daily == ENDLESS, even, np.minimum(daily, rest)),
        starts_at=starts * live,
        ends_at=ends * live,
        participation=np.array(columns[13], np.float64),
    )


_CHECKS = (
    "SELECT campaign || ': charged ' || a.charged FROM account a WHERE a.charged != "
    "(SELECT COALESCE(SUM(charged), 0) FROM charge c WHERE c.account = a.id)",
    "SELECT campaign || ': held ' || a.held FROM account a WHERE a.held != "
    "(SELECT COALESCE(SUM(held), 0) FROM quote q WHERE q.account = a.id)",
    "SELECT account || ' on day ' || day || ': charged ' || charged FROM spend s WHERE charged != "
    "(SELECT COALESCE(SUM(charged), 0) FROM charge c WHERE c.account = s.account AND c.day = s.day)",
    "SELECT campaign || ' on day ' || day || ': over its daily budget' FROM spend s JOIN account a ON a.id = s.account "
    "WHERE s.charged > a.daily",
    "SELECT campaign || ': over its lifetime budget' FROM account WHERE charged > lifetime",
)
