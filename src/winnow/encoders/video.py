"""Videos as the vectors of some of their frames, by any encoder of images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from winnow.core.errors import InputError
from winnow.encoders.base import Encode, Encoder, Floats, Media
from winnow.encoders.colours import ColourGrid
from winnow.media.video_reel import Reel, chosen


@dataclass(frozen=True, kw_only=True)
class Frames(Encoder):
    """The vectors of evenly spread frames, one after the other; zeros where a video has fewer.

    They are kept as float16: a model pools them, and the moment that suits a text best is found among them.

    Args:
        pictures: turns each frame into a vector.
        frames: how many, at most.
    """

    of: ClassVar[Media] = "video"
    kept: ClassVar[Literal["<f4", "<f2"]] = "<f2"
    pictures: Encoder = ColourGrid()  # noqa: RUF009 (frozen)
    frames: int = 8

    @property
    def size(self) -> int:
        return self.frames * self.pictures.size

    def files(self) -> dict[str, str]:
        return self.pictures.files()

    def settings(self) -> dict[str, Any]:
        return {"frames": self.frames, "pictures": self.pictures.identity}

    def open(self, folder: Path) -> Encode:
        place = folder / "pictures"
        place.mkdir(parents=True, exist_ok=True)
        encode = self.pictures.open(place)

        def encoded(reels: Sequence[bytes]) -> Floats:
            found = [self._vectors(encode, reel) for reel in reels]
            return np.stack(found) if found else np.empty((0, self.size), np.float32)

        return encoded

    def _vectors(self, encode: Encode, data: bytes) -> Floats:
        """Of one video, float32 [size]; NaN where it cannot be read."""
        vectors = np.zeros((self.frames, self.pictures.size), np.float32)
        try:
            reel = Reel.open(data)
            places = chosen(reel, self.frames)
            found = encode([reel.frame(place) for place in places])
        except InputError:
            return _nothing(self.size)
        if np.isnan(found).any(axis=1).all():
            return _nothing(self.size)
        vectors[: len(places)] = np.nan_to_num(found)
        return vectors.reshape(-1)


def _nothing(size: int) -> Floats:
    return np.full(size, np.nan, np.float32)
