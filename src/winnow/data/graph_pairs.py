"""How close two rows of a graph are: heuristics over the neighbours that they share.

The tie between the two themselves never counts, nor does it in their degrees: what is said of a pair that is tied is
what was to be said before it was.
"""

from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from winnow.core.time import days, to_us
from winnow.data.graph import NEVER, Fan, Ints, Rows

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

HALF_LIFE = days(180)
EVER = int(np.iinfo(np.int64).max)
PAIR_SCORES = (
    "common", "faded", "adamic_adar", "resource", "jaccard", "preferential", "degree_first", "degree_second", "tied",
)  # fmt: skip
_AT_ONCE = 1 << 20  # ties that are looked through together


class Ties(Protocol):
    """What reads like a graph: a snapshot, or a view of one with later changes."""

    @property
    def size(self) -> int: ...

    def degrees(self, rows: ArrayLike) -> Ints: ...
    def neighbours(self, row: int) -> Rows: ...
    def gather(self, rows: ArrayLike) -> Fan: ...
    def since(self, first: ArrayLike, second: ArrayLike) -> Ints: ...
    def degrees_before(self, rows: ArrayLike, moments: ArrayLike) -> Ints: ...


class Shared(NamedTuple):
    """The neighbours that pairs share.

    Args:
        place: which pair, ascending, int64 [m].
        rows: the neighbour, int64 [m].
        made: when it was tied to one of the two and to the other, int64 [m] each.
    """

    place: Ints
    rows: Ints
    made: tuple[Ints, Ints]


def shared(graph: Ties, first: ArrayLike, second: ArrayLike, before: ArrayLike = EVER) -> Shared:
    """The neighbours that pairs share, found from whichever of the two has fewer.

    Args:
        graph: who is tied to whom.
        first, second: rows, int [n].
        before: ties made at or after it are not seen, microseconds UTC, int64 [1 or n].
    """
    one, two = np.asarray(first, np.int64), np.asarray(second, np.int64)
    turned = graph.degrees(one) > graph.degrees(two)
    few, many = np.where(turned, two, one), np.where(turned, one, two)
    until = np.broadcast_to(np.asarray(before, np.int64), one.shape)
    fan = graph.gather(few)
    other = graph.since(many[fan.place], fan.ends)
    seen = (other != NEVER) & (np.maximum(fan.times, other) < until[fan.place])
    return Shared(fan.place[seen], fan.ends[seen].astype(np.int64), (fan.times[seen], other[seen]))


def faded(made: tuple[Ints, Ints], now: ArrayLike, half_life: timedelta) -> Doubles:
    """What a path of two ties counts: 1 when both are new, half when both are a half-life old, float64 [m]."""
    age = np.maximum(np.asarray(now, np.int64) - made[0], 0) + np.maximum(np.asarray(now, np.int64) - made[1], 0)
    return np.asarray(np.exp2(-age / (2.0 * to_us(half_life))))


def weight_of(by: str, degrees: Ints) -> Doubles:
    """What a shared neighbour counts by how many ties it has itself, float64 [m].

    Args:
        by: `common` and `faded` (1), `adamic_adar` (1 / log d) or `resource` (1 / d).
        degrees: d, at least 2 for a neighbour that two share, int64 [m].

    Source: Adamic and Adar, Friends and neighbors on the web, Social Networks 2003; Zhou, Lü and Zhang, Predicting
    missing links via local information, EPJ B 2009.
    """
    many = np.maximum(degrees, 2).astype(np.float64)
    return 1 / np.log(many) if by == "adamic_adar" else 1 / many if by == "resource" else np.ones(len(many))


def pair_scores(
    graph: Ties, first: ArrayLike, second: ArrayLike, *, before: ArrayLike = EVER, now: ArrayLike | None = None,
    half_life: timedelta = HALF_LIFE,
) -> dict[str, Floats]:  # fmt: skip
    """Every score of `PAIR_SCORES` of n pairs, float32 [n] each.

    Args:
        graph: who is tied to whom.
        first, second: rows, int [n or 1]; rows outside the graph share nothing.
        before: ties made at or after it are not seen, int64 [n or 1]: what was so at a moment, told from a later
            snapshot. Ties that ended since are missing.
        now: what ages count from, int64 [n or 1]; `before` when left out, 0 when that is too.
        half_life: of `faded`.
    """
    one, two, until = np.broadcast_arrays(*(np.asarray(a, np.int64) for a in (first, second, before)))
    since = np.broadcast_to(np.asarray(_present(until) if now is None else now, np.int64), one.shape)
    parts = [
        _scores(graph, one[part], two[part], before=until[part], now=since[part], half_life=half_life)
        for part in _blocks(np.minimum(graph.degrees(one), graph.degrees(two)))
    ]
    return {name: np.concatenate([p[name] for p in parts]).astype(np.float32) for name in PAIR_SCORES}


def _scores(
    graph: Ties, one: Ints, two: Ints, *, before: Ints, now: Ints, half_life: timedelta
) -> dict[str, Doubles]:  # fmt: skip
    ever = bool((before == EVER).all())
    both = shared(graph, one, two, before)
    degree = graph.degrees(both.rows) if ever else graph.degrees_before(both.rows, before[both.place])

    def summed(weight: Doubles) -> Doubles:
        return np.bincount(both.place, weight, len(one)).astype(np.float64)

    found = {by: summed(weight_of(by, degree)) for by in ("common", "adamic_adar", "resource")}
    found["faded"] = summed(faded(both.made, now[both.place], half_life))
    tied = graph.since(one, two)
    seen = (tied != NEVER) & (tied < before)
    degrees = [(graph.degrees(rows) if ever else graph.degrees_before(rows, before)) - seen for rows in (one, two)]
    union = degrees[0] + degrees[1] - found["common"]
    found["jaccard"] = found["common"] / np.maximum(union, 1)
    found["preferential"] = degrees[0].astype(np.float64) * degrees[1]
    found |= {"degree_first": degrees[0].astype(np.float64), "degree_second": degrees[1].astype(np.float64)}
    return found | {"tied": seen.astype(np.float64)}


def _present(before: Ints) -> Ints:
    return np.where(before == EVER, 0, before)


def _blocks(work: Ints) -> list[slice]:
    """Runs of pairs that are looked through together, so that memory stays small."""
    total = np.cumsum(work) // _AT_ONCE
    cuts = np.flatnonzero(np.diff(total)) + 1
    edges = [0, *cuts.tolist(), len(work)]
    return [slice(a, b) for a, b in pairwise(edges)]


def mutuals(graph: Ties, person: int, other: int) -> Ints:
    """Whom two rows are both tied to, ascending, int64 [m]."""
    return np.intersect1d(graph.neighbours(person), graph.neighbours(other)).astype(np.int64)
