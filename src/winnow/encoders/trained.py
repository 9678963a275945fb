"""Encoders of pictures that were trained here: the artefact of a picture retriever, run with onnxruntime.

An artefact is a folder: `meta.json` says `size` D, `side` S, `bits`, `encoder` and the SHA-256 of each file;
`pictures.onnx` is the graph from uint8 [n, S, S, 3] to float32 [n, D], unless the encoder needs none.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem, Unavailable
from winnow.encoders.base import Encode, Encoder, Floats, Media, normalised
from winnow.encoders.looks import looks
from winnow.encoders.weights import checksum
from winnow.media.decode import Decoder

META, GRAPH = "meta.json", "pictures.onnx"
LOOKS, NETWORK = "looks", "network"  # kinds of encoder
Pixels = NDArray[np.uint8]
Raw = Callable[[Pixels], Floats]


@dataclass(frozen=True)
class PictureEncode:
    """A fitted encoder of pixels.

    Args:
        version: 12 hex digits that pin all that its vectors depend on; that of `TrainedPictures` on the same folder.
        size: D.
        side: S.
        raw: uint8 [n, S, S, 3] → float32 [n, at least D], of any length.
        bits: whether each number of a vector is a bit: only its sign counts.
    """

    version: str
    size: int
    side: int
    raw: Raw
    bits: bool = False

    def encode(self, pixels: Pixels) -> Floats:
        """Vectors of length 1, float32 [n, D], of pictures uint8 [n, S, S, 3].

        Raises:
            InputError: `wrong-pictures`.
        """
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (self.side, self.side, 3):
            what = f"{pixels.dtype} {pixels.shape} instead of uint8 [n, {self.side}, {self.side}, 3]"
            raise InputError(Problem("wrong-pictures", what, fix="scale them to the side of the encoder"))
        if not len(pixels):
            return np.zeros((0, self.size), np.float32)
        # one at a time: a batch would be no faster on one core, and a vector must not depend on its neighbours
        vectors = np.concatenate([self.raw(pixels[i : i + 1])[:, : self.size] for i in range(len(pixels))])
        return normalised(np.where(vectors > 0, 1.0, -1.0) if self.bits else vectors)

    def codes(self, pixels: Pixels) -> Pixels:
        """The signs as bits, uint8 [n, ⌈D / 8⌉]: with `bits`, the order by Hamming distance is that by cosine."""
        return np.packbits(self.encode(pixels) > 0, axis=1)


@dataclass(frozen=True, kw_only=True)
class TrainedPictures(Encoder):
    """Vectors by a picture retriever that was fitted here.

    Args:
        path: the folder that the fit left.
        cut: numbers of a vector that are kept, for encoders trained so that they can be cut; 0 for all.
    """

    of: ClassVar[Media] = "image"
    path: str
    cut: int = 0

    @property
    def size(self) -> int:
        return self.cut or int(self._meta()["size"])

    def files(self) -> dict[str, str]:
        return {name: checksum(self._found(name)) for name in (META, *self._meta()["files"])}

    def settings(self) -> dict[str, Any]:
        return {"size": self.size}

    def open(self, folder: Path) -> Encode:
        encode, decoder = self.pixels(threads=1), Decoder()
        return lambda images: _of_files(images, encode, decoder)

    def pixels(self, *, threads: int = 1) -> PictureEncode:
        """The encoder for pictures that are decoded already.

        Raises:
            Unavailable: `encoder-files-missing`.
            InputError: `checksum-differs`, `wrong-size`.
        """
        meta, files = self._meta(), self.files()
        for name, fact in meta["files"].items():
            if files[name] != fact["sha256"]:
                raise InputError(Problem("checksum-differs", f"`{name}` is not as it was made", fix="train again"))
        if not 0 <= self.cut <= meta["size"]:
            raise InputError(Problem("wrong-size", f"vectors of {meta['size']} cannot be cut to {self.cut}"))
        raw = looks if meta["encoder"] == LOOKS else _session(self._found(GRAPH), threads)
        return PictureEncode(self.version, self.size, meta["side"], raw, bits=meta["bits"])

    def _meta(self) -> dict[str, Any]:
        try:
            meta: dict[str, Any] = json.loads(self._found(META).read_bytes())
        except ValueError as error:
            raise Unavailable(Problem("encoder-files-missing", f"`{META}` is damaged", fix="train again")) from error
        if "encoder" not in meta:
            raise Unavailable(Problem("encoder-files-missing", "the folder holds another kind of model", self.path))
        return meta

    def _found(self, name: str) -> Path:
        path = Path(self.path) / name
        if not path.is_file():
            what, fix = f"there is no `{name}`", "give the folder of a fitted picture retriever"
            raise Unavailable(Problem("encoder-files-missing", what, self.path, fix=fix))
        return path


def _of_files(images: Sequence[bytes], encode: PictureEncode, decoder: Decoder) -> Floats:
    """Vectors of image files; a row is NaN where an image cannot be read."""
    vectors = np.full((len(images), encode.size), np.nan, np.float32)
    for row, data in enumerate(images):
        try:
            pixels = decoder.decode(data, square=encode.side).pixels
        except InputError:
            continue
        vectors[row] = encode.encode(pixels[None])[0]
    return vectors


def _session(graph: Path, threads: int) -> Raw:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": np.ascontiguousarray(pixels)})[0]
