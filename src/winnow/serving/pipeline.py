"""The pipeline: step 5 of a system, and the path of every request through it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from winnow.core.candidates import Candidates, merge
from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.features.aggregate import Aggregate
from winnow.features.batch import FeatureBatch
from winnow.models.base import Ranker
from winnow.serving import filters, policy, scorer, slate, sources, value
from winnow.serving.filters import Filter
from winnow.serving.gather import Gatherer
from winnow.serving.kit import Kit
from winnow.serving.policy import Rule
from winnow.serving.query import Query
from winnow.serving.slate import Step
from winnow.serving.sources import Source
from winnow.serving.trace import Trace
from winnow.serving.value import Weighted


@dataclass(frozen=True, eq=False)
class Ranking:
    """What the pipeline made of a query.

    Args:
        shown: the items of the reply, in order.
        valued: every candidate that was scored, by value.
        heads: names of the predictions.
        features: what the scorer saw; `Candidates.place` points into it. None when features failed.
        as_of: the moment up to which the features know events, microseconds UTC.
    """

    shown: Candidates
    valued: Candidates
    heads: tuple[str, ...]
    features: FeatureBatch | None
    as_of: int


@dataclass(frozen=True, kw_only=True)
class Pipeline(Declared):
    """How a system serves.

    Args:
        sources: who proposes candidates.
        filters: who drops them; these fail open.
        value: what predictions are worth; the sources' scores when nothing predicts.
        slate: what arranges the valued candidates, in this order.
        policy: what may be shown; fails closed.
        candidates: most that are scored.
        size: how many items a reply has when the request does not say.
    """

    sources: Sequence[Source]
    filters: Sequence[Filter] = ()
    value: Weighted = field(default_factory=Weighted)
    slate: Sequence[Step] = ()
    policy: Sequence[Rule] = ()
    candidates: int = 500
    size: int = 20
    ranks: ClassVar[bool] = True  # whether it puts items in order
    models: ClassVar[type[Declared]] = Ranker  # what its ranking ladder is made of

    def __post_init__(self) -> None:
        for name in ("sources", "filters", "slate", "policy"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def aggregates(self) -> tuple[Aggregate, ...]:
        """The live state that sources, filters, steps of the slate and rules need kept, each once."""
        parts: tuple[Source | Filter | Step | Rule, ...] = (*self.sources, *self.filters, *self.slate, *self.policy)
        return tuple(dict.fromkeys(a for part in parts for a in part.aggregates()))

    def problems(self, system: Any) -> Iterator[Problem]:
        names = [s.name for s in self.sources]
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield Problem("duplicate-source", f"two sources are called `{name}`", self.where, fix="subclass one")
        yield from self._other_models(system)
        if self.ranks and not self.sources:
            yield Problem("no-sources", "no source proposes anything", self.where, fix="add one")
        if not 1 <= self.size <= self.candidates:
            what = f"size {self.size} with {self.candidates} candidates"
            yield Problem("bad-size", what, self.where, fix="1 <= size <= candidates")

    def _other_models(self, system: Any) -> Iterator[Problem]:
        rungs = system.ranking.rungs.values() if system.ranking is not None else ()
        for model in (model for rung in rungs for model in rung):
            if not isinstance(model, self.models):
                what = f"`{type(model).__name__}` in the ranking ladder is no {self.models.__name__}"
                why = f"a {type(self).__name__} is served by models of that kind"
                yield Problem("wrong-model", what, model.where, why, "choose another model, or another pipeline")

    def execute(self, query: Query, kit: Kit, *, gatherer: Gatherer, trace: Trace) -> Ranking:
        """One request: sources, filters, features, scorer, value, policy, slate.

        Policy stands before the slate, so that what may not be shown takes no slot and propensities are exact, and
        once more after it, so that it has the last word whatever a step of the slate does.

        Args:
            query: the request.
            kit: what it is served with.
            gatherer: threads for the sources.
            trace: gets every stage.
        """
        query = replace(query, skip=filters.known(self.filters, query, kit))
        proposals = sources.ask(self.sources, query, kit, gatherer=gatherer, trace=trace)
        candidates = merge(proposals, limit=self.candidates)
        candidates = filters.keep(self.filters, candidates, query, kit, trace)
        judged = scorer.judge(candidates, query, kit, trace)
        valued = value.appraise(judged, self.value, query, kit, trace)
        allowed = policy.admit(self.policy, valued, query, kit, trace)
        query = replace(query, heads=judged.heads)
        slated = slate.arrange(self.slate, allowed, query, kit, trace)
        shown = policy.admit(self.policy, slated.take(slice(0, query.size)), query, kit, trace)
        return Ranking(shown, valued, judged.heads, judged.features, judged.as_of)
