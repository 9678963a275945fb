"""How a model wants its pictures: `preprocessor_config.json` of Hugging Face."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.encoders.base import Floats

_BYTE = 1 / 255
_CUBIC = 3  # as Pillow numbers its filters


@dataclass(frozen=True)
class Preparation:
    """What becomes of a picture before a model sees it.

    Args:
        shortest: pixels that the shorter side is scaled to; 0 for scaling to `resized` whatever the shape.
        resized: height and width that a picture is scaled to when `shortest` is 0.
        high, wide: pixels that are cut out of the middle, and go in.
        filter: of the scaling, as Pillow numbers them.
        factor: that bytes are multiplied by.
        mean, std: of each colour after that.
    """

    shortest: int
    resized: tuple[int, int]
    high: int
    wide: int
    filter: int
    factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """From `preprocessor_config.json`.

        Raises:
            InputError: `unsupported-model`.
        """
        size, crop = config.get("size", 224), config.get("crop_size", 224)
        cropped = bool(config.get("do_center_crop", "crop_size" in config))
        if isinstance(size, int):  # files of before 2023: the shorter side if a middle is cut out, else both
            size = {"shortest_edge": size} if cropped else {"height": size, "width": size}
        if not config.get("do_resize", True) or not (
            {"shortest_edge"} <= set(size) or {"height", "width"} <= set(size)
        ):
            raise _unsupported("it does not say what size pictures are scaled to")
        resized = (0, 0) if "shortest_edge" in size else (size["height"], size["width"])
        if not cropped and "shortest_edge" in size:
            raise _unsupported("it takes pictures of any shape")
        crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
        high, wide = (crop["height"], crop["width"]) if cropped else resized
        factor = config.get("rescale_factor", _BYTE) if config.get("do_rescale", True) else 1.0
        mean, std = (0.0,) * 3, (1.0,) * 3
        if config.get("do_normalize", True):
            mean, std = tuple(config["image_mean"]), tuple(config["image_std"])
        shortest, chosen = int(size.get("shortest_edge", 0)), int(config.get("resample", _CUBIC))
        return cls(shortest, resized, high, wide, chosen, factor, mean, std)

    def scale_and_shift(self) -> tuple[Floats, Floats]:
        """a and b of each colour, float32 [3]: a model sees a · byte + b."""
        mean, std = np.array(self.mean), np.array(self.std)
        return (self.factor / std).astype(np.float32), (-mean / std).astype(np.float32)

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Scaled and cut, uint8 [H, W, 3] → uint8 [high, wide, 3]; where a picture is too small, black is added."""
        from PIL import Image

        high, wide = self._scaled(*pixels.shape[:2])
        small = Image.fromarray(pixels).resize((wide, high), Image.Resampling(self.filter))
        # halves of odd margins go where Hugging Face puts them
        top, left = (high - self.high) // 2, (wide - self.wide) // 2
        if high < self.high or wide < self.wide:
            top, left = -((self.high - high + 1) // 2), -((self.wide - wide + 1) // 2)
        return np.asarray(small.crop((left, top, left + self.wide, top + self.high)), np.uint8)

    def _scaled(self, high: int, wide: int) -> tuple[int, int]:
        if not self.shortest:
            return self.resized
        if high <= wide:
            return self.shortest, int(self.shortest * wide / high)
        return int(self.shortest * high / wide), self.shortest


def _unsupported(what: str) -> InputError:
    return InputError(Problem("unsupported-model", what, "preprocessor_config.json", fix="use another model"))
