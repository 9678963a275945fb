"""A text encoder without weights: words, pairs of words and pieces of words, hashed."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.encoders.base import Encode, Encoder, Floats, normalised

Hashes = NDArray[np.uint64]
LONGEST = 20_000  # characters of a text that are read
_SPACE = 32
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of SplitMix64


@dataclass(frozen=True, kw_only=True)
class HashedWords(Encoder):
    """Feature hashing of what a text is made of: no weights, no training, any language with spaces.

    Every word, pair of neighbouring words and run of `pieces` characters inside a word is hashed to one of `size`
    places and to a sign. What occurs c times adds 1 + log2(c); pieces weigh `piece_weight` each.

    Args:
        size: length of the vectors.
        pieces: lengths of the runs of characters; the edges of a word count as characters.
        piece_weight: weight of a run of characters, of a word 1.

    Source:
        Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.
    """

    size: int = 256
    pieces: tuple[int, ...] = (3, 4, 5)
    piece_weight: float = 0.35

    def open(self, folder: Path) -> Encode:
        return partial(_encode, self)


def _encode(encoder: HashedWords, texts: Sequence[str]) -> Floats:
    rows = [_hashed(_characters(text), encoder) for text in texts]
    return np.concatenate([np.empty((0, encoder.size), np.float32), *rows])


def _characters(text: str) -> NDArray[np.uint32]:
    """The letters and digits of a text in lower case as code points, all else one space, a space at both ends."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    words = "".join(c if c.isalnum() or unicodedata.category(c)[0] in "MS" else " " for c in plain).split()
    return np.frombuffer(" ".join(["", *words, ""]).encode("utf-32-le", "surrogatepass"), np.uint32)


def _hashed(characters: NDArray[np.uint32], encoder: HashedWords) -> Floats:
    edges = np.flatnonzero(characters == _SPACE)
    sums = _running(characters)
    words = _between(sums, edges[:-1] + 1, edges[1:])
    pairs = _mixed(words[:-1] * np.uint64(3) + words[1:])
    pieces = [_pieces(sums, edges, length=length) for length in encoder.pieces]
    vector = np.zeros(encoder.size)
    for found, weight in ((np.concatenate([words, pairs]), 1.0), (_joined(pieces), encoder.piece_weight)):
        hashes, counts = np.unique(found, return_counts=True)
        signs = np.where(hashes >> np.uint64(63), -1.0, 1.0)
        places = (hashes % np.uint64(encoder.size)).astype(np.int64)
        vector += np.bincount(places, weight * signs * (1 + np.log2(counts)), minlength=encoder.size)
    return normalised(vector[None])


def _joined(parts: list[Hashes]) -> Hashes:
    return np.concatenate([np.empty(0, np.uint64), *parts])


def _pieces(sums: Hashes, edges: NDArray[np.int64], *, length: int) -> Hashes:
    """Every run of characters that holds no space but at its ends; the length is part of the hash."""
    starts = np.arange(len(sums) - length)
    inner = np.searchsorted(edges, starts, side="right")
    next_edge = np.append(edges, len(sums))[inner]
    starts = starts[next_edge >= starts + length - 1]
    return _mixed(_between(sums, starts, starts + length) + np.uint64(length))


def _running(characters: NDArray[np.uint32]) -> Hashes:
    """Running sums of character x base^place modulo 2^64, from which the hash of any run is a difference."""
    powers = _powers(_BASE, len(characters))
    return np.concatenate([np.zeros(1, np.uint64), np.cumsum(characters.astype(np.uint64) * powers)])


def _between(sums: Hashes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Hashes:
    """The hash of each run, the same wherever it stands."""
    return _mixed((sums[stops] - sums[starts]) * _powers(_INVERSE, len(sums))[starts])


def _powers(base: int, size: int) -> Hashes:
    factors = np.full(max(size, 1), base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors)[:size]


def _mixed(values: Hashes) -> Hashes:
    """SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014): near values get unrelated ones."""
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    return values ^ (values >> np.uint64(31))
