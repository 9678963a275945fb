"""Pixels cut, scaled and written as small pictures. Pixels are uint8 [H, W, 3] in red, green and blue."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem, Unavailable

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
Fit = Literal["stretch", "crop", "pad"]


def crop(pixels: Pixels, box: Sequence[float]) -> Pixels:
    """The part of a picture inside a box, at least one pixel.

    Args:
        pixels: uint8 [H, W, 3].
        box: left, top, right and bottom as shares of width and height, 0 to 1. Pixels that it cuts belong to it.

    Returns:
        A copy, uint8 [h, w, 3].

    Raises:
        InputError: `bad-box`.

    >>> crop(np.zeros((100, 200, 3), np.uint8), (0.5, 0, 1, 0.25)).shape
    (25, 100, 3)
    """
    whole = len(box) == 4 and all(math.isfinite(edge) for edge in box)
    if not whole or not 0 <= box[0] < box[2] <= 1 or not 0 <= box[1] < box[3] <= 1:
        what = "the box is not four numbers from 0 to 1 with left < right and top < bottom"
        raise InputError(Problem("bad-box", what, "box", fix="give left, top, right, bottom as shares of the picture"))
    height, width = pixels.shape[:2]
    (left, right), (top, bottom) = _reach(box[0], box[2], width), _reach(box[1], box[3], height)
    return pixels[top:bottom, left:right].copy()


def _reach(start: float, stop: float, size: int) -> tuple[int, int]:
    first = min(math.floor(start * size + 1e-9), size - 1)
    return first, max(first + 1, math.ceil(stop * size - 1e-9))


def square(pixels: Pixels, side: int, *, fit: Fit = "stretch") -> Pixels:
    """A picture scaled to a square: uint8 [side, side, 3].

    Args:
        pixels: uint8 [H, W, 3].
        side: pixels.
        fit: `stretch` changes its shape, `crop` cuts the ends off, `pad` adds white.
    """
    height, width = pixels.shape[:2]
    if fit == "stretch":
        return _scaled(pixels, side, side)
    if fit == "crop":
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        return _scaled(pixels[top : top + short, left : left + short], side, side)
    h, w = (max(1, round(side * size / max(height, width))) for size in (height, width))
    result = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - h) // 2, (side - w) // 2
    result[top : top + h, left : left + w] = _scaled(pixels, h, w)
    return result


def thumbnail(pixels: Pixels, side: int, *, quality: int = 85) -> bytes:
    """A picture as a JPEG file with nothing in it but the picture: no EXIF, no place, no profile, no comment.

    Args:
        pixels: uint8 [H, W, 3].
        side: the longer side has at most this many pixels; smaller pictures keep their size.
        quality: of the JPEG, 1 to 95.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    small = pixels if scale == 1 else _scaled(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
    file = io.BytesIO()
    _image(small).save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def _scaled(pixels: Pixels, height: int, width: int) -> Pixels:
    """Down by the mean of what falls on a pixel and a little around it, up by cubic interpolation."""
    if pixels.shape[:2] == (height, width):
        return pixels.copy()
    return np.array(_image(pixels).resize((width, height)), np.uint8)  # bicubic is what Pillow does by itself


def _image(pixels: Pixels) -> "Image.Image":
    try:
        from PIL import Image
    except ImportError as error:
        fix = "pip install 'winnow-engine[images]'"
        raise Unavailable(Problem("package-missing", "the package `pillow` is not installed", fix=fix)) from error
    return Image.fromarray(np.ascontiguousarray(pixels))
