"""The slate: the order in which valued candidates are shown. A step takes a whole order and gives another one."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from winnow.core.candidates import Candidates, Doubles, Floats, Ints, Mask
from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.data.schema import Path
from winnow.serving.kit import Kit
from winnow.serving.query import Query
from winnow.serving.trace import Trace


@dataclass(frozen=True, kw_only=True)
class Step(Declared):
    """One rearrangement of the candidates; a step may also leave out what others stand for."""

    @property
    def name(self) -> str:
        """How traces call it."""
        return type(self).__name__

    def arrange(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        """The same candidates in another order.

        Args:
            candidates: best first, by `order_score`.
            query: the request.
            kit: what it is served with.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class RepeatDecay(Step):
    """The k-th candidate with the same value in a column counts factor^(k-1) of its value.

    Args:
        by: a single-valued category or reference; missing values never repeat.
        factor: above 0, at most 1 (no decay).
    """

    by: Path
    factor: float = field(kw_only=True, default=0.6)

    def problems(self, system: Any) -> Iterator[Problem]:
        if not 0 < self.factor <= 1:
            yield Problem("bad-factor", f"factor is {self.factor}", self.where, fix="above 0, at most 1")
        if self.by.kind.storage not in ("category", "ref"):
            yield Problem("bad-column", f"`{self.by}` is {self.by.kind.storage}", self.where, fix="use a category")

    def arrange(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        repeats = earlier(kit.view(query, candidates.rows).path(self.by))
        score = candidates.order_score
        # Sorting by the decayed values is the greedy choice: within one value of the column they only fall.
        return candidates.by(score - np.abs(score) * (1 - self.factor**repeats))


@dataclass(frozen=True)
class Mmr(Step):
    """Maximal marginal relevance: greedily the candidate with the best value minus its likeness to those above it.

    A candidate's marginal value is value - strength x spread x (largest similarity to a chosen one); spread is the
    range of values among those considered, so that strength has no unit. Similarity of sets is their overlap
    (Jaccard), of single values equality.

    Args:
        by: a category, or a multi-valued one.
        strength: 0 keeps the order, 1 gives likeness the same say as value.
        depth: how many from the top are considered.

    Source: Carbonell and Goldstein, "The use of MMR, diversity-based reranking", SIGIR 1998.
    """

    by: Path
    strength: float = field(kw_only=True, default=0.2)
    depth: int = field(kw_only=True, default=100)

    def problems(self, system: Any) -> Iterator[Problem]:
        if not 0 <= self.strength <= 1:
            yield Problem("bad-strength", f"strength is {self.strength}", self.where, fix="between 0 and 1")
        if not self.by.kind.has_domain:
            yield Problem("bad-column", f"`{self.by}` is {self.by.kind.storage}", self.where, fix="use a category")

    def arrange(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        strength = self.strength if query.diversity is None else query.diversity
        depth = min(len(candidates), max(self.depth, query.size))
        if not strength or depth < 2:
            return candidates
        score = candidates.order_score.copy()
        likeness = similarity(kit.view(query, candidates.rows[:depth]).path(self.by))
        penalty = strength * (score[0] - score[depth - 1])
        score[:depth] = marginal(score[:depth], likeness, penalty=penalty, slots=query.size)
        # What was not considered stays below what was.
        score[depth:] += min(0.0, score[:depth].min() - score[depth:].max(initial=-np.inf))
        return candidates.by(score)


@dataclass(frozen=True)
class Collapse(Step):
    """Of candidates that are nearly the same only the best stays.

    Args:
        by: a single-valued category: those with the same value are the same; missing values never are.
        within: a cosine: those among the first `depth` whose vectors are nearer than this are the same; None leaves
            vectors out of it.
        depth: how many from the top have their vectors compared.
    """

    by: Path
    within: float | None = field(kw_only=True, default=None)
    depth: int = field(kw_only=True, default=200)

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.by.kind.storage not in ("category", "ref"):
            yield Problem("bad-column", f"`{self.by}` is {self.by.kind.storage}", self.where, fix="use a category")
        if self.within is not None and not 0 < self.within <= 1:
            yield Problem("bad-nearness", f"within is {self.within}", self.where, fix="above 0, at most 1")
        if self.within is not None and system.retrieval is None:
            yield Problem("no-retrieval", "Collapse(within=...) without a retrieval ladder", self.where,
                          "no model would make vectors", "give System(retrieval=Ladder(...))")  # fmt: skip

    def arrange(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        first = candidates.take(earlier(kit.view(query, candidates.rows).path(self.by)) == 0)
        if self.within is None:
            return first
        near = kit.bundle.vectors.of(first.rows[: self.depth])
        return first.take(np.append(distinct(near, self.within), np.ones(max(len(first) - self.depth, 0), bool)))


@dataclass(frozen=True)
class Explore(Step):
    """Shows a share of chance picks, so that what the models undervalue can prove itself.

    The scheme, slot after slot from the top, over the m candidates not placed yet: with probability `share` one of
    the m is drawn uniformly, otherwise the best of them is taken. So the candidate that took a slot did so with
    probability share / m + (1 - share) x [it was the best], given the slots above: that is the logged propensity, and
    the product over slots is the exact probability of the whole list. Seeded by the recommendation id.

    Args:
        share: of slots, 0 to 1.
    """

    share: float = field(kw_only=True, default=0.05)

    def problems(self, system: Any) -> Iterator[Problem]:
        if not 0 <= self.share <= 1:
            yield Problem("bad-share", f"share is {self.share}", self.where, fix="between 0 and 1")
        steps = [s for s in system.pipeline.slate if isinstance(s, Step)]
        if self in steps and steps[-1] is not self:
            why = "a later step would move what was drawn, and the logged propensities would be wrong"
            yield Problem("explores-too-early", "Explore is not the last step of the slate", self.where, why,
                          "put it last")  # fmt: skip

    def arrange(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        share = self.share if query.exploration is None else query.exploration
        slots = min(query.size, len(candidates))
        order, propensity = draw(len(candidates), share=share, chances=chances(query.recommendation_id, slots))
        arranged = candidates.take(order)
        return replace(arranged, propensity=np.append(propensity, np.zeros(len(order) - slots)))


def arrange(steps: Sequence[Step], candidates: Candidates, query: Query, kit: Kit, trace: Trace) -> Candidates:
    """The candidates after every step; a step that fails leaves the order as it was."""
    for step in steps if len(candidates) else ():
        with trace.stage("slate", step.name, came=len(candidates)) as stage:
            told = "the list is not rearranged by it"
            candidates = trace.attempt(stage, step.arrange, candidates, query, kit, otherwise=candidates, told=told)
        trace.keep_order(step.name, candidates)
    return candidates


def chances(seed: str, slots: int) -> Doubles:
    """Two uniform numbers per slot, the same for the same seed on every machine: float64 [slots, 2]."""
    key = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(key)).random((slots, 2))


def draw(size: int, *, share: float, chances: Doubles) -> tuple[Ints, Doubles]:
    """One draw of the exploration scheme over candidates 0..size-1, best first.

    Args:
        size: how many candidates.
        share: of slots given to chance.
        chances: per slot whether to explore and whom to pick, uniform in [0, 1), float64 [slots, 2].

    Returns:
        all candidates in their new order, int64 [size], and the propensity of each slot, float64 [slots].
    """
    left, order, propensity = list(range(size)), [], []
    for coin, choice in chances:
        pick = int(choice * len(left)) if coin < share else 0
        propensity.append(share / len(left) + (1 - share) * (pick == 0))
        order.append(left.pop(pick))
    return np.array(order + left, np.int64), np.array(propensity)


def earlier(codes: Ints) -> Ints:
    """How many of the same code stand above each place, int64 [N]; 0 for missing (-1).

    >>> earlier(np.array([7, 7, -1, 8, 7, -1])).tolist()
    [0, 1, 0, 0, 2, 0]
    """
    order = np.argsort(codes, kind="stable")
    _, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    rank = np.empty(len(codes), np.int64)
    rank[order] = np.arange(len(codes)) - np.repeat(starts, counts)
    return np.where(codes < 0, 0, rank)


def distinct(vectors: Floats, within: float) -> Mask:
    """Which of some vectors stay when each one takes out those after it whose cosine with it is above `within`.

    Args:
        vectors: of length 1, best first, float32 [N, D]; NaN for unknown ones, which stay.
        within: the bound.
    """
    near, stays = vectors @ vectors.T > within, np.ones(len(vectors), bool)
    for place in range(len(vectors)):
        if stays[place]:
            stays[place + 1 :] &= ~near[place, place + 1 :]
    return stays


def similarity(codes: Ints) -> Floats:
    """Likeness of every pair: overlap of their sets over the union, float32 [N, N]; 0 where nothing is known.

    Args:
        codes: int64 [N], or [N, M] padded with -1.
    """
    wide = codes.reshape(len(codes), -1)
    distinct, places = np.unique(wide, return_inverse=True)
    # Sets as bits: shared members are counted by word, without a matrix product that would wake all cores.
    has = np.zeros((len(wide), -(-len(distinct) // 64) * 64), bool)
    has[np.arange(len(wide))[:, None], places.reshape(wide.shape)] = True
    has[:, : len(distinct)][:, distinct < 0] = False
    words = np.packbits(has, axis=1).view(np.uint64)
    shared = np.bitwise_count(words[:, None] & words[None]).sum(axis=2, dtype=np.float32)
    size = shared.diagonal()
    overlap: Floats = shared / np.maximum(size[:, None] + size - shared, 1)
    return overlap


def marginal(score: Doubles, likeness: Floats, *, penalty: float, slots: int) -> Doubles:
    """The marginal value with which each of N candidates was chosen, or would be next, float64 [N].

    They never rise from one choice to the next, so sorting by them gives the greedy order.

    Args:
        score: float64 [N].
        likeness: float32 [N, N].
        penalty: what full likeness costs.
        slots: how many are chosen.
    """
    now, free = score.copy(), score.copy()
    for _ in range(min(slots, len(score))):
        best = int(np.argmax(free))
        free[best] = -np.inf
        np.minimum(now, score - penalty * likeness[best], out=now, where=free > -np.inf)
        np.minimum(free, now, out=free)
    return now
