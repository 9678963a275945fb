"""Candidates of one request as columns: N candidates, S sources, H heads. Never an object per candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Candidates:
    """What is known about N candidates at some stage of a request.

    Args:
        rows: item row numbers, distinct, int64 [N].
        sources: bit s is set when source s proposed the candidate, int64 [N].
        source_scores: each source's own score, float32 [N, S]; NaN where it did not propose the candidate.
        place: the candidate's row in the feature matrix of the request, int64 [N].
        heads: predictions, float32 [N, H]; H = 0 before scoring.
        value: what the value model made of them, float64 [N].
        order_score: by what the slate ordered them, float64 [N]; starts as the value.
        propensity: probability that the candidate took its position, given the positions above it, float64 [N].
        noted: what steps of the slate noted about each candidate, for the served log, int64 [N] each.
    """

    rows: Ints
    sources: Ints
    source_scores: Floats
    place: Ints
    heads: Floats
    value: Doubles
    order_score: Doubles
    propensity: Doubles
    noted: Mapping[str, Ints] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Ints, sources: Ints | None = None, source_scores: Floats | None = None) -> Self:
        """Candidates that are not scored yet."""
        size = len(rows)
        return cls(
            rows=rows,
            sources=np.zeros(size, np.int64) if sources is None else sources,
            source_scores=np.empty((size, 0), np.float32) if source_scores is None else source_scores,
            place=np.arange(size),
            heads=np.empty((size, 0), np.float32),
            value=np.zeros(size),
            order_score=np.zeros(size),
            propensity=np.ones(size),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: Ints | Mask | slice) -> Self:
        """The chosen candidates, in that order."""
        columns = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "noted"}
        return type(self)(**columns, noted={name: values[chosen] for name, values in self.noted.items()})

    def by(self, score: Doubles) -> Self:
        """In the order of a score, highest first; equal ones keep their order."""
        return replace(self, order_score=score).take(np.argsort(-score, kind="stable"))


def merge(proposals: Sequence[tuple[Ints, Floats] | None], *, limit: int) -> Candidates:
    """The proposals of S sources as one set: each item once, remembering who proposed it.

    Beyond `limit` the candidates kept are those that stand highest in the list of some source, relative to that
    list's length, so that every source keeps about the same share of its own.

    Args:
        proposals: per source distinct rows, best first, int64 [n], and their scores, float32 [n]; None for a
            source that failed.
        limit: most candidates kept.
    """
    lists = [(np.empty(0, np.int64), np.empty(0, np.float32)) if p is None else p for p in proposals]
    rows = np.concatenate([r for r, _ in lists]) if lists else np.empty(0, np.int64)
    source = np.repeat(np.arange(len(lists)), [len(r) for r, _ in lists])
    standing = np.concatenate([np.arange(len(r)) / max(len(r), 1) for r, _ in lists]) if lists else np.empty(0)
    distinct, inverse = np.unique(rows, return_inverse=True)
    mask = np.zeros(len(distinct), np.int64)
    np.bitwise_or.at(mask, inverse, 1 << source)
    scores = np.full((len(distinct), len(lists)), np.nan, np.float32)
    if lists:
        scores[inverse, source] = np.concatenate([s for _, s in lists])
    best = np.full(len(distinct), np.inf)
    np.minimum.at(best, inverse, standing)
    kept = np.argsort(best, kind="stable")[:limit]
    return Candidates.of(distinct[kept], mask[kept], scores[kept])
