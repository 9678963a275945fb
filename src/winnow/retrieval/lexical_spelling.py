"""Spelling: a word that no item has becomes the likeliest word that items do have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.retrieval.lexical_text import Asked

Codes = NDArray[np.int32]

_SHORTEST = 4  # letters of a word that is corrected: of shorter ones nearly every change is a word
_LONGEST = 24
_FIRST = 6  # letters from which the first one may be wrong
_TWO = 8  # letters from which two slips are allowed
_LEAST = 2  # items that have to have a word before others are corrected to it
_STEP = 20.0  # how many times as frequent a word must be that is one slip further away
_EDGE = 3.0  # how much likelier a slip after the first letter is


@dataclass(frozen=True)
class Corrected:
    """A query after correction.

    Args:
        asked: what is searched for.
        changes: word as typed → word in its place; empty when nothing was corrected.
    """

    asked: Asked
    changes: tuple[tuple[str, str], ...] = ()


class Speller:
    """Corrects words by a vocabulary.

    Candidates are those whose letters differ in few places, found for the whole vocabulary at once; the edit distance
    of those few is then exact. A slip is a letter left out, added, replaced, or swapped with its neighbour.

    Args:
        vocabulary: folded words and how many items have each.

    Source:
        Damerau, "A technique for computer detection and correction of spelling errors", CACM 7(3), 1964.
    """

    def __init__(self, vocabulary: Sequence[tuple[str, int]]):
        usable = [(word, n) for word, n in vocabulary if n >= _LEAST and _correctable(word)]
        self._words = [word for word, _ in usable]
        self._counts = np.array([n for _, n in usable], np.float64)
        self._lengths = np.array([len(word) for word in self._words], np.int64)
        self._letters = np.array([_letters(word) for word in self._words], np.uint64)
        self._codes = np.zeros((len(usable), _LONGEST + 2), np.int32)
        for place, word in enumerate(self._words):
            self._codes[place, : len(word)] = [ord(letter) for letter in word]

    def __len__(self) -> int:
        return len(self._words)

    def correct(self, asked: Asked, spread: Callable[[str], int]) -> Corrected:
        """A query with each word that no item has replaced by the likeliest one; quoted words stay as they are.

        Args:
            asked: from `parse`.
            spread: how many items have a word now.
        """
        changes = []
        for word in asked.words:
            better = "" if spread(word) else self.suggest(word)
            changes += [(word, better)] * bool(better)
        to = dict(changes)
        words = tuple(dict.fromkeys(to.get(word, word) for word in asked.words))
        return Corrected(Asked(words, asked.phrases, asked.without), tuple(changes))

    def suggest(self, word: str) -> str:
        """The likeliest word within one slip, or two of a long word; empty when there is none.

        >>> Speller([("ocean", 40), ("oceans", 9), ("canoe", 50)]).suggest("ocaen")
        'ocean'
        """
        if len(word) < _SHORTEST or not _correctable(word) or not len(self._words):
            return ""
        most = 2 if len(word) >= _TWO else 1
        near = self._near(word, most)
        slips = distances(word, self._codes[near, : len(word) + most], self._lengths[near])
        near, slips = near[slips <= most], slips[slips <= most]
        same = self._codes[near, 0] == ord(word[0])
        if len(word) < _FIRST:
            near, slips, same = near[same], slips[same], same[same]
        if not len(near):
            return ""
        score = np.log(self._counts[near]) - slips * np.log(_STEP) + same * np.log(_EDGE)
        return self._words[int(near[np.argmax(score)])]

    def _near(self, word: str, most: int) -> NDArray[np.int64]:
        """Places of words that may be within so many slips: of like length, and few letters that only one has."""
        close = np.flatnonzero(np.abs(self._lengths - len(word)) <= most)
        apart = np.bitwise_count(self._letters[close] ^ np.uint64(_letters(word)))
        near: NDArray[np.int64] = close[apart <= 2 * most]
        return near


def distances(word: str, codes: Codes, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many slips lie between a word and each of n others (optimal string alignment), int64 [n].

    Args:
        word: the one.
        codes: the letters of the others, int64 [n, L], padded with 0.
        lengths: how many letters each has, int64 [n].
    """
    n, longest = codes.shape
    before, last = np.zeros((longest + 1, n), np.int64), np.repeat(np.arange(longest + 1)[:, None], n, axis=1)
    letters = [ord(letter) for letter in word]
    for i, letter in enumerate(letters):
        row = np.empty_like(last)
        row[0] = i + 1
        for j in range(longest):
            cost = np.minimum(np.minimum(last[j + 1], row[j]) + 1, last[j] + (codes[:, j] != letter))
            if i and j:
                swapped = (codes[:, j] == letters[i - 1]) & (codes[:, j - 1] == letter)
                cost = np.where(swapped, np.minimum(cost, before[j - 1] + 1), cost)
            row[j + 1] = cost
        before, last = last, row
    found: NDArray[np.int64] = last[lengths, np.arange(n)]
    return found


def _correctable(word: str) -> bool:
    return word.isalpha() and _SHORTEST - 1 <= len(word) <= _LONGEST


def _letters(word: str) -> int:
    """Which letters a word has, as 64 bits."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) & 63)
    return bits
