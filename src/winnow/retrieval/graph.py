"""People near a person in a graph: friends of friends with weights, and personalised PageRank."""

from datetime import timedelta
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from winnow.core.time import to_us
from winnow.data.graph import Fan, Ints
from winnow.data.graph_pairs import HALF_LIFE, Doubles, Floats, weight_of

By = Literal["adamic_adar", "resource", "common", "faded"]
Counts = NDArray[np.int32]

PATHS = 40_000


class Reads(Protocol):
    """What is read of a graph: a snapshot, a view of one with later changes, or one that leaves somebody out."""

    def degrees(self, rows: ArrayLike) -> Ints: ...
    def gather(self, rows: ArrayLike) -> Fan: ...


class Suggested(NamedTuple):
    """People who are not yet tied to a person, best first; equal scores by row.

    Args:
        rows: int64 [c].
        scores: float32 [c].
        mutual: how many friends they share with the person, int32 [c].
    """

    rows: Ints
    scores: Floats
    mutual: Counts


def friends_of_friends(
    graph: Reads, person: int, k: int = 100, *, friends: Ints | None = None, by: By = "adamic_adar", now: int = 0,
    half_life: timedelta = HALF_LIFE, paths: int = PATHS,
) -> Suggested:  # fmt: skip
    """The k people at two steps whose shared friends weigh most.

    Work is bounded for hubs: friends are gone through from the one with the fewest ties on, until there are `paths`
    paths of two steps. What is left out are ties of the most popular friends, which say least. Counts of shared
    friends are exact all the same.

    Args:
        graph: who is tied to whom.
        person: row.
        k: at most so many.
        friends: whom the person is tied to, when that is known better than from the graph, int64 [d].
        by: what a shared friend weighs: see `weight_of`; `faded` halves it when both ties are a half-life old.
        now: what ages count from, microseconds UTC.
        half_life: of `faded`.
        paths: at most so many are gone through.
    """
    mine, times = _own(graph, person, friends, now)
    degrees = graph.degrees(mine)
    chosen, cut = _within(degrees, paths)
    fan = graph.gather(mine[chosen])
    place, ends, made = fan.place[:paths], fan.ends[:paths], fan.times[:paths]
    weight = weight_of(by, degrees[chosen])[place]
    if by == "faded":
        weight = fading(times[chosen], now, half_life)[place] * fading(made, now, half_life)
    rows, scores, mutual = _summed(ends, weight)
    scores[_places(rows, mine)] = 0  # who is tied already
    scores[_places(rows, np.array([person]))] = 0
    best = top(scores, k)
    found = Suggested(rows[best], scores[best].astype(np.float32), mutual[best])
    return found._replace(mutual=count_mutual(graph, mine, found.rows)) if cut else found


def pagerank(
    graph: Reads, person: int, k: int = 100, *, friends: Ints | None = None, stop: float = 0.15, error: float = 3e-5,
    rounds: int = 60, paths: int = 4 * PATHS,
) -> Suggested:  # fmt: skip
    """The k people at whom a walk that starts at a person, and stops with a chance at every step, is likeliest to stop.

    Scores are below the exact ones by at most `error` times a row's degree, when it ends by itself.

    Args:
        graph: who is tied to whom.
        person: row.
        k: at most so many.
        friends: whom the person is tied to, when that is known better than from the graph, int64 [d].
        stop: chance that the walk stops at a step.
        error: what may be left to be handed on, for each tie of a row.
        rounds: at most so many times everything that is left is handed on.
        paths: at most so many ties are gone through; where most is left per tie is handed on first.

    Source: Andersen, Chung and Lang, Local graph partitioning using PageRank vectors, FOCS 2006, with all rows that
    hold too much pushed in the same round.
    """
    mine, _ = _own(graph, person, friends, 0)
    rows, kept = pushed(graph, person, mine, stop=stop, error=error, rounds=rounds, paths=paths)
    kept[_places(rows, mine)] = 0
    kept[_places(rows, np.array([person]))] = 0
    best = top(kept, k)
    return Suggested(rows[best], kept[best].astype(np.float32), count_mutual(graph, mine, rows[best]))


