"""Words, pairs of words and runs of characters of many texts at once, hashed, with their places.

Texts are read as the normaliser gives them. Two channels of 2^bits places each: first words, pairs of neighbours and
skeletons of words; then runs of characters inside words, whose edges count as characters. A skeleton has digits as
the letters that they may stand for and no doubled letters: what the normaliser leaves, as it may be meant, meets there.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple
from unicodedata import decomposition

import numpy as np
from numpy.typing import NDArray

from winnow.media.letters import DIGIT, LATIN, LETTERS, MARK, OTHER, OWN_MARK, Codes, kinds, of_kind, tables
from winnow.media.rolling import Hashes, between, mixed, running

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_SPACE = 32
_NAMES = re.compile(r"(?<![^\W_])@\w{4,}|(?:https?://|www\.)\S+")


class Grams(NamedTuple):
    """What M times occurs in N texts, text by text.

    Args:
        indptr: where each text's begin, int64 [N + 1].
        ids: the hashed place of each, int32 [M], below 2^(bits + 1).
        starts, stops: its characters in the text, int32 [M].
    """

    indptr: Ints
    ids: NDArray[np.int32]
    starts: NDArray[np.int32]
    stops: NDArray[np.int32]


def ngrams(texts: Sequence[str], *, bits: int = 20, runs: tuple[int, ...] = (2, 3, 4, 5), pairs: bool = True) -> Grams:
    """What the texts are made of. A text gives the same whatever stands beside it.

    Args:
        texts: normalised.
        bits: of the hash, 8 to 30; what falls on one place by chance counts as one.
        runs: lengths of the runs of characters.
        pairs: whether neighbouring words count too.

    Source: Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.

    >>> grams = ngrams(["a bc", ""], runs=(2,))
    >>> len(grams.ids), grams.indptr.tolist()
    (10, [0, 10, 10])
    """
    codes, places, row = _laid_out(texts)
    sums = running(codes)
    edges = np.flatnonzero(codes == _SPACE)
    words = _Spans(edges[:-1] + 1, edges[1:])
    words = words.where(words.stops > words.starts)
    parts = [_word_parts(codes, sums, words, row, pairs=pairs)]
    parts += [_run_parts(sums, edges, length) for length in runs]
    spans = _Spans(*(np.concatenate([getattr(p[0], side) for p in parts]) for side in ("starts", "stops")))
    hashes = np.concatenate([p[1] for p in parts])
    channel = np.repeat([0] + [1] * len(runs), [len(p[1]) for p in parts])
    ids = ((hashes & np.uint64((1 << bits) - 1)).astype(np.int64) + (channel << bits)).astype(np.int32)
    order = np.argsort(row[spans.starts], kind="stable")
    counts = np.bincount(row[spans.starts], minlength=len(texts))
    return Grams(np.append(0, np.cumsum(counts)), ids[order], *_shown(codes, places, spans.where(order)))


class _Spans(NamedTuple):
    starts: Ints
    stops: Ints

    def where(self, chosen: Mask | Ints) -> "_Spans":
        return _Spans(self.starts[chosen], self.stops[chosen])


def _laid_out(texts: Sequence[str]) -> tuple[Codes, Ints, Ints]:
    """All words of all texts with one space around each: codes, the place of each in its text, and its text."""
    joined = "\ufffe".join(["", *(_NAMES.sub(_blanked, text) for text in texts), ""])
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.int32)
    lengths = np.array([len(text) + 1 for text in texts], np.int64)
    begins = np.cumsum(lengths) - lengths
    row = np.append(np.repeat(np.arange(len(texts)), lengths), max(len(texts) - 1, 0))
    first = np.zeros(len(codes), np.bool_)
    first[np.append(begins, len(codes) - 1)] = True
    places = np.arange(len(codes)) - np.append(np.repeat(begins, lengths), len(codes)) - 1
    found = kinds(codes)
    picture = (found == OTHER) & (codes >= 0x2000) & ~first | (codes == ord("@"))
    solid = of_kind(found, *LETTERS, DIGIT, MARK, OWN_MARK) & ~first
    codes = np.where(picture | solid, _folded()[np.minimum(codes, 0x2100)] + np.maximum(codes - 0x2100, 0), _SPACE)
    return _spaced(codes.astype(np.int32), places, row, alone=picture)


def nameless(text: str) -> str:
    """A text without names after an @ and addresses, for encoders: they tell nothing and look like words.

    >>> nameless("rt @somebody see www.example.com now")
    'see now'
    """
    return " ".join(_NAMES.sub(" ", text).removeprefix("rt ").split())


def _blanked(name: re.Match[str]) -> str:
    """A name or address as one sign, in as many characters."""
    return "@".ljust(len(name[0]))


def _spaced(codes: Codes, places: Ints, row: Ints, *, alone: Mask) -> tuple[Codes, Ints, Ints]:
    """One space between words and around pictures."""
    at = np.repeat(np.arange(len(codes)), np.where(alone, 3, 1))
    gap = alone[at] & ~((at == np.roll(at, 1)) & (at == np.roll(at, -1)))  # of three the first and the last
    spread = np.where(gap, _SPACE, codes[at]).astype(np.int32)
    kept = (spread != _SPACE) | np.append(spread[1:] != _SPACE, True)
    return spread[kept], places[at][kept], row[at][kept]


@cache
def _folded() -> Codes:
    """Latin letters without their accents; all else below 0x2100 as it is."""
    table = np.arange(0x2101, dtype=np.int32)
    for code in np.flatnonzero(tables().kind[:0x2100] == LATIN):
        parts = decomposition(chr(code)).split()
        while len(parts) == 2 and parts[0][0] != "<":
            table[code] = int(parts[0], 16)
            parts = decomposition(chr(int(parts[0], 16))).split()
    for letter, plain in zip("øđłħŧ", "odlht", strict=True):
        table[ord(letter)] = ord(plain)
    return table


def _word_parts(codes: Codes, sums: Hashes, words: _Spans, row: Ints, *, pairs: bool) -> tuple[_Spans, Hashes]:
    single = between(sums, words.starts, words.stops)
    spans, hashes = [words, words], [single, _squeezed(codes, words)]
    if pairs and len(single) > 1:
        near = np.flatnonzero(row[words.starts[1:]] == row[words.starts[:-1]])
        spans.append(_Spans(words.starts[near], words.stops[near + 1]))
        hashes.append(mixed(single[near] * np.uint64(3) + single[near + 1]))
    return _Spans(*(np.concatenate(side) for side in zip(*spans, strict=True))), np.concatenate(hashes)


def _squeezed(codes: Codes, words: _Spans) -> Hashes:
    """Skeletons of words, apart from the words themselves."""
    codes = _skeleton()[np.minimum(codes, 0x80)] + np.maximum(codes - 0x80, 0)
    kept = np.append(True, codes[1:] != codes[:-1])
    at = np.append(0, np.cumsum(kept))
    return mixed(between(running(codes[kept]), at[words.starts], at[words.stops]) + np.uint64(77))


@cache
def _skeleton() -> Codes:
    table = np.arange(0x81, dtype=np.int32)
    for written, read in zip("0134578l", "oieastbi", strict=True):
        table[ord(written)] = ord(read)
    return table


def _run_parts(sums: Hashes, edges: Ints, length: int) -> tuple[_Spans, Hashes]:
    """Every run of some characters that holds no space but at its ends; the length is part of the hash."""
    starts = np.arange(max(len(sums) - length, 0))
    next_edge = np.append(edges, len(sums))[np.searchsorted(edges, starts, side="right")]
    starts = starts[next_edge >= starts + length - 1]
    spans = _Spans(starts, starts + length)
    return spans, mixed(between(sums, spans.starts, spans.stops) + np.uint64(length))


def _shown(codes: Codes, places: Ints, spans: _Spans) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where they are in their texts, without the spaces at the edges."""
    starts = spans.starts + (codes[spans.starts] == _SPACE)
    last = spans.stops - 1 - (codes[spans.stops - 1] == _SPACE)
    return places[starts].astype(np.int32), (places[last] + 1).astype(np.int32)
