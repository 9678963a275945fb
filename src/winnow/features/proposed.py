"""Features of what sources made of a candidate: their scores and where it stood in their lists.

They are known while a list is made and are logged with it, so that models learn from what was served. Of impressions
that were made elsewhere training asks the sources again, as far as these can tell.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Problem, did_you_mean
from winnow.features.batch import Floats
from winnow.features.declare import Feature, Values
from winnow.features.view import View


@dataclass(frozen=True)
class Proposed(Feature):
    """What a source of the pipeline made of a candidate.

    Args:
        of: name of the source.
    """

    of: str
    of_list: ClassVar[bool] = True
    what: ClassVar[str] = ""

    @property
    def names(self) -> tuple[str, ...]:
        return (proposed_name(self.of, self.what),)

    def compute(self, view: View) -> Sequence[Values]:
        return (view.context(self.names[0], missing=np.nan),)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        known = [source.name for source in getattr(system.pipeline, "sources", ())]
        if self.of not in known:
            what, why = f"no source is called `{self.of}`", "nothing would ever be known of it"
            yield Problem("unknown-source", what, self.where, why, did_you_mean(self.of, known))


@dataclass(frozen=True)
class ScoreOf(Proposed):
    """The score that a source gave the candidate; 0 where it did not propose it."""

    what: ClassVar[str] = "score"


@dataclass(frozen=True)
class RankOf(Proposed):
    """The place of the candidate in the list of a source, from 1; 0 where it did not propose it."""

    what: ClassVar[str] = "rank"


def score_of(source: str) -> ScoreOf:
    """The score that a source gave a candidate, as a feature: `score_of("Lexical")`."""
    return ScoreOf(source)


def rank_of(source: str) -> RankOf:
    """Where a candidate stood in the list of a source, as a feature: `rank_of("Lexical")`."""
    return RankOf(source)


def proposed_name(source: str, what: str) -> str:
    """The feature of a source's `score` or `rank`.

    >>> proposed_name("Lexical", "rank")
    'lexical_rank'
    """
    return f"{source.lower()}_{what}"


def standings(sources: Sequence[str], scores: Floats) -> Mapping[str, NDArray[np.float64]]:
    """Scores and places by feature name, float64 [N] each; NaN where a source did not propose a candidate.

    Args:
        sources: names.
        scores: of N candidates by each source, float32 [N, S]; NaN likewise.
    """
    found: dict[str, NDArray[np.float64]] = {}
    for place, name in enumerate(sources if scores.shape[1] == len(sources) else ()):
        mine = scores[:, place].astype(np.float64)
        found[proposed_name(name, "score")] = mine
        found[proposed_name(name, "rank")] = ranks(mine)
    return found


def ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places by falling score, from 1; equal scores share the first of theirs; NaN stays."""
    known = np.sort(-scores[~np.isnan(scores)])
    places = np.searchsorted(known, -np.where(np.isnan(scores), -np.inf, scores), side="left") + 1.0
    return np.where(np.isnan(scores), np.nan, places)
