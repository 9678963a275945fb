"""Which of many pictures are nearly the same, by their perceptual hashes."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from winnow.media import bands
from winnow.media.perceptual import NEAR

_SCAN = 8_000  # hashes up to which all pairs are compared

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]


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
    first, second = _pairs(np.ascontiguousarray(unique), distance)
    _, of_unique = connected_components(
        coo_array((np.ones(len(first), np.int8), (first, second)), shape=(len(unique), len(unique))), directed=False
    )
    groups = np.arange(count) + len(unique)
    groups[use] = of_unique[place.ravel()]
    return _renumbered(groups)


def _pairs(hashes: Words, distance: int) -> tuple[Ints, Ints]:
    """Rows of hashes that are within a distance of each other, every pair at least once."""
    tables = bands.built(hashes) if len(hashes) > _SCAN else None
    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for row in range(len(hashes)):
        start = row + 1 if tables is None else 0
        found = bands.searched(hashes[start:], tables, hashes[row], distance)[0] + start
        first.append(np.full(len(found), row))
        second.append(found)
    return np.concatenate(first), np.concatenate(second)


def _renumbered(groups: Ints) -> Ints:
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    ranks = np.empty(len(first), np.int64)
    ranks[np.argsort(first)] = np.arange(len(first))
    return ranks[inverse]
