"""L0 of picture retrieval: what a picture looks like from afar, with nothing to fit."""

from dataclasses import dataclass

from winnow.encoders.looks import SIZE
from winnow.encoders.trained import LOOKS
from winnow.models.base import Run
from winnow.models.picture_retrieval import PictureRetriever, Pictures, examples, record


@dataclass(frozen=True, kw_only=True)
class Looks(PictureRetriever):
    """A perceptual hash and a histogram of colours side by side; both count the same.

    The hash is 64 signs: which of the lowest 8 x 8 frequencies of the grey picture lie above their median. The
    histogram holds the square roots of the shares of 12 x 3 x 3 colours.

    Source: Zauner, Implementation and benchmarking of perceptual image hash functions, 2010; Swain and Ballard,
    Color indexing, IJCV 1991.
    """

    def fit(self, train: Pictures, valid: Pictures, run: Run) -> None:
        examples(train, valid, self.side)
        record(self, run, size=SIZE, files=[], encoder=LOOKS, bits=False)
