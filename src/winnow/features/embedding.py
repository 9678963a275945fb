"""Features of texts and images: their vectors as numbers, and how near two of them are.

Cosines are worked out on whole numbers (each component in 1/4000), whose sums of products are exact in float32 in any
order: history and live agree to the bit, whatever the batch. The rounding moves a cosine by about 0.0001.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import walk
from winnow.core.errors import Problem, WinnowError
from winnow.data.schema import Path, Table
from winnow.encoders.base import Encoder, Progress, silent
from winnow.encoders.encodings import Encoded, Encodings
from winnow.encoders.words import HashedWords
from winnow.features.across import Composed
from winnow.features.batch import Floats, Ints
from winnow.features.declare import Feature, Values, changed
from winnow.features.recent import Last
from winnow.features.source import Source
from winnow.features.view import View

UNIT = 4000.0  # squared it stays under 2^24, up to which float32 holds whole numbers
_TOGETHER = 32_768  # vectors that are in memory at once


@dataclass(frozen=True)
class Embed(Feature):
    """The vector of a text or image column, folded into `size` numbers: the sum of every size-th component.

    Folding keeps cosines in expectation, like a random projection, and costs one pass.

    Args:
        of: the column, of the kind that the encoder takes.
        encoder: which, and which version of it.
        size: how many numbers; the encoder's own size keeps everything.

    Source:
        Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", ICALP 2002 (the count sketch).
    """

    of: Path
    encoder: Encoder = field(kw_only=True, default_factory=HashedWords)
    size: int = field(kw_only=True, default=32)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.of.label}_e{i:02d}" for i in range(self.size))

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.of,)

    @property
    def static(self) -> bool:
        return self.ttl is None

    @property
    def owner_table(self) -> Table:
        """The table whose column it is."""
        return Path(self.of.table, self.of.columns[:-1]).kind.table or self.of.table

    def touched(self, view: View) -> Ints | None:
        return changed(view, self.of)

    def compute(self, view: View) -> Sequence[Values]:
        hashes = view.path(self.of)
        values = np.empty((len(hashes), self.size), np.float32)
        for rows in _slices(len(hashes)):
            values[rows] = folded(view.state.vectors(self.encoder, hashes[rows]), self.size)
        return (values,)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        kind = self.of.kind
        if kind.storage != "text" or (kind.media or "text") != self.encoder.of:
            taker, is_ = type(self.encoder).__name__, kind.media or kind.storage
            what = f"`{self.of}` is {is_}, and {taker} takes {self.encoder.of}"
            yield Problem("wrong-column", what, self.where, fix=f"give a column that is {self.encoder.of}")
        try:
            largest = self.encoder.size if self.encoder.version else 0
        except WinnowError as error:
            yield from error.problems
            return
        if not 1 <= self.size <= largest:
            what = f"{self.size} numbers of a vector of {largest}"
            yield Problem("bad-embedding-size", what, self.where, fix=f"1 to {largest}")


@dataclass(frozen=True)
class Similarity(Composed):
    """The cosine of two embeddings, -1 to 1, or of an item to the user's last k; unknown where either is missing.

    `similarity(embed(post.text), last(like.post, by=member, k=20))` compares a post with the last 20 that the member
    liked: their texts are embedded like its own. Those whose vector is not known count as not there.

    Args:
        of: the one side; the whole vector is compared, whatever its `size`.
        to: another embedding by the same encoder, or the last k rows of the table that `of` belongs to.
        pool: of the k cosines, their `mean` or their `max`.
    """

    of: Embed
    to: Embed | Last
    pool: Literal["mean", "max"] = field(kw_only=True, default="mean")

    @property
    def names(self) -> tuple[str, ...]:
        if isinstance(self.to, Embed):
            return (f"{self.of.of.label}_similarity_{self.to.of.label}",)
        return (f"{self.of.of.label}_similarity_{self.to.names[0]}_{self.pool}",)

    @property
    def parts(self) -> tuple[Feature, ...]:
        return self.of, self.to

    def compute(self, view: View) -> Sequence[Values]:
        mine = view.path(self.of.of)
        if isinstance(self.to, Embed):
            theirs = view.path(self.to.of)[:, None]
        else:
            theirs = _followed(view, self.of.of, self.to.values(view)[0].rows)
        return (self._cosines(view, mine, theirs),)

    def _cosines(self, view: View, mine: Ints, theirs: Ints) -> Values:
        """Cosines of hashes [1 or n] with k hashes each [1 or n, k], as one number each: float64 [1 or n]."""
        size = max(len(mine), len(theirs))
        pooled = np.empty(size)
        shared = _whole(view, self.of.encoder, theirs) if len(theirs) == 1 else None
        for rows in _slices(size, theirs.shape[1]):
            own, there = _whole(view, self.of.encoder, mine[rows] if len(mine) > 1 else mine)
            other, known = shared or _whole(view, self.of.encoder, theirs[rows])
            pooled[rows] = np.where(there, _pooled(own, other, known, pool=self.pool), np.nan)
        return pooled

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if isinstance(self.to, Embed) and self.to.encoder != self.of.encoder:
            what = f"`{self.names[0]}` compares vectors of two encoders"
            yield Problem("different-encoders", what, self.where, "their cosine means nothing", "use one for both")
        elif isinstance(self.to, Last) and self.to.of.domain != self.of.of.table.name:
            what = (
                f"`{self.to.names[0]}` keeps rows of `{self.to.of.domain}`, and `{self.of.of}` is none of their columns"
            )
            yield Problem("different-domains", what, self.where, fix=f"use last(...) of a `{self.of.of.table.name}`")

    def _takes(self) -> tuple[str, ...]:
        return "numeric", "sequence"


def folded(vectors: Floats, size: int) -> Floats:
    """Every size-th component added up, in order: float32 [n, D] → [n, size]."""
    short = -vectors.shape[1] % size
    if short:
        vectors = np.concatenate([vectors, np.zeros((len(vectors), short), np.float32)], axis=1)
    total = vectors[:, :size].copy()
    for first in range(size, vectors.shape[1], size):
        total += vectors[:, first : first + size]
    return total


def encode_rows(
    features: Iterable[Feature],
    encodings: Encodings,
    *,
    table: str,
    columns: Mapping[str, Any],
    progress: Progress = silent,
) -> Encoded:
    """See to it that what the features embed of some table rows has its vectors.

    Call it with each batch of rows before the live tables take them.

    Args:
        features: the features of a system.
        encodings: where the vectors go.
        table: whose rows.
        columns: name → n texts or None; columns that no feature embeds are left alone.
        progress: called with what is being done and the share done, 0 to 1.
    """
    done = Encoded()
    for embed in embeds(features):
        column = embed.of.columns[-1]
        if embed.owner_table.name == table and column in columns:
            done += encodings.ensure(embed.encoder, columns[column], progress=progress)
    return done


def encode_history(
    features: Sequence[Feature], encodings: Encodings, source: Source, *, progress: Progress = silent
) -> Encoded:
    """See to it that everything the features embed has its vectors, in every version of every row.

    Call it before a plan is computed over history.

    Args:
        features: the features of a system.
        encodings: where the vectors go.
        source: history whose `rows` hold texts, not their hashes.
        progress: called with what is being done and the share done, 0 to 1.
    """
    done = Encoded()
    for table in dict.fromkeys(embed.owner_table.name for embed in embeds(features)):
        done += encode_rows(features, encodings, table=table, columns=source.rows(table), progress=progress)
    return done


def embeds(features: Iterable[Feature]) -> list[Embed]:
    """The embeddings among features and their parts, one for each encoder and column."""
    found = (part for feature in features for part in walk(feature) if isinstance(part, Embed))
    return list({(e.encoder.identity, e.owner_table.name, e.of.columns[-1]): e for e in found}.values())


def _followed(view: View, path: Path, rows: Ints) -> Ints:
    """The value of a path for given rows of its table, any shape."""
    for depth, column in enumerate(path.columns):
        owner = Path(path.table, path.columns[:depth]).kind.table if depth else path.table
        assert owner is not None
        rows = view.column(Path(owner, (column,)), rows)
    return rows


def _whole(view: View, encoder: Encoder, hashes: Ints) -> tuple[Floats, NDArray[np.bool_]]:
    """Vectors in whole UNITs, float32 [..., D], and which are known [...]; each different one is looked up once."""
    different, place = np.unique(hashes, return_inverse=True)
    vectors = np.rint(view.state.vectors(encoder, different) * np.float32(UNIT))
    known = ~np.isnan(vectors[:, 0])
    vectors[~known] = 0
    place = place.reshape(hashes.shape)
    return vectors[place], known[place]


def _pooled(own: Floats, other: Floats, known: NDArray[np.bool_], *, pool: str) -> NDArray[np.float64]:
    """The mean or the largest cosine of each row with those k that are known; NaN where none is.

    Args:
        own: [1 or n, D].
        other: [1 or n, k, D].
        known: which of them are, [1 or n, k].
        pool: `mean` or `max`.
    """
    shared = len(other) == 1
    products = own @ other[0].T if shared else np.matmul(other, own[:, :, None])[:, :, 0]
    cosines = products / np.maximum(_lengths(own)[:, None] * _lengths(other), 1.0)
    if pool == "max":
        found = np.where(known, cosines, -1.0).max(axis=1, initial=-1.0)
    else:
        found = np.where(known, cosines, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(known.any(axis=1), np.clip(found, -1, 1), np.nan)


def _lengths(vectors: Floats) -> NDArray[np.float64]:
    """Of vectors of whole numbers [..., D], float64 [...]; their squares are exact."""
    squares: Floats = np.einsum("...d,...d->...", vectors, vectors)
    return np.sqrt(squares.astype(np.float64))


def _slices(size: int, each: int = 1) -> Iterator[slice]:
    """Rows of which so many are taken together that their vectors, `each` a row, fit into memory."""
    step = max(_TOGETHER // each, 1)
    for first in range(0, size, step):
        yield slice(first, first + step)
