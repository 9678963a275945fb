from datetime import UTC, datetime, timedelta, timezone

import pytest

from winnow.core.time import FOREVER, days, hours, iso, minutes, ms, now_us, parse_time, short, to_us


@pytest.mark.parametrize(
    "value",
    [
        "2022-04-30T00:00:00+08:00",
        "2022-04-29T16:00:00",
        datetime(2022, 4, 29, 16, tzinfo=UTC),
        datetime(2022, 4, 30, tzinfo=timezone(timedelta(hours=8))),
        1651248000,
        1651248000.0,
        1651248000_000,
        1651248000_000_000,
    ],
)
def test_one_moment_in_many_spellings(value):
    assert parse_time(value) == 1651248000_000_000


def test_iso_and_back():
    assert parse_time(iso(1651248000_123_456)) == 1651248000_123_456


def test_durations_are_exact():
    assert to_us(days(365)) == 365 * 24 * 3600 * 10**6
    assert to_us(ms(1)) == 1000


@pytest.mark.parametrize(
    ("duration", "name"),
    [(hours(24), "1d"), (hours(36), "36h"), (minutes(5), "5m"), (ms(20), "20ms"), (FOREVER, "ever")],
)
def test_short_names(duration, name):
    assert short(duration) == name


def test_now_is_in_microseconds():
    assert abs(now_us() / 1e6 - datetime.now(UTC).timestamp()) < 5
