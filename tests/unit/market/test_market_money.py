"""Amounts: whole micros of one currency; everything else is refused."""

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.market.money import MOST, Money, amounts, same_currency, total, whole


@pytest.mark.parametrize(
    ("text", "micros", "printed"),
    [
        ("12.5 EUR", 12_500_000, "12.50 EUR"),
        ("0.000001 USD", 1, "0.000001 USD"),
        ("3 JPY", 3_000_000, "3.00 JPY"),
        (" 1e3 GBP ", 1_000_000_000, "1000.00 GBP"),
    ],
)
def test_amounts_are_read_and_printed_exactly(text, micros, printed):
    money = Money.parse(text)
    assert money.micros == micros
    assert str(money) == printed
    assert Money.parse(str(money)) == money


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: Money.parse("0.0000001 EUR"), "bad-money"),
        (lambda: Money.parse("ten EUR"), "bad-money"),
        (lambda: Money.parse("inf EUR"), "bad-money"),
        (lambda: Money.parse("NaN EUR"), "bad-money"),
        (lambda: Money.parse("5"), "bad-currency"),
        (lambda: Money.parse("5 euros"), "bad-currency"),
        (lambda: Money.parse("-1 EUR"), "negative-money"),
        (lambda: Money(1.0, "EUR"), "not-whole-micros"),
        (lambda: Money(True, "EUR"), "not-whole-micros"),
        (lambda: Money(-1, "EUR"), "negative-money"),
        (lambda: Money(MOST + 1, "EUR"), "money-overflow"),
        (lambda: Money(10**30, "EUR"), "money-overflow"),
        (lambda: Money(1, "EUR") + Money(1, "USD"), "currency-mix"),
        (lambda: Money(1, "EUR") - Money(2, "EUR"), "negative-money"),
        (lambda: Money(1, "EUR") < Money(2, "USD"), "currency-mix"),
        (lambda: Money(MOST, "EUR") + Money(1, "EUR"), "money-overflow"),
        (lambda: Money(MOST, "EUR") * 2, "money-overflow"),
        (lambda: Money(1, "EUR") * 1.5, "not-whole-micros"),
        (lambda: amounts(np.array([1.0])), "not-whole-micros"),
        (lambda: amounts([True]), "not-whole-micros"),
        (lambda: amounts(["1"]), "not-whole-micros"),
        (lambda: amounts([3, -1]), "negative-money"),
        (lambda: amounts([2**70]), "money-overflow"),
        (lambda: amounts(np.array([2**63], np.uint64)), "money-overflow"),
        (lambda: total(np.full(2, MOST)), "money-overflow"),
        (lambda: total(np.full(40, MOST)), "money-overflow"),
        (lambda: same_currency("EUR", "USD"), "currency-mix"),
        (lambda: whole("7"), "not-whole-micros"),
    ],
)
def test_what_is_no_money_is_refused(make, code):
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.code == code


def test_arithmetic_of_one_currency():
    assert Money(3, "EUR") + Money(4, "EUR") == Money(7, "EUR")
    assert Money(7, "EUR") - Money(7, "EUR") == Money(0, "EUR")
    assert Money(7, "EUR") * 3 == Money(21, "EUR")
    assert Money(7, "EUR") <= Money(7, "EUR")
    assert not Money(7, "EUR") < Money(7, "EUR")


def test_sums_are_exact_where_int64_would_wrap():
    values = np.array([MOST // 2, MOST // 2 - 1, 1])
    assert total(values) == MOST
    assert total(np.empty(0, np.int64)) == 0
