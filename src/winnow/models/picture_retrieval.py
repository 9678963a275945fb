"""What a picture retriever is: pictures in, an encoder of pictures out that needs neither torch nor labels to serve.

N pictures of S x S pixels, P pairs, vectors of size D.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem
from winnow.encoders.trained import GRAPH, PictureEncode, TrainedPictures
from winnow.models.artefact import Artefact
from winnow.models.base import Run, guarded

__all__ = ["GRAPH", "PictureEncode", "PictureRetriever", "Pictures", "load_picture_encoder"]

Pixels = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pictures:
    """Pictures to learn from.

    Args:
        rows: their row numbers, int64 [N].
        pixels: square and upright, uint8 [N, S, S, 3].
        groups: which of them show the same thing (a class, a tag, a product), int64 [N]; -1 where unknown.
        pairs: positions of pictures that people found alike, such as a query and the answer they clicked on,
            int64 [P, 2]; empty without any.
    """

    rows: Ints
    pixels: Pixels
    groups: Ints
    pairs: Ints

    def __post_init__(self) -> None:
        n, shape = len(self.rows), self.pixels.shape
        square = len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3 and self.pixels.dtype == np.uint8
        if not square or shape[0] != n or self.groups.shape != (n,):
            raise wrong_pictures(f"pixels {self.pixels.dtype} {shape}, groups {self.groups.shape}, rows {n}")
        if len(self.pairs) and (self.pairs.shape[1:] != (2,) or self.pairs.min() < 0 or self.pairs.max() >= n):
            raise wrong_pictures(f"pairs {self.pairs.shape} that do not lie within the {n} pictures")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def side(self) -> int:
        """Pixels along a side."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True, kw_only=True)
class PictureRetriever(Declared):
    """A model that puts pictures into one space, where near means alike.

    Args:
        side: pixels along a side of what it looks at.
    """

    side: int = 64

    def fit(self, train: Pictures, valid: Pictures, run: Run) -> None:
        """Learn from `train`, stop by `valid` (may be empty: the last weights stay), leave an artefact in `run.folder`.

        Raises:
            InputError: `no-examples`, `wrong-pictures`.
        """
        raise NotImplementedError


def load_picture_encoder(folder: Path, *, threads: int = 1, size: int = 0) -> PictureEncode:
    """A fitted picture encoder from its folder.

    Args:
        folder: where `fit` left it.
        threads: how many to use.
        size: of the vectors, for encoders trained to be cut (Matryoshka); 0 for the whole.

    Raises:
        InputError: `model-corrupt` naming the file; `wrong-model` when it is no picture retriever; `wrong-size`.
    """
    artefact = Artefact.open(folder)
    if "encoder" not in artefact.meta:
        what, fix = f"`{artefact.fact('model')}` in {folder.name} is no picture retriever", "give the folder of one"
        raise InputError(Problem("wrong-model", what, str(folder), fix=fix))
    return guarded(folder, lambda: TrainedPictures(path=str(folder), cut=size).pixels(threads=threads))


def examples(train: Pictures, valid: Pictures, side: int) -> None:
    """Checks what is to be learned from.

    Raises:
        InputError: `no-examples`, `wrong-pictures`.
    """
    if not len(train):
        raise InputError(Problem("no-examples", "there are no pictures to learn from", fix="import some first"))
    for pictures in (train, valid) if len(valid) else (train,):
        if pictures.side != side:
            raise wrong_pictures(f"{pictures.side} pixels along a side instead of {side}")


def wrong_pictures(detail: str) -> InputError:
    """The error for arrays that are not the pictures that a model takes."""
    return InputError(Problem("wrong-pictures", detail, fix="give uint8 [N, S, S, 3] of the side of the model"))


def record(declared: PictureRetriever, run: Run, *, size: int, files: list[str], encoder: str, bits: bool) -> None:
    """List the files of a fitted encoder, as `TrainedPictures` reads them."""
    facts = {"size": size, "side": declared.side, "encoder": encoder, "bits": bits, "declared": declared.to_data()}
    Artefact.write(run.folder, model=type(declared).__name__, files=files, **facts)
