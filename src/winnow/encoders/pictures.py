"""Images from people, decoded within limits."""

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.encoders.base import not_installed

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MOST_PIXELS = 40_000_000
MOST_BYTES = 50_000_000


def decoded(data: bytes, *, side: int) -> NDArray[np.uint8]:
    """The first frame of an image, upright, scaled to a square, on white: uint8 [side, side, 3].

    Args:
        data: a JPEG, PNG, WebP, GIF or BMP file.
        side: pixels.

    Raises:
        InputError: `image-unreadable`, `image-too-large`.
        Unavailable: `package-missing`.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise not_installed("pillow", "images") from error
    if len(data) > MOST_BYTES:
        raise _too_large(f"{len(data):,} bytes")
    too_large = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise _too_large(f"{image.width} x {image.height} pixels")
            return _square(image, side)
    except InputError:
        raise
    except too_large as error:
        raise _too_large("too many pixels") from error
    except Exception as error:  # what decoders raise on damaged files is not documented
        what = f"the image cannot be decoded: {type(error).__name__}"
        raise InputError(Problem("image-unreadable", what, fix=f"send {', '.join(FORMATS)}")) from error


def _square(image: "Image.Image", side: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    image.draft("RGB", (2 * side, 2 * side))  # a JPEG is decoded at a fraction of its size: 3 times as fast
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "LA", "PA", "P"):
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    small = upright.convert("RGB").resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, np.uint8)


def _too_large(size: str) -> InputError:
    limit = f"at most {MOST_PIXELS:,} pixels and {MOST_BYTES:,} bytes"
    return InputError(Problem("image-too-large", f"the image has {size}", fix=limit))
