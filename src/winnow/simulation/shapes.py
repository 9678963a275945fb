"""Pictures of shapes: small drawn scenes of a few kinds, for trying a search by picture without any data at hand."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KINDS = ("disc", "ring", "square", "cross", "stripes", "dots")
SIDE = 96  # pixels


def picture(kind: str, seed: int, *, side: int = SIDE) -> NDArray[np.uint8]:
    """One scene, uint8 [side, side, 3]: its kind is the shape; colours, place, size and grain are by chance.

    >>> picture("disc", 1).shape
    (96, 96, 3)
    """
    rng = np.random.default_rng([KINDS.index(kind), seed])
    colours = rng.integers(0, 256, (2, 3)).astype(float)
    while np.abs(colours[0] - colours[1]).sum() < 240:  # a shape can be told from its ground
        colours = rng.integers(0, 256, (2, 3)).astype(float)
    x, y = np.meshgrid(*[np.linspace(-1, 1, side)] * 2)
    middle, size = rng.uniform(-0.3, 0.3, 2), rng.uniform(0.35, 0.6)
    inside = _inside(kind, (x - middle[0]) / size, (y - middle[1]) / size)[..., None]
    pixels = np.where(inside, colours[0], colours[1]) + rng.normal(0, 8, (side, side, 3))
    scene: NDArray[np.uint8] = np.clip(pixels, 0, 255).astype(np.uint8)
    return scene


def _inside(kind: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    far, square = np.hypot(x, y), np.maximum(np.abs(x), np.abs(y)) < 1
    shapes: dict[str, NDArray[np.bool_]] = {
        "disc": far < 1,
        "ring": (far < 1) & (far > 0.6),
        "square": square,
        "cross": square & (np.minimum(np.abs(x), np.abs(y)) < 0.3),
        "stripes": square & (np.floor(x * 4) % 2 == 0),
        "dots": square & (np.hypot(x * 3 % 2 - 1, y * 3 % 2 - 1) < 0.7),
    }
    return shapes[kind]


def encoded(pixels: NDArray[np.uint8], form: str = "PNG") -> bytes:
    """Pixels as a file."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def drawn(each: int) -> Iterator[tuple[str, str, bytes]]:
    """Kind, name and file of every picture of a small collection.

    Args:
        each: pictures of each kind.
    """
    for kind in KINDS:
        for seed in range(each):
            yield kind, f"{kind}-{seed:03d}", encoded(picture(kind, seed))


def write(folder: Path, each: int) -> None:
    """The collection as a folder with one subfolder for each kind."""
    for kind, name, data in drawn(each):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / f"{name}.png").write_bytes(data)
