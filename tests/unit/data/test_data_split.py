"""Splits by time with an embargo."""

from datetime import timedelta

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.core.time import parse_time
from winnow.data.split import TimeSplit, by_share

HOUR = 3_600_000_000
T0 = parse_time("2026-01-01")
split = TimeSplit(train_until="2026-01-02", valid_until="2026-01-03", test_until="2026-01-04")
at = T0 + np.arange(0, 96) * HOUR


def hours(mask):
    return (np.flatnonzero(mask)[0], np.flatnonzero(mask)[-1])


def test_parts_are_half_open_and_the_embargo_is_the_window():
    parts = split.parts(at, within=timedelta(hours=2))
    assert {n: hours(m) for n, m in parts.items()} == {"train": (0, 22), "valid": (24, 46), "test": (48, 71)}


def test_the_embargo_can_be_declared():
    none = TimeSplit(
        train_until="2026-01-02", valid_until="2026-01-03", embargo=timedelta(0), train_from="2026-01-01T05:00"
    )
    parts = none.parts(at, within=timedelta(days=9))
    assert {n: hours(m) for n, m in parts.items()} == {"train": (5, 23), "valid": (24, 47), "test": (48, 95)}


def test_boundaries_out_of_order_are_told():
    wrong = TimeSplit(train_until="2026-01-03", valid_until="2026-01-03")
    assert [p.code for p in wrong.problems(None)] == ["bad-split"]
    with pytest.raises(InputError, match="out of order"):
        wrong.parts(at, within=timedelta(0))
    assert [p.code for p in TimeSplit(train_until=T0, valid_until=T0 + 1, embargo=timedelta(-1)).problems(None)] == [
        "bad-split"
    ]


def test_by_share():
    parts = by_share(at).parts(at, within=timedelta(0))
    assert [m.sum() / 96 for m in parts.values()] == pytest.approx([0.7, 0.15, 0.15], abs=0.02)
    for few in (at[:0], at[:1], np.repeat(at[:1], 50)):
        with pytest.raises(InputError, match="too-few-rows"):
            by_share(few)
