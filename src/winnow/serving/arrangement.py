"""The arithmetic of slates, free of requests: chance, repeats, likeness, greedy choice."""

import hashlib

import numpy as np

from winnow.core.candidates import Doubles, Floats, Ints, Mask


def chances(seed: str, slots: int) -> Doubles:
    """Two uniform numbers per slot, the same for the same seed on every machine: float64 [slots, 2]."""
    key = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(key)).random((slots, 2))


def draw(size: int, *, share: float, chances: Doubles) -> tuple[Ints, Doubles]:
    """One draw of the exploration scheme over candidates 0..size-1, best first.

    Args:
        size: how many candidates.
        share: of slots given to chance.
        chances: per slot whether to explore and whom to pick, uniform in [0, 1), float64 [slots, 2].

    Returns:
        all candidates in their new order, int64 [size], and the propensity of each slot, float64 [slots].
    """
    left, order, propensity = list(range(size)), [], []
    for coin, choice in chances:
        pick = int(choice * len(left)) if coin < share else 0
        propensity.append(share / len(left) + (1 - share) * (pick == 0))
        order.append(left.pop(pick))
    return np.array(order + left, np.int64), np.array(propensity)


def earlier(codes: Ints) -> Ints:
    """How many of the same code stand above each place, int64 [N]; 0 for missing (-1).

    >>> earlier(np.array([7, 7, -1, 8, 7, -1])).tolist()
    [0, 1, 0, 0, 2, 0]
    """
    order = np.argsort(codes, kind="stable")
    _, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    rank = np.empty(len(codes), np.int64)
    rank[order] = np.arange(len(codes)) - np.repeat(starts, counts)
    return np.where(codes < 0, 0, rank)


def distinct(vectors: Floats, within: float) -> Mask:
    """Which of some vectors stay when each one takes out those after it whose cosine with it is above `within`.

    Args:
        vectors: of length 1, best first, float32 [N, D]; NaN for unknown ones, which stay.
        within: the bound.
    """
    near, stays = vectors @ vectors.T > within, np.ones(len(vectors), bool)
    for place in range(len(vectors)):
        if stays[place]:
            stays[place + 1 :] &= ~near[place, place + 1 :]
    return stays


def similarity(codes: Ints) -> Floats:
    """Likeness of every pair: overlap of their sets over the union, float32 [N, N]; 0 where nothing is known.

    Args:
        codes: int64 [N], or [N, M] padded with -1.
    """
    wide = codes.reshape(len(codes), -1)
    distinct, places = np.unique(wide, return_inverse=True)
    # Sets as bits: shared members are counted by word, without a matrix product that would wake all cores.
    has = np.zeros((len(wide), -(-len(distinct) // 64) * 64), bool)
    has[np.arange(len(wide))[:, None], places.reshape(wide.shape)] = True
    has[:, : len(distinct)][:, distinct < 0] = False
    words = np.packbits(has, axis=1).view(np.uint64)
    shared = np.bitwise_count(words[:, None] & words[None]).sum(axis=2, dtype=np.float32)
    size = shared.diagonal()
    overlap: Floats = shared / np.maximum(size[:, None] + size - shared, 1)
    return overlap


def marginal(score: Doubles, likeness: Floats, *, penalty: float, slots: int) -> Doubles:
    """The marginal value with which each of N candidates was chosen, or would be next, float64 [N].

    They never rise from one choice to the next, so sorting by them gives the greedy order.

    Args:
        score: float64 [N].
        likeness: float32 [N, N].
        penalty: what full likeness costs.
        slots: how many are chosen.
    """
    now, free = score.copy(), score.copy()
    for _ in range(min(slots, len(score))):
        best = int(np.argmax(free))
        free[best] = -np.inf
        np.minimum(now, score - penalty * likeness[best], out=now, where=free > -np.inf)
        np.minimum(free, now, out=free)
    return now


def interleaved(strangers: Mask, share: float) -> Ints:
    """The order in which strangers never fill more than a share of the first places, int64 [N].

    At each place the better of the first kin and the first stranger left stands, the stranger only where that keeps
    within the share (rounded up); where no kin are left, strangers follow.

    Args:
        strangers: which of the candidates are strangers, best first, bool [N].
        share: of the places, 0 to 1.

    >>> interleaved(np.array([True, True, True, False, False, True]), 0.5).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    place, kin = np.arange(len(strangers)), np.flatnonzero(~strangers)
    far = np.flatnonzero(strangers)
    # A stranger comes after those kin that are better, and after as many as the share asks for before it.
    before = np.searchsorted(kin, far) if share >= 1 else np.maximum(
        np.searchsorted(kin, far), _kin_before(np.arange(len(far)), share))  # fmt: skip
    before = np.maximum.accumulate(np.minimum(before, len(kin)))
    score = np.empty(len(place))
    score[kin], score[far] = np.arange(len(kin)) + 0.5, before
    return np.lexsort((place, score))


def _kin_before(number: Ints, share: float) -> Ints:
    """How many kin the stranger of each number (from 0) needs above it so that strangers keep within the share."""
    if not share:
        return np.full(len(number), np.iinfo(np.int64).max)
    # Its place p (from 1) may hold ceil(share x p) strangers in all: p is the least with share x p > number.
    least = np.floor(number / share + 1e-9).astype(np.int64) + 1
    return least - 1 - number
