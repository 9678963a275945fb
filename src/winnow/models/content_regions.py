"""Which parts of a picture carried a decision: boxes are painted over, one after another, and the model is asked again.

Works with every model: it looks at probabilities alone.
"""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError
from winnow.encoders.base import Encode
from winnow.encoders.pictures import decoded
from winnow.models.content import Calibrated, Content, ContentScorer

GRID = 6  # fields along a side
_BOX = 2  # fields along a side of what is painted over
_SIDE = 224  # pixels of the pictures that are encoded
_SHARE = 0.5  # of the largest fall: fields below it belong to no region
_MOST = 3  # regions of a head

Values = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Fields = NDArray[np.bool_]


class Region(NamedTuple):
    """A box of a picture that spoke for a head.

    Args:
        x0, y0, x1, y1: left, top, right and bottom, as shares of width and height.
        weight: by how much the log-odds fall without it.
        head: for what.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    weight: float
    head: str


def regions(
    scorer: ContentScorer, content: Content, pictures: Sequence[bytes | None], encode: Encode, *, least: float = 0.5
) -> list[list[Region]]:
    """For each post the boxes of its picture that speak for its heads of probability `least` or more, heaviest first.

    Every box of 2 x 2 fields of a grid is painted over in the mean colour of the picture, all of them are encoded at
    once, and a field weighs what the boxes over it cost on average. Neighbouring fields with a good share of the
    largest weight make a region, whose own weight is then measured in the same way.

    Args:
        scorer: a fitted model.
        content: N posts, with vectors of their pictures.
        pictures: the files, N; None where a post has none.
        encode: made the vectors.
        least: probability from which a head is explained.

    Source: Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014.
    """
    scores = scorer.score(content)
    # Calibrated probabilities of sure posts all lie at the end of their curve: nothing would be seen to fall.
    raw = scorer.scorer if isinstance(scorer, Calibrated) else scorer
    out: list[list[Region]] = [[] for _ in range(len(content))]
    for row, data in enumerate(pictures):
        columns = np.flatnonzero(scores[row] >= least)
        pixels = _pixels(data) if len(columns) else None
        if pixels is not None:
            asked = _Asked(raw, content.take(np.array([row])), pixels, encode)
            out[row] = sorted(asked.found(columns), key=lambda region: -region.weight)
    return out


class _Asked:
    """One post, asked again and again with parts of its picture painted over."""

    def __init__(self, scorer: ContentScorer, post: Content, pixels: Pixels, encode: Encode) -> None:
        self._scorer, self._post, self._pixels, self._encode = scorer, post, pixels, encode
        # The whole picture goes the same way as its copies, so that nothing but the paint tells them apart.
        self._whole = self._log_odds([np.zeros((GRID, GRID), np.bool_)])

    def found(self, columns: NDArray[np.int64]) -> list[Region]:
        covers = _covers()
        falls = self._falls(covers)
        depth = np.sum(covers, axis=0)
        chosen = [
            (int(column), box)
            for column in columns
            for box in _boxes(np.tensordot(falls[:, column], covers, 1) / depth)
        ]
        measured = self._falls([_within(box) for _, box in chosen]) if chosen else np.zeros((0, 0))
        return [
            Region(x0 / GRID, y0 / GRID, x1 / GRID, y1 / GRID, float(fall[column]), self._scorer.heads[column])
            for (column, (x0, y0, x1, y1)), fall in zip(chosen, measured, strict=True)
            if fall[column] > 0
        ]

    def _falls(self, painted: Sequence[Fields]) -> Values:
        """By how much each head's log-odds fall, [P, H]."""
        return self._whole - self._log_odds(painted)

    def _log_odds(self, painted: Sequence[Fields]) -> Values:
        vectors = self._encode([_file(_painted(self._pixels, fields)) for fields in painted])
        again = self._post.take(np.zeros(len(painted), np.int64))
        posts = Content(again.texts, again.sentences, vectors, again.facts)
        posts.__dict__["normal"] = again.normal
        p = np.clip(self._scorer.score(posts).astype(np.float64), 1e-6, 1 - 1e-6)
        odds: Values = np.log(p) - np.log1p(-p)
        return odds


def _covers() -> list[Fields]:
    """All boxes of neighbouring fields."""
    last = GRID - _BOX + 1
    return [_within((x, y, x + _BOX, y + _BOX)) for y in range(last) for x in range(last)]


def _within(box: tuple[int, int, int, int]) -> Fields:
    fields = np.zeros((GRID, GRID), np.bool_)
    fields[box[1] : box[3], box[0] : box[2]] = True
    return fields


def _boxes(weights: Values) -> list[tuple[int, int, int, int]]:
    """Boxes around fields that touch each other and weigh a good share of the heaviest: x0, y0, x1, y1 in fields."""
    top = float(weights.max())
    left = weights >= _SHARE * top if top > 0 else np.zeros_like(weights, np.bool_)
    found: list[tuple[float, tuple[int, int, int, int]]] = []
    while left.any():
        group = _touching(left)
        left = left & ~group
        ys, xs = np.nonzero(group)
        box = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
        found.append((float(weights[group].sum()), box))
    return [box for _, box in sorted(found, reverse=True)[:_MOST]]


def _touching(fields: Fields) -> Fields:
    """The first field that is set, and all that are joined to it."""
    group = np.zeros_like(fields)
    group.flat[int(fields.argmax())] = True
    while True:
        wider = group.copy()
        for axis in (0, 1):
            for by in (-1, 1):
                moved = np.roll(group, by, axis)
                edge = 0 if by == 1 else -1
                moved[(edge, slice(None)) if axis == 0 else (slice(None), edge)] = False
                wider |= moved
        wider &= fields
        if (wider == group).all():
            return group
        group = wider


def _pixels(data: bytes | None) -> Pixels | None:
    """None for no picture, and for one that cannot be read."""
    try:
        return decoded(data, side=_SIDE) if data else None
    except InputError:
        return None


def _painted(pixels: Pixels, fields: Fields) -> Pixels:
    """Fields in the mean colour of the picture."""
    side = np.minimum(np.arange(len(pixels)) * GRID // len(pixels), GRID - 1)
    mask = fields[np.ix_(side, side)]
    return np.where(mask[:, :, None], pixels.mean(axis=(0, 1)).astype(np.uint8), pixels)


def _file(pixels: Pixels) -> bytes:
    """As an encoder takes it; without compression, for speed."""
    from PIL import Image

    beside = io.BytesIO()
    Image.fromarray(pixels).save(beside, "BMP")
    return beside.getvalue()
