"""The program that decodes pictures from strangers within limits; `Decoder` starts it and talks to it."""

import io
import os
import struct
from functools import partial
from typing import TYPE_CHECKING

from winnow.media.decoding_loop import (
    CUT_SHORT,
    DAMAGED,
    DONE,
    FILE,
    NO_MEMORY,
    SOCKET,
    TOO_LARGE,
    limit,
    put,
    serve,
)

if TYPE_CHECKING:
    from PIL import Image, ImageFile

Size = tuple[int, int]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
REQUEST = struct.Struct("<QII")  # bytes to decode, longest side, side of the square; 0 is none
REPLY = struct.Struct("<BBBxIIII")  # state, format, animated, size of the picture, size of the pixels
BAND = 1 << 20  # bytes of pixels that are made plain at a time, so that there is no second copy of a large picture
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)
_SMOOTH = ("RGB", "L", "CMYK")  # modes that can be scaled as they are


class _TooManyPixels(Exception):
    """The header says so; the arguments are width and height."""


def main(cpu_s: str, memory_mb: str, pixels: str) -> None:
    """Decodes until the other end of the socket closes.

    Args:
        cpu_s: seconds of CPU for one picture.
        memory_mb: megabytes of address space.
        pixels: the most that a picture may have.
    """
    _prepare(int(pixels))
    limit(int(memory_mb), 3 * int(pixels))
    serve(REQUEST, _reply, partial(_serve, most=int(pixels)), cpu_s=float(cpu_s))


def _prepare(pixels: int) -> None:
    """Imports all that decoding may want, and decodes once, because nothing can be imported later."""
    from PIL import (  # noqa: F401
        BmpImagePlugin,
        GifImagePlugin,
        Image,
        JpegImagePlugin,
        MpoImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    Image.preinit()
    Image.MAX_IMAGE_PIXELS = pixels
    for kind in FORMATS:
        file = io.BytesIO()
        Image.new("RGB", (2, 2)).save(file, kind)
        with Image.open(file, formats=FORMATS) as image:
            _animated(image)
            _turned(_shrunk(image, largest=1, square=0), _orientation(image)).tobytes()


def _serve(length: int, largest: int, square: int, *, most: int) -> None:
    try:
        _decode(os.pread(FILE, length, 0), most, largest=largest, square=square)
    except _TooManyPixels as error:
        _reply(TOO_LARGE, size=error.args)
    except MemoryError:
        _reply(NO_MEMORY)
    except Exception as error:  # what decoders raise on damaged files is not documented
        from PIL import Image

        bomb = isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning)
        _reply(TOO_LARGE if bomb else CUT_SHORT if "truncated" in str(error) else DAMAGED)


def _reply(
    state: int, kind: int = 0, *, animated: bool = False, size: tuple[int, ...] = (0, 0), pixels: Size = (0, 0)
) -> None:
    os.write(SOCKET, REPLY.pack(state, kind, animated, *size, *pixels))


def _decode(data: bytes, most: int, *, largest: int, square: int) -> None:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        size, kind = image.size, FORMATS.index("JPEG" if image.format == "MPO" else str(image.format))
        if size[0] * size[1] > most:
            raise _TooManyPixels(*size)
        animated, orientation = _animated(image), _orientation(image)
        pixels = _turned(_shrunk(image, largest=largest, square=square), orientation)
        _write(pixels)
        seen = size[::-1] if orientation in _SIDEWAYS else size
        _reply(DONE, kind, animated=animated, size=seen, pixels=pixels.size)


def _animated(image: "ImageFile.ImageFile") -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first frame may be damaged
        return False


def _orientation(image: "Image.Image") -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF is often damaged, and then says nothing
        return 1


def _shrunk(image: "ImageFile.ImageFile", *, largest: int, square: int) -> "Image.Image":
    """Loaded, and scaled if that is wished."""
    from PIL import Image

    target = (square, square) if square else _within(image.size, largest)
    if square or target != image.size:
        times = 2 if square else 1
        image.draft("RGB", (times * target[0], times * target[1]))  # a JPEG is decoded at a fraction of its size
        return _smooth(image).resize(target, Image.Resampling.BOX if square else Image.Resampling.BICUBIC)
    image.load()
    return image


def _within(size: Size, largest: int) -> Size:
    if not largest or max(size) <= largest:
        return size
    return max(1, round(size[0] * largest / max(size))), max(1, round(size[1] * largest / max(size)))


def _turned(image: "Image.Image", orientation: int) -> "Image.Image":
    """As it is meant to be seen."""
    from PIL import Image

    turns = Image.Transpose
    methods = {2: turns.FLIP_LEFT_RIGHT, 3: turns.ROTATE_180, 4: turns.FLIP_TOP_BOTTOM, 5: turns.TRANSPOSE,
               6: turns.ROTATE_270, 7: turns.TRANSVERSE, 8: turns.ROTATE_90}  # fmt: skip
    return image.transpose(methods[orientation]) if orientation in methods else image


def _smooth(image: "Image.Image") -> "Image.Image":
    """On white, in a mode that can be scaled."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits of grey: the high byte counts
        words = image if image.mode == "I;16" else image.convert("I;16")
        return Image.frombytes("L", image.size, words.tobytes("raw", "I;16")[1::2])
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(layer, mask=layer)
        return white
    return image if image.mode in _SMOOTH else image.convert("RGB")


def _write(image: "Image.Image") -> None:
    """Red, green and blue of each pixel into the file."""
    width, height = image.size
    rows, place = max(1, BAND // (3 * width)), 0
    for top in range(0, height, rows):
        band = _smooth(image.crop((0, top, width, min(height, top + rows)))).convert("RGB").tobytes()
        place = put(band, place)
