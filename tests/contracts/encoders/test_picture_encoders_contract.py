"""What every encoder does, for those of pictures: trained here, and well-known ones with tiny random weights."""

import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from test_encoders_contract import EncoderContract, picture

from winnow.encoders import towers
from winnow.encoders.base import Encode, Encoder
from winnow.encoders.trained import TrainedPictures
from winnow.models.base import Run
from winnow.models.picture_looks import Looks
from winnow.models.picture_metric import MetricPictures
from winnow.models.picture_retrieval import Pictures

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "encoders"))
import picture_models as tiny


def pictures(side: int) -> Pictures:
    pixels = np.random.default_rng(0).integers(0, 256, (16, side, side, 3), np.uint8)
    return Pictures(np.arange(16), pixels, np.arange(16) % 2, np.zeros((0, 2), np.int64))


class PictureContract(EncoderContract):
    inputs: ClassVar[list[Any]] = [picture(1), picture(2), picture(3, (1, 1)), picture(4, (300, 2))]

    def test_what_is_no_image_has_no_vector(self, both: tuple[Encoder, Encode]) -> None:
        vectors = both[1]([b"", b"<svg/>", self.inputs[0], self.inputs[1][:100]])
        assert np.isnan(vectors).all(axis=1).tolist() == [True, True, False, True]

    def test_it_reads_images(self, both: tuple[Encoder, Encode]) -> None:
        assert both[0].of == "image"


class TestTrainedPictures(PictureContract):
    settings: ClassVar[dict[str, Any]] = {}
    cut: ClassVar[int] = 0

    def encoder(self, folder: Path) -> Encoder:
        folder.mkdir()
        declared = MetricPictures(side=32, widths=(16, 16), sizes=(8, 16), epochs=1, **self.settings)
        declared.fit(pictures(32), pictures(32), Run(folder, threads=1))
        return TrainedPictures(path=str(folder), cut=self.cut)


class TestTrainedPicturesCut(TestTrainedPictures):
    cut = 8


class TestTrainedLooks(PictureContract):
    def encoder(self, folder: Path) -> Encoder:
        folder.mkdir()
        Looks(side=32).fit(pictures(32), pictures(32), Run(folder))
        return TrainedPictures(path=str(folder))


class TowerContract(PictureContract):
    kind: ClassVar[str]

    def encoder(self, folder: Path) -> Encoder:
        return getattr(towers, self.kind)(weights=str(tiny.write(self.kind, folder)), size=tiny.SIZES[self.kind])  # type: ignore[no-any-return]


class TestClip(TowerContract):
    kind = "Clip"


class TestSigLip(TowerContract):
    kind = "SigLip"


class TestDinoV2(TowerContract):
    kind = "DinoV2"


def test_every_picture_encoder_is_under_contract() -> None:
    ours = {n for n, k in Encoder.known().items() if k.__module__.startswith("winnow.") and k.of == "image"}
    assert ours - {"_Tower"} == {"ColourGrid", "TrainedPictures", "Clip", "SigLip", "DinoV2"}
