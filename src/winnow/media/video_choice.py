"""Which frames of a video are kept: evenly spread ones, or one for each shot. Neither reads more than it is given."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
SIDE = 24  # pixels along a side of the small picture that shots are told apart by
_HIGH = bytes(value >> 6 for value in range(256))  # two bits of each colour: 64 bins
_CUT = 0.4  # share of the pixels that change their bin from one shot to the next
_LEAST_S = 0.5  # that a shot lasts: a flash is none


def spread(values: Sequence[T], most: int) -> list[T]:
    """At most so many, from the middles of equal parts.

    >>> spread(range(10), 3)
    [1, 5, 8]
    """
    if len(values) <= most:
        return list(values)
    return [values[int((i + 0.5) * len(values) / most)] for i in range(most)]


def bins(pixels: bytes) -> list[int]:
    """How many pixels fall into each of 64 colours, of red, green and blue bytes."""
    high = pixels.translate(_HIGH)
    counts = [0] * 64
    for red, green, blue in zip(high[::3], high[1::3], high[2::3], strict=True):
        counts[red << 4 | green << 2 | blue] += 1
    return counts


class Shots:
    """Tells where a shot begins: the colours differ from those of the frame before by more than a share.

    Source: Boreczky and Rowe, Comparison of video shot boundary detection techniques, 1996 (global histograms).
    """

    def __init__(self) -> None:
        self._last: list[int] = []
        self._since = 0.0

    def begins(self, pixels: bytes, at: float) -> bool:
        """Whether a frame begins a shot.

        Args:
            pixels: the frame at a small size, red, green and blue.
            at: when it is seen, in seconds.
        """
        now, last = bins(pixels), self._last
        self._last = now
        changed = sum(abs(a - b) for a, b in zip(now, last, strict=True)) / (2 * sum(now)) if last else 1.0
        if changed < _CUT or (last and at - self._since < _LEAST_S):
            return False
        self._since = at
        return True


class Thinned(list[T]):
    """Keeps at most `most` to twice as many of a row of things that has no known end: every one, then every second."""

    def __init__(self, most: int):
        super().__init__()
        self._most, self._step, self._seen = most, 1, 0

    def offer(self, value: T) -> bool:
        """Takes the next one, or passes it over; whether it was taken."""
        taken = self._seen % self._step == 0
        self._seen += 1
        if taken:
            self.append(value)
            if len(self) == 2 * self._most:
                del self[1::2]
                self._step *= 2
        return taken
