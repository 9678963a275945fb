"""Money: whole micros (millionths of a unit) of one currency. Never a float, never negative, never mixed.

Arrays of money are int64 micros; the currency stands beside them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem

Micros = NDArray[np.int64]
UNIT = 1_000_000  # micros in a unit of a currency
MOST = 10**18  # nine amounts of this size can be added in int64
MOST_BID = 10**12  # a million units for a click; up to here prices are right to the micro
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True)
class Money:
    """An amount of one currency.

    Args:
        micros: millionths of a unit, 0 to `MOST`.
        currency: ISO 4217 code.

    Raises:
        InputError: `not-whole-micros`, `negative-money`, `money-overflow`, `bad-currency`.
    """

    micros: int
    currency: str

    def __post_init__(self) -> None:
        whole(self.micros)
        check_currency(self.currency)

    @classmethod
    def parse(cls, text: str) -> "Money":
        """An amount as people write it, with at most six decimals.

        >>> Money.parse("12.5 EUR")
        Money(micros=12500000, currency='EUR')

        Raises:
            InputError: `bad-money` and what `Money` raises.
        """
        number, _, currency = text.strip().partition(" ")
        try:
            micros = Decimal(number) * UNIT
        except InvalidOperation as error:
            raise InputError(_unreadable(text)) from error
        if not micros.is_finite() or micros != micros.to_integral_value():
            raise InputError(_unreadable(text))
        return cls(int(micros), currency)

    def __str__(self) -> str:
        units, rest = divmod(self.micros, UNIT)
        decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
        return f"{units}.{decimals} {self.currency}"

    def __add__(self, other: "Money") -> "Money":
        return Money(self.micros + self._like(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.micros - self._like(other), self.currency)

    def __mul__(self, times: int) -> "Money":
        return Money(self.micros * whole(times, what="factor"), self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.micros < self._like(other)

    def __le__(self, other: "Money") -> bool:
        return self.micros <= self._like(other)

    def _like(self, other: "Money") -> int:
        same_currency(self.currency, other.currency)
        return other.micros


def whole(value: Any, *, what: str = "amount", least: int = 0, most: int = MOST) -> int:
    """A number of micros, checked.

    Raises:
        InputError: `not-whole-micros`, `negative-money`, `money-overflow`.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InputError(_not_whole(what, value))
    return int(amounts([int(value)], what=what, least=least, most=most)[0])


def amounts(values: Sequence[int] | NDArray[Any], *, what: str = "amount", least: int = 0, most: int = MOST) -> Micros:
    """Micros as int64, of any shape, checked.

    Args:
        values: whole numbers.
        what: how errors call them.
        least: smallest allowed.
        most: largest allowed.

    Raises:
        InputError: `not-whole-micros`, `negative-money` (below `least`), `money-overflow`.
    """
    array = np.asarray(values)
    if array.dtype.kind == "O" and all(type(v) is int for v in array.flat):  # beyond 64 bits
        raise InputError(_too_much(what, max(array.flat, key=abs), most))
    if array.dtype.kind not in "iu" and array.size:
        raise InputError(_not_whole(what, array.flat[0]))
    if array.size and array.min() < least:
        raise InputError(_too_little(what, int(array.min()), least))
    if array.size and array.max() > most:
        raise InputError(_too_much(what, int(array.max()), most))
    return array.astype(np.int64)


def total(values: Micros) -> int:
    """The exact sum, however large.

    Raises:
        InputError: `money-overflow` beyond `MOST`.
    """
    # Halves of 32 bits, since their sums cannot overflow.
    high, low = values >> 32, values & 0xFFFFFFFF
    return whole((int(high.sum()) << 32) + int(low.sum()), what="sum")


def same_currency(*currencies: str) -> str:
    """The one currency of all.

    Raises:
        InputError: `currency-mix`.
    """
    if len(distinct := sorted(set(currencies))) > 1:
        why = "amounts of two currencies cannot be compared or added"
        fix = "convert before they come in, or hold an auction for each currency"
        raise InputError(Problem("currency-mix", f"{' and '.join(distinct)} meet", why=why, fix=fix))
    return distinct[0]


def check_currency(code: str) -> None:
    """Raises `bad-currency` for what is no ISO 4217 code."""
    if not _CURRENCY.fullmatch(code):
        raise InputError(Problem("bad-currency", f"`{code}` is no currency", fix="three capitals, such as EUR"))


def _not_whole(what: str, value: Any) -> Problem:
    why = "floats lose money: 0.1 + 0.2 is not 0.3"
    return Problem("not-whole-micros", f"{what} is {value!r}", why=why, fix="give whole micros: 1.25 is 1_250_000")


def _too_little(what: str, value: int, least: int) -> Problem:
    why = "nobody is paid for being shown, and nothing is sold for nothing"
    return Problem("negative-money", f"{what} is {value} micros", why=why, fix=f"{least} or more")


def _too_much(what: str, value: int, most: int) -> Problem:
    why = "sums of such amounts would not fit 64 bits"
    return Problem("money-overflow", f"{what} is {value} micros", why=why, fix=f"at most {most}")


def _unreadable(text: str) -> Problem:
    what = f"`{text}` is no amount of money in micros"
    return Problem("bad-money", what, fix="a number with at most six decimals and a currency: `12.50 EUR`")
