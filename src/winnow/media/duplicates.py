"""Which of many pictures are nearly the same, by their perceptual hashes."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from winnow.media import bands
from winnow.media.perceptual import NEAR

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
Pairs = Iterator[tuple[Ints, Ints]]
_SCAN = 4_000  # hashes up to which comparing all pairs is as fast as looking for them
_AT_ONCE = 1 << 20  # pairs compared at a time


def near_duplicates(hashes: Words, *, distance: int = NEAR, usable: NDArray[np.bool_] | None = None) -> Ints:
    """Groups of pictures, each of which is within a distance of another of its group.

    A chain counts as one group, though its ends may be farther apart.

    Args:
        hashes: uint64 [N, 4].
        distance: bits.
        usable: bool [N]; a picture whose hash says too little (quality below 50) stays alone. All by default.

    Returns:
        int64 [N]: the number of the group of each picture, in order of first appearance.

    >>> near_duplicates(np.array([[0, 0, 0, 0], [2**64 - 1] * 4, [7, 0, 0, 0]], np.uint64))
    array([0, 1, 0])
    """
    count = len(hashes)
    use = np.arange(count) if usable is None else np.flatnonzero(usable)
    unique, place = np.unique(hashes[use], axis=0, return_inverse=True)
    of_unique = _connected(len(unique), _near(np.ascontiguousarray(unique.T), distance))
    groups = np.arange(count) + len(unique)
    groups[use] = of_unique[place.ravel()]
    return _renumbered(groups)


def _near(words: Words, distance: int) -> Pairs:
    """Pairs of columns of uint64 [4, N] that are within a distance of each other, every pair at least once."""
    count = words.shape[1]
    if count > _SCAN and distance <= bands.REACH:
        left = count**2 // 8  # where hashes crowd so much that more pairs would be looked at, all are
        for first, second in bands.pairs(np.ascontiguousarray(words.T)):
            left -= len(first)
            if left < 0:
                break
            yield _within(words, first, second, distance=distance)
        else:
            return
    yield from _all_near(words, distance)


def _all_near(words: Words, distance: int) -> Pairs:
    """As `_near`, by comparing all pairs."""
    count = words.shape[1]
    step = max(1, _AT_ONCE // max(count, 1))
    for begin in range(0, count, step):
        some, others = words[:2, begin : begin + step], words[:2, begin:]
        half = sum(np.bitwise_count(a[:, None] ^ b) for a, b in zip(some, others, strict=True))
        first, second = np.nonzero(half <= distance)
        yield _within(words, first + begin, second + begin, distance=distance)


def _within(words: Words, first: Ints, second: Ints, *, distance: int) -> tuple[Ints, Ints]:
    """Those of the pairs that are within a distance."""
    for some in (slice(0, 2), slice(0, 4)):  # most differ by more in the first half
        apart = sum(np.bitwise_count(word[first] ^ word[second]).astype(np.int16) for word in words[some])
        first, second = first[apart <= distance], second[apart <= distance]
    return first, second


def _connected(count: int, pairs: Iterable[tuple[Ints, Ints]]) -> Ints:
    """int64 [count]: the same number for all that pairs connect."""
    groups = np.arange(count)
    for first, second in pairs:
        a, b = groups[first], groups[second]
        new = a != b
        if new.any():
            edges = coo_array((np.ones(int(new.sum()), np.int8), (a[new], b[new])), shape=(count, count))
            groups = connected_components(edges, directed=False)[1][groups]
    return groups


def _renumbered(groups: Ints) -> Ints:
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    ranks = np.empty(len(first), np.int64)
    ranks[np.argsort(first)] = np.arange(len(first))
    return ranks[inverse]
