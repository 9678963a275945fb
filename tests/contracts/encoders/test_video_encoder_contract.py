"""The encoder of videos does what every encoder does; its vectors are those of several frames."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from test_encoders_contract import EncoderContract

from winnow.encoders.base import Encode, Encoder
from winnow.encoders.video import Frames
from winnow.media.video import Video
from winnow.media.video_reel import pack


def reel(seed: int, count: int) -> bytes:
    frames = np.random.default_rng(seed).integers(0, 256, (count, 24, 32, 3), np.uint8)
    return pack(Video(frames, np.arange(count, dtype=np.float64), "MP4", 32, 24, 3.0, 1.0, 0, True))


class TestFrames(EncoderContract):
    inputs: ClassVar[list[Any]] = [reel(1, 1), reel(2, 2), reel(3, 9)]

    def encoder(self, folder: Path) -> Encoder:
        return Frames(frames=3)

    def test_vectors_have_its_size_and_length_one(self, both: tuple[Encoder, Encode]) -> None:
        encoder, encode = both
        vectors = encode(self.inputs)
        assert vectors.shape == (3, encoder.size)
        lengths = np.linalg.norm(vectors.reshape(3, 3, -1), axis=2)
        np.testing.assert_allclose(lengths, [[1, 0, 0], [1, 1, 0], [1, 1, 1]], atol=1e-5)

    def test_what_is_no_reel_has_no_vector(self, both: tuple[Encoder, Encode]) -> None:
        vectors = both[1]([b"", b"nothing", self.inputs[0]])
        assert np.isnan(vectors).all(axis=1).tolist() == [True, True, False]


def test_it_is_of_videos() -> None:
    assert (Frames.of, Frames.kept) == ("video", "<f2")
    with pytest.raises(TypeError):
        Frames(3)  # type: ignore[misc]
