"""Images from people, decoded within limits."""

import numpy as np
from numpy.typing import NDArray

from winnow.media.decode import shared


def decoded(data: bytes, *, side: int) -> NDArray[np.uint8]:
    """The first frame of an image, upright, scaled to a square, on white: uint8 [side, side, 3].

    Args:
        data: a JPEG, PNG, WebP, GIF or BMP file.
        side: pixels.

    Raises:
        InputError: `image-unreadable`, `image-too-large`, `image-too-slow`, `image-refused`.
        Unavailable: `package-missing`, `decoder-fails`, `decoder-busy`.
    """
    return shared().decode(data, square=side).pixels
