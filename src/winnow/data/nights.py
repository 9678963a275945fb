"""Which nights of something are free, as a column: a date and a bit for each night from then on, in hexadecimal.

>>> written("2026-07-01", [True, True, False, True])
'2026-07-01 d'
>>> read("2026-07-01 d")[1].tolist()
[True, True, False, True]
"""

from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool_]
MOST = 1_100  # nights in one value: three years
_EPOCH = date(1970, 1, 1).toordinal()


def day_of(text: str) -> int:
    """The day of an ISO date, counted from 1970-01-01; the night of a day is the one that follows it.

    Raises:
        ValueError: it is no date such as 2026-07-01.
    """
    return date.fromisoformat(text).toordinal() - _EPOCH


def date_of(day: int) -> str:
    """The ISO date of a day."""
    return date.fromordinal(day + _EPOCH).isoformat()


def written(first: str, free: Iterable[bool]) -> str:
    """A value of a `nights` column.

    Args:
        first: date of the first night.
        free: for that night and those after it, whether it is free; nights that are not told are not free.
    """
    bits = np.packbits(np.fromiter(free, bool))
    return f"{date_of(day_of(first))} {bits.tobytes().hex().rstrip('0') or '0'}"


def read(text: str) -> tuple[int, Bits]:
    """The first day and which nights are free from then on, bool [n]; n is a multiple of 4.

    Raises:
        ValueError: it is no value of a `nights` column.
    """
    first, _, digits = text.partition(" ")
    if not digits or len(digits) * 4 > MOST or not digits.isascii() or not digits.isalnum():
        raise ValueError(f"`{text[:40]}` is no date with up to {MOST // 4} hexadecimal digits")
    packed = np.frombuffer(bytes.fromhex(digits + "0" * (len(digits) % 2)), np.uint8)
    return day_of(first), np.unpackbits(packed)[: 4 * len(digits)].astype(bool)


def malformed(values: Sequence[str | None]) -> Bits:
    """Which values of a column cannot be read, bool [n]; missing ones can."""
    return np.array([value is not None and value != "" and not _reads(value) for value in values], bool)


def _reads(text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
