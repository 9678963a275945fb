"""The open book: what one transaction of the ledger does. Accounts are read once, and written at its end."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from winnow.core.errors import Conflict, Problem, unknown
from winnow.market.budget import DAY_US, Budget
from winnow.market.money import same_currency, whole

Outcome = Literal["charged", "repeated", "settled", "over budget", "too late", "waits"]
_ACCOUNT = "a.id, campaign, currency, daily, lifetime, starts_at, ends_at, midnight_us, a.charged, a.held"
CHANGED = (
    f"SELECT {_ACCOUNT}, COALESCE(s.charged, 0), COALESCE(s.held, 0), COALESCE(s.expected, 0), participation, "
    "a.row, EXISTS (SELECT 1 FROM refused r WHERE r.campaign = a.campaign) "
    f"FROM account a LEFT JOIN spend s ON s.account = a.id AND s.day = (:at - midnight_us) / {DAY_US} "
    "WHERE version > :after ORDER BY +a.id"  # the plus: found by version, then sorted
)


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What a click on a showing will cost.

    Args:
        showing: names the showing; unlike any other.
        campaign: who pays.
        price: of a click, micros.
        currency: of the price.
        at: when it is shown, microseconds UTC; says to which day the money belongs.
        expires_at: from when a click no longer counts.
        firm: whether the price is set aside, so that the click can be charged whatever others do.
        expected: what the showing is expected to cost (price x chance of a click), micros; for pacing.
    """

    showing: str
    campaign: str
    price: int
    currency: str
    at: int
    expires_at: int
    firm: bool = False
    expected: int = 0


@dataclass(frozen=True)
class Click:
    """A click, by the event log.

    Args:
        event_id: of the event.
        showing: what was clicked.
        at: when, microseconds UTC.
    """

    event_id: str
    showing: str
    at: int


@dataclass
class Account:
    """An account as it stands."""

    id: int
    budget: Budget
    charged: int
    held: int


@dataclass
class Day:
    """The sums of one account for the showings of one day."""

    charged: int = 0
    held: int = 0
    expected: int = 0
    clicks: int = 0
    refused: int = 0


def account_of(row: Iterable[Any]) -> Account:
    """The account in a row of the columns of `CHANGED`."""
    id_, campaign, currency, daily, lifetime, starts_at, ends_at, midnight_us, charged, held = row
    budget = Budget(
        campaign=campaign, currency=currency, daily=daily, lifetime=lifetime,
        starts_at=starts_at, ends_at=ends_at, midnight_us=midnight_us,
    )  # fmt: skip
    return Account(id_, budget, charged, held)


