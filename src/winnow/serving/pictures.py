"""Items that are pictures: their files, and the vector space that a picture encoder spans."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Floats, Ints, Mask
from winnow.core.errors import InputError, NotFound, Problem, Unavailable
from winnow.features.state import State
from winnow.models.picture_retrieval import PictureEncode, load_picture_encoder
from winnow.retrieval.checks import check_encoder
from winnow.retrieval.kinds import open_index
from winnow.serving.gallery import Gallery
from winnow.serving.query import Query
from winnow.serving.tail import Tail
from winnow.serving.vectors import VectorSpace

if TYPE_CHECKING:
    from winnow.serving.kit import Kit

Pixels = NDArray[np.uint8]


class PictureFiles:
    """The pictures of a table's rows.

    Args:
        tail: knows the file of every row.
        gallery: holds the files.
    """

    def __init__(self, tail: Tail, gallery: Gallery):
        self._tail, self.gallery = tail, gallery

    def file(self, row: int) -> str:
        """The file of a row's picture, relative to the media folder.

        Raises:
            NotFound: `no-picture`.
        """
        if row not in self._tail.texts:
            raise NotFound(Problem("no-picture", "this row has no picture", fix="upload one"))
        return self._tail.texts[row]

    def squares(self, rows: Ints, side: int) -> tuple[Pixels, Mask]:
        """Pictures scaled to squares, uint8 [n, side, side, 3], and which of them could be read, bool [n]."""
        pixels, good = np.zeros((len(rows), side, side, 3), np.uint8), np.zeros(len(rows), bool)
        for place, row in enumerate(rows.tolist()):
            try:
                pixels[place] = self.gallery.square(self.file(row), side)
                good[place] = True
            except (InputError, NotFound):
                continue  # a picture that cannot be read is in no index; the release is not at fault
        return pixels, good


class Seen:
    """Sides made of pictures: one encoder for what is asked for and for the items.

    Args:
        encoder: of pictures.
        files: of the items.
    """

    def __init__(self, encoder: PictureEncode, files: PictureFiles):
        self._encoder, self._files = encoder, files

    def query(self, query: Query, kit: "Kit") -> Floats | None:
        return query.vector

    def look(self, picture: Pixels) -> Floats:
        return self._encoder.encode(self._files.gallery.squared(picture, self._encoder.side)[None])

    def frames(self, rows: Ints, query: Query, kit: "Kit") -> Floats | None:
        return None

    def items(self, rows: Ints, state: State, at: int) -> Floats:
        pixels, good = self._files.squares(rows, self._encoder.side)
        vectors = np.full((len(rows), self._encoder.size), np.nan, np.float32)
        vectors[good] = self._encoder.encode(pixels[good])
        return vectors


def open_pictures(retriever: Path, index: Path, *, encoder: str, seq: int, files: PictureFiles | None) -> VectorSpace:
    """The vector space of a release whose retriever looks at pictures, from its folders.

    Args:
        retriever: the fitted model.
        index: the index made with it.
        encoder: version of the encoder that the release was made with.
        seq: place in the log up to which the index holds what tables say.
        files: the pictures of the items.

    Raises:
        Conflict: `encoder-differs` when the index was made by another encoder.
        Unavailable: `index-unreadable`, `no-media`.
    """
    if files is None:
        what = "this system searches pictures, and whoever serves it gave no media folder"
        raise Unavailable(Problem("no-media", what, fix="serve it through a project"))
    opened = load_picture_encoder(retriever)
    check_encoder(opened.version, encoder)
    opened.encode(np.full((1, opened.side, opened.side, 3), 128, np.uint8))  # the first use is slow
    return VectorSpace(open_index(index, encoder=encoder), encoder=encoder, sides=Seen(opened, files), seq=seq)
