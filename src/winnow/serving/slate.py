"""The slate: the order in which valued candidates are shown. A step takes a whole order and gives another one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np

from winnow.core.candidates import Candidates, Ints, Mask
from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.core.time import to_us
from winnow.data.schema import Path
from winnow.features.aggregate import Aggregate
from winnow.features.embedding import Embed
from winnow.features.state import NEVER
from winnow.serving.arrangement import chances, distinct, draw, earlier, interleaved, marginal, similarity
from winnow.serving.kit import Kit
from winnow.serving.query import Query
from winnow.serving.sources_graph import Circle
from winnow.serving.trace import Trace
from winnow.serving.value import in_order_of_time


@dataclass(frozen=True, kw_only=True)
class Step(Declared):
    """One rearrangement of the candidates; a step may also leave out what others stand for."""

    notes: ClassVar[tuple[str, ...]] = ()  # what it notes about candidates (`Candidates.noted`), for the served log
    essential: ClassVar[bool] = False  # whether it takes part whatever order is asked for

    @property
    def name(self) -> str:
        """How traces call it."""
        return type(self).__name__

    def aggregates(self) -> tuple[Aggregate, ...]:
        """The live state that it needs kept."""
        return ()

    def arrange(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        """The same candidates in another order.

        Args:
            candidates: best first, by `order_score`.
            query: the request.
            kit: what it is served with.
        """
        raise NotImplementedError

    def without(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        """What goes on when the step has failed: all candidates as they came."""
        return candidates


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
class Fade(Step):
    """The older a candidate, the less its value counts: half of what can fade is gone after each half-life.

    Args:
        by: a time column; one without a time does not fade.
        half_life: after which half has faded.
        floor: what is left for ever, 0 to 1.
    """

    by: Path
    half_life: timedelta = field(kw_only=True)
    floor: float = field(kw_only=True, default=0.0)

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.by.kind.storage != "time":
            yield Problem("bad-column", f"`{self.by}` is {self.by.kind.storage}", self.where, fix="use a time column")
        if not 0 <= self.floor < 1 or self.half_life <= timedelta(0):
            what = f"a floor of {self.floor} with a half-life of {self.half_life}"
            yield Problem("bad-factor", what, self.where, fix="0 <= floor < 1, and a positive time")

    def arrange(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        since = kit.view(query, candidates.rows).path(self.by)
        age = np.where(since == NEVER, 0, np.maximum(query.at - since, 0)) / to_us(self.half_life)
        left = self.floor + (1 - self.floor) * np.exp2(-age)
        score = candidates.order_score
        return candidates.by(score - np.abs(score) * (1 - left))


@dataclass(frozen=True)
class Comparable(Step):
    """The farther a candidate's number is from that of the item asked for, the less its value counts.

    What can fade is half gone where one is `ratio` times the other: a listing at twice the price, or at half of it.

    Args:
        by: a number column above 0; where either side has none, nothing fades.
        ratio: above 1.
        floor: what is left however far apart they are, 0 to 1.
    """

    by: Path
    ratio: float = field(kw_only=True, default=2.0)
    floor: float = field(kw_only=True, default=0.5)

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.by.kind.storage != "number":
            yield Problem("bad-column", f"`{self.by}` is {self.by.kind.storage}", self.where, fix="use a number column")
        if not 0 <= self.floor < 1 or self.ratio <= 1:
            what = f"a floor of {self.floor} with a ratio of {self.ratio}"
            yield Problem("bad-factor", what, self.where, fix="0 <= floor < 1, and a ratio above 1")
        if not system.alike:
            why = "what is asked for is no item, and has no such number"
            yield Problem("not-alike", "Comparable without an item that asks", self.where, why, "leave it out")

    def arrange(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        mine = float(kit.column(self.by, query.user, query.at)) if query.known else np.nan
        theirs = kit.view(query, candidates.rows).path(self.by)
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = np.abs(np.log(theirs / mine)) / np.log(self.ratio)
        left = self.floor + (1 - self.floor) * np.exp2(-np.where(np.isfinite(apart), apart, 0))
        score = candidates.order_score
        return candidates.by(score - np.abs(score) * (1 - left))


@dataclass(frozen=True)
class NearDuplicates(Step):
    """Of candidates that say nearly the same only the best stays.

    Args:
        of: the vector of their text or image; a feature of the system has to embed it too.
        within: a cosine: those that are nearer than this say the same.
        depth: how many from the top are compared.
    """

    of: Embed
    within: float = field(kw_only=True, default=0.95)
    depth: int = field(kw_only=True, default=200)

    def problems(self, system: Any) -> Iterator[Problem]:
        if not 0 < self.within <= 1:
            yield Problem("bad-nearness", f"within is {self.within}", self.where, fix="above 0, at most 1")

    def arrange(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        view = kit.view(query, candidates.rows[: self.depth])
        near = distinct(view.state.vectors(self.of.encoder, view.path(self.of.of)), self.within)
        return candidates.take(np.append(near, np.ones(max(len(candidates) - self.depth, 0), bool)))


@dataclass(frozen=True)
class Strangers(Step):
    """Items of others than those the person is tied to fill at most a share of the places, counted from the top.

    Where those of their circle run out, others follow: nobody gets an empty list.

    Args:
        beside: the circle: ties, and the columns that name who stands at their other end.
        share: 0 to 1.
    """

    beside: Sequence[Circle]
    share: float = field(kw_only=True, default=0.5)

    def aggregates(self) -> tuple[Aggregate, ...]:
        return tuple(a for circle in self.beside for a in circle.aggregates())

    def problems(self, system: Any) -> Iterator[Problem]:
        if not 0 <= self.share <= 1:
            yield Problem("bad-share", f"share is {self.share}", self.where, fix="between 0 and 1")

    def arrange(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        order = interleaved(self.strangers(candidates.rows, query, kit), self.share)
        # Scores stay those that the values made, in the new order of places.
        return replace(candidates.take(order), order_score=-np.sort(-candidates.order_score))

    def strangers(self, rows: Ints, query: Query, kit: Kit) -> Mask:
        """Which items are of nobody the person is tied to, bool [n]."""
        known = np.logical_or.reduce([circle.holds(rows, query, kit) for circle in self.beside])
        return np.asarray(~known)


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
    """The candidates after every step; a step that fails leaves the order as it was, and order of time stays."""
    steps = [step for step in steps if step.essential or not in_order_of_time(query, trace)]
    for step in steps if len(candidates) else ():
        with trace.stage("slate", step.name, came=len(candidates)) as stage:
            told, given = "the list is not rearranged by it", (candidates, query, kit)
            arranged = trace.attempt(stage, step.arrange, *given, otherwise=None, told=told)
            candidates = step.without(*given) if arranged is None else arranged
        trace.keep_order(step.name, candidates)
    return candidates