@dataclass
class Book:
    """The work of one write transaction.

    Args:
        connection: in the transaction.
    """

    connection: sqlite3.Connection
    accounts: dict[int, Account] = field(default_factory=dict)
    by_campaign: dict[str, int] = field(default_factory=dict)
    days: dict[tuple[int, int], Day] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)

    def fund(self, budget: Budget, row: int = -1) -> None:
        """See `Ledger.fund`; `row` is the campaign's number where it has one."""
        known = self._one("SELECT currency, EXISTS (SELECT 1 FROM spend s WHERE s.account = a.id) FROM account a "
                        "WHERE campaign = ?", budget.campaign)  # fmt: skip
        if known and known[0] != budget.currency and known[1]:
            what = f"campaign `{budget.campaign}` was charged in {known[0]}, and is now in {budget.currency}"
            raise Conflict(Problem("currency-changed", what, why="its sums would mix two currencies",
                                   fix="end it, and open another"))  # fmt: skip
        values = (budget.currency, budget.daily, budget.lifetime, budget.starts_at, budget.ends_at, budget.midnight_us)
        self.connection.execute(
            "INSERT INTO account (campaign, currency, daily, lifetime, starts_at, ends_at, midnight_us, row) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (campaign) DO UPDATE SET currency = excluded.currency, "
            "daily = excluded.daily, lifetime = excluded.lifetime, starts_at = excluded.starts_at, "
            "ends_at = excluded.ends_at, midnight_us = excluded.midnight_us, row = excluded.row",
            (budget.campaign, *values, row),
        )
        self.connection.execute("DELETE FROM refused WHERE campaign = ?", (budget.campaign,))
        id_ = int(self._one("SELECT id FROM account WHERE campaign = ?", budget.campaign)[0])
        self.touched.add(id_)
        if (account := self.accounts.get(id_)) is not None:
            account.budget = budget

    def refuse(self, campaign: str, why: str) -> None:
        """Keeps a campaign whose budget makes no sense from being shown, until it is funded again."""
        self.connection.execute("INSERT OR REPLACE INTO refused VALUES (?, ?)", (campaign, why))
        if row := self._one("SELECT id FROM account WHERE campaign = ?", campaign):
            self.touched.add(row[0])

    def quote(self, quote: Quote) -> bool:
        """See `Ledger.quote`."""
        price, expected = whole(quote.price, what="price", least=1), whole(quote.expected, what="expected cost")
        account = self._account_named(quote.campaign)
        same_currency(account.budget.currency, quote.currency)
        if self._one("SELECT 1 FROM quote WHERE showing = ?1 UNION SELECT 1 FROM charge WHERE showing = ?1",
                     quote.showing):  # fmt: skip
            return True
        day = account.budget.day(quote.at)
        if not account.budget.runs(quote.at) or (quote.firm and price > self._left(account, day)):
            return False
        held = price if quote.firm else 0
        self._move(account, day, held=held, expected=expected)
        row = (quote.showing, account.id, day, price, held, expected, quote.expires_at)
        self.connection.execute("INSERT INTO quote VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self._charge_early(quote.showing)
        return True

    def charge(self, click: Click) -> Outcome:
        """See `Ledger.charge`."""
        if found := self._one("SELECT event_id FROM charge WHERE event_id = ? OR showing = ?", click.event_id,
                              click.showing):  # fmt: skip
            return "repeated" if found[0] == click.event_id else "settled"
        row = self._one("SELECT account, day, price, held, expected, expires_at FROM quote WHERE showing = ?",
                        click.showing)  # fmt: skip
        if row is None:
            self.connection.execute(
                "INSERT OR IGNORE INTO early VALUES (?, ?, ?)", (click.showing, click.event_id, click.at)
            )
            return "waits"
        id_, day, price, held, expected, expires_at = row
        if click.at >= expires_at:
            return "too late"
        account = self._account(id_)
        fits = price <= self._left(account, day) + held
        charged = price if fits else 0
        self._move(
            account, day, charged=charged, held=-held, expected=-expected, clicks=int(fits), refused=int(not fits)
        )
        self.connection.execute("DELETE FROM quote WHERE showing = ?", (click.showing,))
        values = (click.event_id, click.showing, id_, day, price, charged, click.at)
        self.connection.execute("INSERT INTO charge VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        return "charged" if fits else "over budget"

    def expire(self, now: int) -> int:
        """See `Ledger.expire`."""
        sql = "SELECT account, day, SUM(held), SUM(expected), COUNT(*) FROM quote WHERE expires_at <= ? GROUP BY 1, 2"
        gone = self.connection.execute(sql, (now,)).fetchall()
        for id_, day, held, expected, _ in gone:
            self._move(self._account(id_), day, held=-held, expected=-expected)
        self.connection.execute("DELETE FROM quote WHERE expires_at <= ?", (now,))
        self.connection.execute("DELETE FROM early WHERE at <= ?", (now - DAY_US,))
        return sum(row[4] for row in gone)

    def count(self, day: int, part: int, requests: int) -> None:
        """Adds requests to the traffic of a part of a day."""
        self.connection.execute(
            "INSERT INTO traffic VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET requests = requests + excluded.requests",
            (day, part, requests),
        )

    def pace(self, campaign: str, participation: float) -> None:
        """Sets with which participation a campaign goes on."""
        sql = "UPDATE account SET participation = ?1 WHERE campaign = ?2 AND participation != ?1 RETURNING id"
        self.touched.update(row[0] for row in self.connection.execute(sql, (participation, campaign)).fetchall())

    def reach(self, follower: str, seq: int, at: int = 0) -> None:
        """Notes down how far a follower of the event log has come, and that it was there at a moment."""
        self.connection.execute(
            "INSERT INTO follower VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq), "
            "at = max(at, excluded.at)",
            (follower, seq, at),
        )

    def remember(self, key: str, value: str) -> None:
        """Keeps a note of whoever writes the ledger."""
        self.connection.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (key, value))

    def recall(self, key: str) -> str | None:
        """A note."""
        row = self._one("SELECT value FROM note WHERE key = ?", key)
        return None if row is None else str(row[0])

    def close(self) -> None:
        """Writes the sums of the accounts that were touched."""
        if not self.touched:
            return
        version = self._one("UPDATE edition SET version = version + 1 RETURNING version")[0]
        self.connection.executemany("UPDATE account SET version = ? WHERE id = ?", [(version, i) for i in self.touched])
        sums = [(a.charged, a.held, i) for i, a in self.accounts.items() if i in self.touched]
        self.connection.executemany("UPDATE account SET charged = ?, held = ? WHERE id = ?", sums)
        days = [(*key, d.charged, d.held, d.expected, d.clicks, d.refused) for key, d in self.days.items()]
        self.connection.executemany("INSERT OR REPLACE INTO spend VALUES (?, ?, ?, ?, ?, ?, ?)", days)

    def _charge_early(self, showing: str) -> None:
        """A click that the log learned of before the showing."""
        if row := self._one("DELETE FROM early WHERE showing = ? RETURNING event_id, at", showing):
            self.charge(Click(row[0], showing, row[1]))

    def _left(self, account: Account, day: int) -> int:
        sums = self._day(account.id, day)
        return account.budget.left(sums.charged + sums.held, account.charged + account.held)

    def _move(self, account: Account, day: int, *, charged: int = 0, held: int = 0, **sums: int) -> None:
        self.touched.add(account.id)
        account.charged += charged
        account.held += held
        of_day = self._day(account.id, day)
        for name, change in {"charged": charged, "held": held, **sums}.items():
            setattr(of_day, name, getattr(of_day, name) + change)

    def _account_named(self, campaign: str) -> Account:
        if campaign not in self.by_campaign:
            row = self._one(f"SELECT {_ACCOUNT} FROM account a WHERE campaign = ?", campaign)
            if row is None:
                raise unknown("campaign", campaign, self._campaigns())
            self._keep(account_of(row))
        return self.accounts[self.by_campaign[campaign]]

    def _account(self, id_: int) -> Account:
        if id_ not in self.accounts:
            self._keep(account_of(self._one(f"SELECT {_ACCOUNT} FROM account a WHERE id = ?", id_)))
        return self.accounts[id_]

    def _keep(self, account: Account) -> None:
        self.accounts[account.id] = account
        self.by_campaign[account.budget.campaign] = account.id

    def _day(self, account: int, day: int) -> Day:
        if (account, day) not in self.days:
            sql = "SELECT charged, held, expected, clicks, refused FROM spend WHERE account = ? AND day = ?"
            row = self._one(sql, account, day)
            self.days[account, day] = Day(*row) if row else Day()
        return self.days[account, day]

    def _campaigns(self) -> list[str]:
        return [row[0] for row in self.connection.execute("SELECT campaign FROM account LIMIT 1000").fetchall()]

    def _one(self, sql: str, *values: Any) -> Any:
        return self.connection.execute(sql, values).fetchone()
