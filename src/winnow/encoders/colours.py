"""An image encoder without weights: where which colours are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError
from winnow.encoders.base import Encode, Encoder, Floats, Media, normalised
from winnow.encoders.pictures import decoded

_SIDE = 64  # pixels an image is scaled to
_BINS = (12, 3, 3)  # of hue, saturation and value


@dataclass(frozen=True, kw_only=True)
class ColourGrid(Encoder):
    """The mean colours of a grid of fields, and how often each hue, saturation and value occurs.

    The two halves count the same: mean red, green and blue of each field less middle grey, and the square roots of
    the shares of 12 x 3 x 3 colours. No training; finds images with like colours in like places.

    Args:
        grid: fields along a side.
    """

    of: ClassVar[Media] = "image"
    revision: ClassVar[int] = 2  # 16 bits of grey, and transparency by a colour, are read as they are meant
    grid: int = 4

    @property
    def size(self) -> int:
        """Three per field and one per colour."""
        return 3 * self.grid**2 + int(np.prod(_BINS))

    def open(self, folder: Path) -> Encode:
        return partial(_encode, self.grid, self.size)


def _encode(grid: int, size: int, images: Sequence[bytes]) -> Floats:
    vectors = np.full((len(images), size), np.nan, np.float32)
    for row, data in enumerate(images):
        try:
            pixels = decoded(data, side=_SIDE) / 255.0
        except InputError:
            continue  # the row stays NaN
        halves = [normalised(half[None]) for half in (_means(pixels, grid), _histogram(pixels))]
        vectors[row] = normalised(np.concatenate(halves, axis=1))[0]
    return vectors


def _means(pixels: NDArray[np.float64], grid: int) -> NDArray[np.float64]:
    """Mean colour of each field, -0.5 to 0.5."""
    parts = [np.array_split(band, grid, axis=1) for band in np.array_split(pixels, grid, axis=0)]
    return np.array([field.mean(axis=(0, 1)) for band in parts for field in band]).ravel() - 0.5


def _histogram(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square roots of the shares of each colour."""
    rgb = pixels.reshape(-1, 3)
    value, low = rgb.max(axis=1), rgb.min(axis=1)
    spread = value - low
    safe = np.where(spread == 0, 1.0, spread)
    red, green, blue = ((value - c) / safe for c in rgb.T)
    hue = np.select([rgb[:, 0] == value, rgb[:, 1] == value], [blue - green, 2 + red - blue], 4 + green - red)
    hsv = np.stack([(hue / 6) % 1.0, spread / np.where(value == 0, 1.0, value), value], axis=1)
    places = np.minimum((hsv * _BINS).astype(np.int64), np.array(_BINS) - 1)
    places[spread == 0, 0] = 0
    flat = np.ravel_multi_index(tuple(places.T), _BINS)
    return np.sqrt(np.bincount(flat, minlength=int(np.prod(_BINS))) / len(rgb))
