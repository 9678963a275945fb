"""Near-duplicates among many: the same groups as by comparing every pair, however the hashes lie."""

from itertools import combinations

import numpy as np
import pytest

from winnow.media import bands, duplicates
from winnow.media.duplicates import near_duplicates


def flipped(hash, count, rng):
    out = hash.copy()
    for bit in rng.choice(256, count, replace=False):
        out[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    return out


def some(count, seed=0, *, most=45):
    """Half of them random, half copies of others with up to `most` flipped bits, so that chains arise."""
    rng = np.random.default_rng(seed)
    found = list(rng.integers(0, 2**64, (count // 2, 4), dtype=np.uint64))
    while len(found) < count:
        found.append(flipped(found[rng.integers(len(found))], int(rng.integers(most)), rng))
    return np.stack(found)[rng.permutation(count)]


def slowly(hashes, distance):
    """Groups by comparing every pair and spreading the smallest number."""
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(axis=2, dtype=np.int64) <= distance
    groups = np.arange(len(hashes))
    while True:
        spread = np.where(near, groups[None], len(hashes)).min(axis=1)
        if (spread == groups).all():
            return np.unique(groups, return_inverse=True)[1]
        groups = spread


@pytest.fixture(params=["all pairs", "bands"])
def way(request, monkeypatch):
    monkeypatch.setattr(duplicates, "_SCAN", 0 if request.param == "bands" else 10**9)
    monkeypatch.setattr(duplicates, "_AT_ONCE", 700)
    monkeypatch.setattr(bands, "_PAIRS", 50)
    return request.param


@pytest.mark.parametrize("distance", [0, 1, 15, 31, 60, 256])
@pytest.mark.parametrize("seed", range(4))
def test_groups_are_those_of_comparing_every_pair(way, seed, distance):
    hashes = some(240, seed)
    assert (near_duplicates(hashes, distance=distance) == slowly(hashes, distance)).all()


def spread(two, rng):
    """31 bits, of which two (or, in the narrow band, one) are in a band and at least three in each other wide one."""
    band = two[0] // 24
    others = [rng.choice(24, 3, replace=False) + 24 * b for b in range(10) if b != band]
    narrow = [240 + rng.choice(16, 2, replace=False)] if band < 10 else []
    return np.concatenate([two, *others, *narrow])


def test_two_meet_whichever_bits_of_a_band_they_differ_in(monkeypatch):
    """The hardest cases for bands: every two bits of every wide one, every bit of the narrow one, and no easier way."""
    monkeypatch.setattr(duplicates, "_all_near", lambda *_: pytest.fail("every pair is compared"))
    monkeypatch.setattr(duplicates, "_SCAN", 0)
    rng = np.random.default_rng(1)
    pairs = [24 * band + np.array(two) for band in range(10) for two in combinations(range(24), 2)]
    pairs += [np.array([240 + bit]) for bit in range(16)]
    one = rng.integers(0, 2**64, (len(pairs), 4), dtype=np.uint64)
    other = one.copy()
    for row, two in enumerate(pairs):
        for bit in spread(two, rng).tolist():
            other[row, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    assert set(np.bitwise_count(one ^ other).sum(axis=1).tolist()) == {31}
    groups = near_duplicates(np.concatenate([one, other]))
    assert groups.tolist() == [*range(len(pairs))] * 2
    assert len(set(near_duplicates(np.concatenate([one, other]), distance=30).tolist())) == 2 * len(pairs)


@pytest.mark.parametrize("count", [1, 2, 1500])
def test_hashes_that_crowd_are_all_compared(count, monkeypatch):
    monkeypatch.setattr(duplicates, "_SCAN", 1000)
    hashes = np.zeros((count, 4), np.uint64)
    hashes[:, 3] = np.arange(count)  # nearly all keys are the same
    assert near_duplicates(hashes).tolist() == [0] * count


def test_pairs_are_looked_up_where_there_are_many(monkeypatch):
    monkeypatch.setattr(duplicates, "_all_near", lambda *_: pytest.fail("every pair is compared"))
    hashes = some(6_000, most=30)
    groups = near_duplicates(hashes)
    assert groups.max() < 3_500
