"""Whatever the hashes, the bank finds what comparing every one finds; whatever the bytes, decoding ends well."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_samples import natural, saved

from winnow.core.errors import InputError
from winnow.media import bands
from winnow.media.bank import HashBank
from winnow.media.decode import Decoder, Picture

Image = pytest.importorskip("PIL.Image", reason="pip install 'winnow-engine[images]'")

BORDERS = [*range(0, 241, 24), 256]  # of the bands


def drawn(rng, count):
    return rng.integers(0, 2**64, (count, 4), dtype=np.uint64)


def compared(hashes, wanted, distance):
    """The rows that are near, from the bits one by one."""
    bits = np.unpackbits(np.ascontiguousarray(hashes, "<u8").view(np.uint8).reshape(-1, 32), axis=1)
    away = (bits != np.unpackbits(np.ascontiguousarray(wanted, "<u8").view(np.uint8))).sum(axis=1)
    rows = np.flatnonzero(away <= distance)
    return rows, away[rows]


def flipped(rng, hash, per_band):
    """A hash with so many bits turned over in each band."""
    octets = np.ascontiguousarray(hash, "<u8").view(np.uint8).copy()
    for start, stop, count in zip(BORDERS[:-1], BORDERS[1:], per_band, strict=True):
        for bit in rng.choice(np.arange(start, stop), count, replace=False):
            octets[bit // 8] ^= 1 << bit % 8
    return octets.view("<u8").astype(np.uint64)


def hardest():
    """The ways to spread 31 bits that leave a single band through which the hash can be found."""
    for band in range(10):
        yield [3] * band + [2] + [3] * (9 - band) + [2]
    yield [3] * 10 + [1]


def test_the_hardest_spreads_are_found():
    rng = np.random.default_rng(0)
    hashes = drawn(rng, 4_000)
    wanted = hashes[123]
    near = np.stack([flipped(rng, wanted, spread) for spread in hardest() for _ in range(12)])
    together = np.concatenate([hashes, near])
    tables = bands.built(together)
    assert len(bands.candidates(tables, wanted)) < len(together) / 4  # so that not all are compared
    rows, away = bands.searched(together, tables, wanted, 31)
    assert rows.tolist() == [123, *range(4_000, len(together))]
    assert sorted(set(away.tolist())) == [0, 31]


def test_every_bit_belongs_to_a_band():
    """A hash that differs in one bit is found whichever it is, and its own key is not the only one that finds it."""
    rng = np.random.default_rng(1)
    hash = drawn(rng, 1)[0]
    others = np.stack([flipped(rng, hash, [0] * 11)] * 256)
    others[np.arange(256), np.arange(256) // 64] ^= np.uint64(1) << (np.arange(256) % 64).astype(np.uint64)
    found = bands.searched(others, bands.built(others), hash, 31)
    assert found[0].tolist() == list(range(256))
    assert (found[1] == 1).all()
    far = np.array([flipped(rng, hash, [3] * 10 + [2])])
    assert len(bands.candidates(bands.built(far), hash)) == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 1500), alike=st.sampled_from([0, 1, 20, 500]),
       distance=st.integers(0, 40), few_bits=st.booleans())  # fmt: skip
def test_the_bank_finds_what_comparing_every_hash_finds(seed, size, alike, distance, few_bits):
    rng = np.random.default_rng(seed)
    hashes = drawn(rng, size)
    if few_bits:  # crowded keys
        hashes &= drawn(rng, 1)[0] & drawn(rng, 1)[0]
    centre = hashes[rng.integers(size)]
    spread = [flipped(rng, centre, rng.multinomial(rng.integers(0, 45), np.ones(11) / 11).clip(0, 16))
              for _ in range(alike)]  # fmt: skip
    hashes = np.concatenate([hashes, *(one[None] for one in spread)])
    tables = bands.built(hashes)
    for wanted in (centre, hashes[-1], flipped(rng, centre, [1] * 11), drawn(rng, 1)[0]):
        rows, away = bands.searched(hashes, tables, wanted, distance)
        expected, expected_away = compared(hashes, wanted, distance)
        assert rows.tolist() == expected.tolist()
        assert away.tolist() == expected_away.tolist()
        within_reach = expected[expected_away <= bands.REACH]
        assert set(within_reach.tolist()) <= set(bands.candidates(tables, wanted).tolist())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.lists(st.sampled_from(["add", "remove", "rebuild", "look"]), max_size=12))
def test_a_bank_that_changes_is_the_list_that_changes(seed, steps):
    rng = np.random.default_rng(seed)
    hashes, there = drawn(rng, 40), [True] * 40
    bank = HashBank.build(hashes, [""] * 40)
    for step in [*steps, "look"]:
        if step == "add":
            new = np.stack([flipped(rng, hashes[rng.integers(len(hashes))], [1] * 11) for _ in range(3)])
            assert bank.add(new, [""] * 3).tolist() == [len(hashes) + i for i in range(3)]
            hashes, there = np.concatenate([hashes, new]), [*there, True, True, True]
        elif step == "remove":
            row = int(rng.integers(len(hashes)))
            bank.remove([row])
            there[row] = False
        elif step == "rebuild":
            bank.rebuild()
        wanted = hashes[rng.integers(len(hashes))]
        expected = [row for row in compared(hashes, wanted, 31)[0] if there[row]]
        assert sorted(bank.within(wanted)[0].tolist()) == expected


FILES = [saved(Image.fromarray(natural(24, 31)), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP")]


@pytest.fixture(scope="module")
def limited():
    with Decoder(cpu_s=0.5) as decoder:
        yield decoder


@settings(max_examples=150, deadline=None)
@given(file=st.sampled_from(FILES), changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
       cut=st.floats(0.2, 1), more=st.binary(max_size=30))  # fmt: skip
def test_damaged_bytes_are_a_picture_or_an_error(limited, file, changes, cut, more):
    data = bytearray(file)
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    try:
        found = limited.decode(bytes(data[: int(cut * len(data))]) + more, largest=64)
    except InputError as error:
        found = error.code
    if isinstance(found, Picture):
        assert found.pixels.shape[2] == 3
        assert max(found.pixels.shape[:2]) <= 64
    else:
        assert found in {"image-unreadable", "image-too-large", "image-too-slow"}