def pushed(
    graph: Reads, person: int, friends: Ints, *, stop: float, error: float, rounds: int, paths: int
) -> tuple[Ints, Doubles]:  # fmt: skip
    """Where the walk stops: rows, ascending, int64 [m], and how likely, float64 [m]. See `pagerank`."""
    rows, kept, left = np.array([person]), np.zeros(1), np.ones(1)
    for _ in range(rounds):
        degrees = np.where(rows == person, len(friends), graph.degrees(rows))
        per_tie = left / np.maximum(degrees, 1)
        active = np.flatnonzero(per_tie > error)
        active = active[np.argsort(-per_tie[active], kind="stable")]
        active = active[np.cumsum(degrees[active]) <= paths]
        if not len(active):
            break
        paths -= int(degrees[active].sum())
        kept[active] += np.where(degrees[active] == 0, 1.0, stop) * left[active]
        share, left[active] = (1 - stop) * per_tie[active], 0
        others = rows[active] != person
        fan = graph.gather(rows[active][others])
        ends, shares = fan.ends.astype(np.int64), share[others][fan.place]
        if not others.all():
            ends, shares = np.append(ends, friends), np.append(shares, np.repeat(share[~others], len(friends)))
        rows, kept, left = _handed(rows, kept, left, ends=ends, shares=shares)
    return rows, kept + stop * left  # of what is left at least this much stops where it is


def _handed(
    rows: Ints, kept: Doubles, left: Doubles, *, ends: Ints, shares: Doubles
) -> tuple[Ints, Doubles, Doubles]:  # fmt: skip
    """Adds what is handed on to what the ends hold."""
    new, sums, _ = _summed(ends, shares)
    both = np.union1d(rows, new)
    grown, more = np.zeros(len(both)), np.zeros(len(both))
    old = np.searchsorted(both, rows)
    grown[old], more[old] = kept, left
    more[np.searchsorted(both, new)] += sums
    return both, grown, more


def count_mutual(graph: Reads, friends: Ints, rows: Ints) -> Counts:
    """How many of a person's friends, ascending rows, each of some rows is tied to, int32 [n]."""
    fan = graph.gather(rows)
    size = int(max(fan.ends.max(initial=-1), friends.max(initial=-1))) + 1
    mine = np.zeros(size, np.bool_)
    mine[friends] = True
    return np.bincount(fan.place[mine[fan.ends]], minlength=len(rows)).astype(np.int32)


def fading(times: Ints, now: int, half_life: timedelta) -> Doubles:
    """What one tie of a path counts: the square root of a half after a half-life, so that two count a half."""
    return np.asarray(np.exp2(-np.maximum(now - times, 0) / (2.0 * to_us(half_life))))


def top(scores: NDArray[np.floating], k: int) -> Ints:
    """Places of the k highest scores above 0, best first, equal ones in order of place, int64 [≤ k]."""
    if len(scores) > k > 0:
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        places = np.flatnonzero(scores >= least)
    else:
        places = np.arange(len(scores))
    best = places[np.argsort(-scores[places], kind="stable")][:k]
    return np.asarray(best[scores[best] > 0])


def _own(graph: Reads, person: int, friends: Ints | None, now: int) -> tuple[Ints, Ints]:
    """Whom a person is tied to, ascending, and since when; ties that the graph does not know are new."""
    fan = graph.gather(np.array([person]))
    ends = fan.ends.astype(np.int64)
    if friends is None:
        return ends, fan.times
    mine = np.unique(friends)
    times = np.full(len(mine), now)
    at = np.minimum(np.searchsorted(mine, ends), max(len(mine) - 1, 0))
    same = mine[at] == ends if len(mine) else np.zeros(len(ends), np.bool_)
    times[at[same]] = fan.times[same]
    return mine, times


def _within(degrees: Ints, paths: int) -> tuple[Ints, bool]:
    """The friends with the fewest ties that together have `paths` or just more, and whether any path is left out."""
    order = np.argsort(degrees, kind="stable")
    total = np.cumsum(degrees[order])
    chosen = order[: int(np.searchsorted(total, paths)) + 1]
    return chosen, bool(len(total) and total[-1] > paths)


def _summed(ends: NDArray[np.integer], weight: Doubles) -> tuple[Ints, Doubles, Counts]:
    """Distinct ends, ascending, the sum of their weights, and how often each occurs."""
    if not len(ends):
        return np.empty(0, np.int64), np.empty(0), np.empty(0, np.int32)
    bits = len(ends).bit_length()
    keys = np.sort((ends.astype(np.int64) << bits) | np.arange(len(ends)))  # one sort of numbers, not an argsort
    rows = keys >> bits
    starts = np.flatnonzero(np.append(True, rows[1:] != rows[:-1]))
    sums = np.add.reduceat(weight[keys & ((1 << bits) - 1)], starts)
    return rows[starts], sums, np.diff(starts, append=len(rows)).astype(np.int32)


def _places(rows: Ints, wanted: Ints) -> Ints:
    """Where, among ascending distinct rows, others stand that are among them."""
    if not len(rows):
        return np.empty(0, np.int64)
    at = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
    return np.asarray(at[rows[at] == wanted])
