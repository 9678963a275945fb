"""Files of pictures for the tests, made here."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def natural(height, width, seed=0):
    """Noise of which frequency f has the share 1 / f, as photographs have it: uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    radius = np.hypot(down, across)
    radius[0, 0] = 1
    layers = [np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) / radius**1.2, s=(height, width))
              for _ in range(2)]  # fmt: skip
    shared, own = (40 * layer / layer.std() for layer in layers)
    return np.clip(np.stack([shared + 128, shared + 0.3 * own + 120, shared - 0.3 * own + 136], 2), 0, 255).astype(
        np.uint8
    )


def quarters(size=(40, 24)):
    """Red, green, blue and white, so that every turn shows."""
    width, height = size
    image = Image.new("RGB", size, "white")
    image.paste("red", (0, 0, width // 2, height // 2))
    image.paste("lime", (width // 2, 0, width, height // 2))
    image.paste("blue", (0, height // 2, width // 2, height))
    return image


def png(width, height, *, depth=8, colour=2, rows=b"\0", chunks=()):
    """A PNG from its parts; its body need not be what its header says."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    others = b"".join(chunk(*part) for part in chunks)
    return b"\x89PNG\r\n\x1a\n" + head + others + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def zeros_png(width, height, *, colour=2):
    """A PNG in which every byte is 0, a thousandth of the size of its pixels."""
    each = {0: 1, 2: 3, 6: 4}[colour]
    return png(width, height, colour=colour, rows=bytes(height * (1 + each * width)))
