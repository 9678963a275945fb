"""A text encoder without weights: words, pairs of words and pieces of words, hashed."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.encoders.base import Encode, Encoder, Floats, normalised
from winnow.media.rolling import Hashes, between, mixed, running

LONGEST = 20_000  # characters of a text that are read
_SPACE = 32


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
    sums = running(characters)
    words = between(sums, edges[:-1] + 1, edges[1:])
    pairs = mixed(words[:-1] * np.uint64(3) + words[1:])
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
    return mixed(between(sums, starts, starts + length) + np.uint64(length))
