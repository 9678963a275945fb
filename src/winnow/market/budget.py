"""Budgets of campaigns: how much may be spent a day and in all, and from when to when."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from winnow.core.errors import InputError, Problem
from winnow.core.time import days, to_us
from winnow.market.money import check_currency, same_currency, whole

DAY_US = to_us(days(1))
ENDLESS = 2**62


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one campaign may spend.

    Args:
        campaign: its id.
        currency: ISO 4217 code.
        daily: most that is charged for the showings of one day, micros; None for no such limit.
        lifetime: most that is charged in all, micros; None for no such limit.
        starts_at: first moment at which it may be shown, microseconds UTC.
        ends_at: first moment at which it may no longer be.
        midnight_us: when its days begin, microseconds after midnight UTC.

    Raises:
        InputError: with every mistake: `no-budget`, `ends-before-start`, `bad-currency` and what `whole` raises.
    """

    campaign: str
    currency: str
    daily: int | None = None
    lifetime: int | None = None
    starts_at: int = 0
    ends_at: int = ENDLESS
    midnight_us: int = 0

    def __post_init__(self) -> None:
        check_currency(self.currency)
        if problems := list(self._problems()):
            raise InputError(*problems)

    def day(self, at: int) -> int:
        """Number of the day in which a moment lies."""
        return (at - self.midnight_us) // DAY_US

    def begins(self, day: int) -> int:
        """The first moment of a day, microseconds UTC."""
        return day * DAY_US + self.midnight_us

    def runs(self, at: int) -> bool:
        """Whether the campaign may be shown at a moment."""
        return self.starts_at <= at < self.ends_at

    def left(self, today: int, ever: int) -> int:
        """How much more may be charged.

        Args:
            today: charged for the showings of this day, micros.
            ever: charged in all, micros.
        """
        daily = ENDLESS if self.daily is None else self.daily - today
        lifetime = ENDLESS if self.lifetime is None else self.lifetime - ever
        return max(min(daily, lifetime), 0)

    def for_day(self, day: int, ever: int) -> int:
        """How much is meant for one day: the daily budget, or an even part of what is left for the days to come.

        Args:
            day: its number.
            ever: charged before that day, micros.
        """
        rest = None if self.lifetime is None else max(self.lifetime - ever, 0)
        if self.daily is not None or rest is None:
            return min(ENDLESS if self.daily is None else self.daily, ENDLESS if rest is None else rest)
        last = self.day(self.ends_at - 1)
        return rest if self.ends_at == ENDLESS else rest // max(last - day + 1, 1)

    def _problems(self) -> Iterator[Problem]:
        where = f"campaign `{self.campaign}`"
        limits = {"daily budget": self.daily, "lifetime budget": self.lifetime}
        for name, limit in limits.items():
            if limit is not None and whole(limit, what=name) == 0:
                yield Problem("no-budget", f"the {name} is 0", where, "it could never be shown", "above 0, or none")
        if self.daily is None and self.lifetime is None:
            yield Problem("no-budget", "neither a daily nor a lifetime budget", where,
                          "nothing would bound what it spends", "give one of them")  # fmt: skip
        if self.ends_at <= self.starts_at:
            what = f"it ends at {self.ends_at} and starts at {self.starts_at}"
            yield Problem("ends-before-start", what, where, "it could never be shown", "let it end later")


def currency_of(budgets: Iterable[Budget]) -> str:
    """The one currency of some budgets.

    Raises:
        InputError: `currency-mix`.
    """
    return same_currency(*(budget.currency for budget in budgets))
