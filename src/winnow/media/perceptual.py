"""Hashes that stay nearly the same while a picture is scaled, compressed or brightened: PDQ and the difference hash.

Bit 16 i + j of a PDQ hash, that of vertical frequency i + 1 and horizontal frequency j + 1, is bit (16 i + j) mod 64 of
word (16 i + j) // 64. `as_hex` writes the bits as other programs do: the last bit first.

Legend: H, W pixels of the picture; S = 64 samples and F = 16 frequencies along each side.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from winnow.core.errors import InputError, Problem

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

NEAR = 31  # bits by which two PDQ hashes of one picture differ at most, as its authors advise
GOOD = 50  # quality from which a PDQ hash says enough about its picture, likewise
VARIANTS = (
    "original", "rotate90", "rotate180", "rotate270", "flip_top_bottom", "flip_left_right", "transpose", "transverse",
)  # fmt: skip
SAMPLES, FREQUENCIES = 64, 16
_LEAST = 5  # pixels along a side below which there is nothing to hash
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_NOISE = 0.01  # of a coefficient; what is smaller comes from rounding


def pdq(pixels: NDArray[np.uint8]) -> tuple[Words, int]:
    """The PDQ hash of a picture.

    Luminance, blurred twice by a box of 1/128 of each side and sampled at 64 x 64 points; of its discrete cosine
    transform the frequencies 1 to 16 both ways; a bit is set where a coefficient is above the median.

    Args:
        pixels: uint8 [H, W, 3], or [H, W] of grey.

    Returns:
        uint64 [4], and the quality, 0 to 100: how much there is to see. Below 50 the hash says little, and pictures
        that have nothing in common may share it. A picture under 5 pixels along a side has no bit set and quality 0.

    Source:
        Facebook, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019.

    >>> hash, quality = pdq(np.zeros((9, 9, 3), np.uint8))
    >>> as_hex(hash)[:8], quality
    ('00000000', 0)
    """
    coefficients, quality = _coefficients(pixels)
    return _bits(coefficients[None])[0], quality


def pdq_variants(pixels: NDArray[np.uint8]) -> tuple[Words, int]:
    """The PDQ hashes of a picture turned and mirrored, at hardly more cost than one.

    Args:
        pixels: uint8 [H, W, 3], or [H, W] of grey.

    Returns:
        uint64 [8, 4] in the order of `VARIANTS` (turns are counter-clockwise), and the quality.
    """
    x, quality = _coefficients(pixels)
    odd = np.where(np.arange(FREQUENCIES) % 2 == 0, -1.0, 1.0)  # mirrored, odd frequencies change their sign
    down, across, both = x * odd[:, None], x * odd, x * odd[:, None] * odd
    turned = [x, across.T, both, down.T, down, across, x.T, both.T]
    return _bits(np.stack(turned)), quality


def dhash(pixels: NDArray[np.uint8]) -> np.uint64:
    """The difference hash: 64 bits, each of whether luminance rises from one of 9 x 8 fields to the next on the right.

    Args:
        pixels: uint8 [H, W, 3], or [H, W] of grey.
    """
    height, width = pixels.shape[:2]
    fields = _shrunk(pixels, _field_means(height, 8), _field_means(width, 9))
    return np.uint64(_packed((np.diff(fields, axis=1) > _NOISE).reshape(1, 64))[0, 0])


def hamming(a: Words | np.uint64, b: Words | np.uint64) -> Any:
    """The number of bits in which hashes differ.

    Args:
        a: uint64 [..., 4] of PDQ hashes, or one number of a difference hash.
        b: likewise; leading axes broadcast.

    Returns:
        int64 [...], or an int for two hashes.

    >>> hamming(np.zeros((3, 4), np.uint64), np.full(4, 7, np.uint64))
    array([12, 12, 12])
    """
    differ = np.bitwise_count(np.bitwise_xor(np.asarray(a, np.uint64), np.asarray(b, np.uint64)))
    total = differ.sum(axis=-1, dtype=np.int64) if differ.ndim else differ
    return total if np.ndim(total) else int(total)


def as_hex(hash: Words) -> str:
    """A PDQ hash as 64 hexadecimal digits, as ThreatExchange and NCMEC's tools write it."""
    return "".join(f"{int(word):016x}" for word in hash[::-1])


