"""What pictures look like from afar: a perceptual hash and a histogram of colours. N pictures of S x S pixels."""

import numpy as np
from numpy.typing import NDArray

from winnow.encoders.base import Floats

_GREY = np.array([0.299, 0.587, 0.114])
_HASHED = 32  # pixels along a side of what is hashed
_KEPT = 8  # lowest frequencies along each axis
_BINS = (12, 3, 3)  # of hue, saturation and value
_COLOURS = int(np.prod(_BINS))
SIZE = _KEPT**2 + _COLOURS


def looks(pixels: NDArray[np.uint8]) -> Floats:
    """Hash and histogram side by side, each of length 1, float32 [N, 172]."""
    return np.concatenate([hashed(pixels) / _KEPT, np.sqrt(histogram(pixels))], axis=1).astype(np.float32)


def hashed(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Signs of the lowest 8 x 8 frequencies of the grey picture, less their median, float64 [N, 64]."""
    cosines = _cosines(_HASHED)[:_KEPT] @ _averages(pixels.shape[1], _HASHED)
    low = (cosines @ (pixels @ _GREY) @ cosines.T).reshape(len(pixels), _KEPT**2)
    above = low > np.median(low[:, 1:], axis=1, keepdims=True)  # the first frequency is the brightness
    return np.where(above, 1.0, -1.0)


def histogram(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Shares of 12 x 3 x 3 hues, saturations and values, float64 [N, 108]."""
    rgb = pixels.reshape(-1, 3) / 255.0
    value, spread = rgb.max(axis=1), np.ptp(rgb, axis=1)
    red, green, blue = ((value - c) / np.where(spread == 0, 1.0, spread) for c in rgb.T)
    hue = np.select([rgb[:, 0] == value, rgb[:, 1] == value], [blue - green, 2 + red - blue], 4 + green - red)
    hue = np.where(spread == 0, 0.0, hue / 6 % 1.0)
    parts = np.stack([hue, spread / np.where(value == 0, 1.0, value), value])
    bins = np.array(_BINS)[:, None]
    colours = np.ravel_multi_index(tuple(np.minimum((parts * bins).astype(np.int64), bins - 1)), _BINS)
    places = colours.reshape(len(pixels), -1) + _COLOURS * np.arange(len(pixels))[:, None]
    counts = np.bincount(places.ravel(), minlength=_COLOURS * len(pixels)).reshape(len(pixels), _COLOURS)
    return np.asarray(counts / (pixels.shape[1] * pixels.shape[2]))


def _averages(side: int, to: int) -> NDArray[np.float64]:
    """Weights of each pixel in each of `to` equal stretches of a side, [to, side]."""
    edges, pixel = np.linspace(0, side, to + 1), np.arange(side)
    shared = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.asarray(np.maximum(shared, 0) * to / side)


def _cosines(size: int) -> NDArray[np.float64]:
    """The discrete cosine transform as a matrix, [size, size]."""
    k, n = np.arange(size)[:, None], np.arange(size)
    scale = np.where(k == 0, np.sqrt(1 / size), np.sqrt(2 / size))
    return np.asarray(scale * np.cos(np.pi * (n + 0.5) * k / size))
