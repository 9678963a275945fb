"""Time is explicit: moments are int64 microseconds since 1970 UTC, durations are `timedelta`.

Only `now_us` reads a clock; everything else takes the moment as an argument, so tests and replays drive it.
"""

import time
from datetime import UTC, datetime, timedelta

MICROS = 1_000_000
FOREVER = timedelta.max


def now_us() -> int:
    """The present in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def ms(n: float) -> timedelta:
    """`n` milliseconds."""
    return timedelta(milliseconds=n)


def seconds(n: float) -> timedelta:
    """`n` seconds."""
    return timedelta(seconds=n)


def minutes(n: float) -> timedelta:
    """`n` minutes."""
    return timedelta(minutes=n)


def hours(n: float) -> timedelta:
    """`n` hours."""
    return timedelta(hours=n)


def days(n: float) -> timedelta:
    """`n` days."""
    return timedelta(days=n)


def to_us(duration: timedelta) -> int:
    """A duration in whole microseconds.

    >>> to_us(minutes(1))
    60000000
    """
    return duration // timedelta(microseconds=1)


def parse_time(value: str | int | float | datetime) -> int:
    """A moment in microseconds, from ISO 8601 text, epoch seconds/ms/us (told apart by size) or a datetime.

    Text and datetimes without an offset are read as UTC.

    >>> parse_time("2022-04-29T16:00:00") == parse_time(1_651_248_000) == parse_time(1_651_248_000_000)
    True
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return round((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * MICROS)
    return int(value * next(scale for limit, scale in _EPOCH_SCALES if abs(value) < limit))


_EPOCH_SCALES = ((1e11 / 4, MICROS), (1e13, 1000), (float("inf"), 1))  # seconds until 2762, ms until 2286


def iso(us: int) -> str:
    """A moment as ISO 8601 text in UTC.

    >>> iso(0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(us / MICROS, UTC).isoformat()


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def short(duration: timedelta) -> str:
    """A duration as it appears in feature names: the largest unit that divides it.

    >>> short(days(7)), short(minutes(90)), short(FOREVER)
    ('7d', '90m', 'ever')
    """
    if duration == FOREVER:
        return "ever"
    whole = duration.total_seconds()
    size, unit = next(((s, u) for s, u in _UNITS if whole % s == 0), (0.001, "ms"))
    return f"{round(whole / size)}{unit}"
