"""Image vectors by well-known models, for those who have their weights: CLIP, SigLIP and DINOv2."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from winnow.core.errors import InputError, Problem
from winnow.encoders import vit
from winnow.encoders.base import Encode, Encoder, Floats, Media, made_once, normalised, not_installed
from winnow.encoders.bert import weights_of
from winnow.encoders.picture_input import Preparation
from winnow.encoders.picture_place import CONFIG, PREPARATION, WEIGHTS, PicturePlace
from winnow.encoders.transformer import Precision
from winnow.media.decode import Decoder

GRAPH = "model.onnx"
LONGEST_SIDE = 1024  # pixels that larger pictures are scaled down to first
_NEEDED = {"onnx": "text", "safetensors": "text", "PIL": "images"}  # package → extra


@dataclass(frozen=True, kw_only=True)
class _Tower(Encoder):
    """The image side of a model. Its weights become an ONNX file once; serving needs onnxruntime and Pillow."""

    of: ClassVar[Media] = "image"
    family: ClassVar[vit.Family]
    weights: str
    size: int
    precision: Precision = "fp32"
    sha256: str = ""

    @property
    def _place(self) -> PicturePlace:
        return PicturePlace(self.weights, self.sha256)

    def files(self) -> dict[str, str]:
        return self._place.checksums()

    def settings(self) -> dict[str, Any]:
        return {"size": self.size, "precision": self.precision}

    def open(self, folder: Path) -> Encode:
        for package, extra in _NEEDED.items():
            if find_spec(package) is None:
                raise not_installed(package.replace("PIL", "pillow"), extra)
        made = made_once(folder, lambda: self._opened(folder), lambda: self._make(folder))
        return made or _Pictures(folder, self.size)

    def _opened(self, folder: Path) -> "_Pictures | None":
        """None when the files are not there, or are damaged: what their readers raise then is not documented."""
        if (folder / GRAPH).exists():
            with suppress(Exception):
                return _Pictures(folder, self.size)
        return None

    def _make(self, folder: Path) -> None:
        """How to prepare pictures, and the ONNX file, which appears last, whole."""
        with self._place.files() as source:
            config = vit.settings(json.loads((source / CONFIG).read_text()), self.family)
            prepared = (source / PREPARATION).read_text()
            preparation = Preparation.of(json.loads(prepared))
            weights = weights_of(source / WEIGHTS)
            made = vit.graph(config, weights, family=self.family, preparation=preparation, precision=self.precision)
        (folder / PREPARATION).write_text(prepared)
        beside = folder / "model.new"
        beside.write_bytes(made)
        _Pictures(folder, self.size, beside.name)  # raises when the size is another
        beside.rename(folder / GRAPH)


@dataclass(frozen=True, kw_only=True)
class Clip(_Tower):
    """CLIP's image encoder: `openai/clip-vit-base-patch32` and its larger and smaller relatives.

    Args:
        weights: a folder with `config.json`, `preprocessor_config.json` and `model.safetensors`, a .zip archive of
            one or its https address, or the name of a model that the local cache of the hub holds.
        size: length of the vectors: the `projection_dim` of the model.
        precision: `fp32`, or `int8` for linear layers in whole numbers.
        sha256: of the archive, or of `model.safetensors`; needed for an address.

    Source: Radford et al., Learning transferable visual models from natural language supervision, ICML 2021.
    """

    family: ClassVar[vit.Family] = vit.CLIP
    size: int = 512


@dataclass(frozen=True, kw_only=True)
class SigLip(_Tower):
    """SigLIP's image encoder: `google/siglip-base-patch16-224` and relatives of one resolution, SigLIP 2 among them.

    Args:
        weights, precision, sha256: as for `Clip`.
        size: length of the vectors: the `hidden_size` of the model.

    Source: Zhai et al., Sigmoid loss for language image pre-training, ICCV 2023.
    """

    family: ClassVar[vit.Family] = vit.SIGLIP
    size: int = 768


@dataclass(frozen=True, kw_only=True)
class DinoV2(_Tower):
    """DINOv2: `facebook/dinov2-small`, base and large, learned from pictures without texts.

    Args:
        weights, precision, sha256: as for `Clip`.
        size: length of the vectors: the `hidden_size` of the model.

    Source: Oquab et al., DINOv2: Learning robust visual features without supervision, TMLR 2024.
    """

    family: ClassVar[vit.Family] = vit.DINO
    size: int = 384


class _Pictures:
    """An open encoder."""

    def __init__(self, folder: Path, size: int, graph: str = GRAPH):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(folder / graph), options, providers=providers)
        self._preparation = Preparation.of(json.loads((folder / PREPARATION).read_text()))
        self._size, self._decoder = size, Decoder()
        found = self._session.get_outputs()[0].shape[1]
        if found != size:
            what = f"the model gives vectors of {found}, not {size}"
            raise InputError(Problem("unsupported-model", what, CONFIG, fix="give size=..."))

    def __call__(self, images: Sequence[bytes]) -> Floats:
        vectors = np.full((len(images), self._size), np.nan, np.float32)
        for row, data in enumerate(images):
            try:
                pixels = self._decoder.decode(data, largest=LONGEST_SIDE).pixels
            except InputError:
                continue  # the row stays NaN
            prepared = self._preparation.apply(pixels)
            vectors[row] = normalised(self._session.run(None, {"pixels": prepared[None]})[0])[0]
        return vectors
