"""From weights of characters to the words that carried a decision."""

import re
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from winnow.media.normalise import Normal
from winnow.models.content import Span

WORD = re.compile(r"\S+")
_SHARE = 0.25  # of the strongest word's weight: what is below is not shown
_MOST = 8  # spans of a head

Values = NDArray[np.float64]
Places = NDArray[np.int32]


def word_spans(normal: Normal, weights: Mapping[str, Values], starts: Places, stops: Places) -> list[Span]:
    """Words that speak for a head, neighbours joined, in the original text.

    Args:
        normal: the text.
        weights: head → weight of each part of the text, float64 [M].
        starts, stops: the characters of each part in the normalised text, int32 [M].
    """
    words = [match.span() for match in WORD.finditer(normal.text)]
    if not words:
        return []
    found = [
        Span(*normal.span(first, last), float(weight), head)
        for head, parts in weights.items()
        for first, last, weight in strongest(words, per_word(words, parts, starts, stops=stops))
    ]
    return sorted(found)


def per_word(words: list[tuple[int, int]], weights: Values, starts: Places, *, stops: Places) -> Values:
    """The weight of each word, float64 [W]: each part's is spread evenly over its characters."""
    size = words[-1][1]
    change = np.zeros(size + 2)
    each = weights / np.maximum(stops - starts, 1)
    np.add.at(change, np.minimum(starts, size + 1), each)
    np.add.at(change, np.minimum(stops, size + 1), -each)
    total = np.append(0.0, np.cumsum(np.cumsum(change)))
    begins, ends = np.array(words).T
    sums: Values = total[ends] - total[begins]
    return sums


def strongest(words: list[tuple[int, int]], weights: Values) -> Iterator[tuple[int, int, float]]:
    """Runs of neighbouring words with a good share of the largest weight: start, end, weight; the heaviest ones."""
    top = float(weights.max(initial=0.0))
    if top <= 0:
        return
    shown = np.flatnonzero(weights >= _SHARE * top)
    runs = np.split(shown, np.flatnonzero(np.diff(shown) > 1) + 1)
    heaviest = sorted(runs, key=lambda run: -float(weights[run].sum()))[:_MOST]
    for run in heaviest:
        yield words[run[0]][0], words[run[-1]][1], float(weights[run].sum())