def from_hex(text: str) -> Words:
    """A PDQ hash, uint64 [4], from 64 hexadecimal digits.

    Raises:
        InputError: `bad-hash`.
    """
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != 32 or len(text) != 64:
        what = "a PDQ hash is 64 hexadecimal digits"
        raise InputError(Problem("bad-hash", what, fix="give the hash as the program that made it prints it"))
    return np.frombuffer(data, ">u8")[::-1].astype(np.uint64)


def _coefficients(pixels: NDArray[np.uint8]) -> tuple[Floats, int]:
    """float64 [F, F], and the quality."""
    if min(pixels.shape[:2]) < _LEAST:
        return np.zeros((FREQUENCIES, FREQUENCIES)), 0
    # Blurring rows and blurring columns commute, so both passes and the sampling are one matrix for each side.
    small = _shrunk(pixels, _sampling(pixels.shape[0]), _sampling(pixels.shape[1]))
    found = _cosines() @ small @ _cosines().T
    return np.where(np.abs(found) < _NOISE, 0.0, found), _quality(small)


def _shrunk(pixels: NDArray[np.uint8], down: csr_array, across: csr_array) -> Floats:
    """down @ luminance @ across.T. Luminance is taken last, of fewer numbers.

    Sparse products use one thread; dense ones would wake several, and wait for all of them on a busy machine.
    """
    rows = (down @ pixels.reshape(len(pixels), -1).astype(np.float32)).reshape(-1, *pixels.shape[1:])
    luma = rows if pixels.ndim == 2 else np.einsum("hwc,c->hw", rows, _LUMA)
    return np.asarray((across @ np.ascontiguousarray(luma.T)).T, np.float64)


def _quality(small: Floats) -> int:
    """Steps between neighbours, in whole hundredths of the range so that faint ones do not count."""
    steps = (np.trunc(np.diff(small, axis=axis) * 100 / 255) for axis in (0, 1))
    return min(100, int(sum(np.abs(step).sum() for step in steps)) // 90)


@lru_cache(maxsize=256)
def _sampling(size: int) -> csr_array:
    """float32 [S, size]: two passes of a box of 1/128 of the side, rounded up, sampled at the middles of 64 parts."""
    window = -(-size // (2 * SAMPLES))
    ahead = (window + 2) // 2 - 1
    places = np.arange(size)
    low, high = np.maximum(places - (window - 1 - ahead), 0), np.minimum(places + ahead, size - 1)
    wanted = ((np.arange(SAMPLES) + 0.5) * size / SAMPLES).astype(np.int64)
    once = np.zeros((SAMPLES, size + 1))  # differences along the side of the weights that a sample gives
    for row, place in enumerate(wanted):
        for near in range(low[place], high[place] + 1):
            share = 1 / ((high[place] - low[place] + 1) * (high[near] - low[near] + 1))
            once[row, low[near]] += share
            once[row, high[near] + 1] -= share
    weights = np.cumsum(once, axis=1)[:, :size]
    return csr_array(np.where(weights < 1e-9, 0, weights).astype(np.float32))


@lru_cache(maxsize=64)
def _field_means(size: int, fields: int) -> csr_array:
    """float32 [fields, size]: the mean of each part; a pixel that a border cuts counts for both by its share."""
    edges = np.arange(fields + 1) * size / fields
    places = np.arange(size)
    cover = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    return csr_array((np.maximum(cover, 0) * fields / size).astype(np.float32))


@lru_cache(maxsize=1)
def _cosines() -> Floats:
    """float64 [F, S]: frequencies 1 to 16 of the discrete cosine transform of type II."""
    frequency, place = np.arange(1, FREQUENCIES + 1)[:, None], np.arange(SAMPLES)
    return np.asarray(np.sqrt(2 / SAMPLES) * np.cos(np.pi / (2 * SAMPLES) * frequency * (2 * place + 1)))


def _bits(coefficients: Floats) -> Words:
    """uint64 [N, 4] of [N, F, F]: what is above the median, of an even number the lower one."""
    flat = coefficients.reshape(len(coefficients), -1)
    middle = np.partition(flat, flat.shape[1] // 2 - 1, axis=1)[:, flat.shape[1] // 2 - 1]
    return _packed(flat > middle[:, None])


def _packed(bits: NDArray[np.bool_]) -> Words:
    return np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64)
