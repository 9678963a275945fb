"""The scorer judges: features of all candidates in one matrix, then a calibrated prediction per head."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.candidates import Candidates, Floats
from winnow.features.batch import FeatureBatch
from winnow.serving.kit import Kit
from winnow.serving.query import Query
from winnow.serving.trace import Trace

if TYPE_CHECKING:
    from winnow.serving.bundle import Rung

POPULARITY, FOUND = "popularity", "score"


@dataclass(frozen=True, eq=False)
class Judged:
    """Candidates with predictions.

    Args:
        candidates: with `heads`.
        heads: names of the predictions.
        features: what the predictions were made from; None when features failed.
        as_of: the moment up to which they know events, microseconds UTC.
    """

    candidates: Candidates
    heads: tuple[str, ...]
    features: FeatureBatch | None
    as_of: int


def judge(candidates: Candidates, query: Query, kit: Kit, trace: Trace) -> Judged:
    """Predictions of the release's model; of its heuristic if that fails; popularity if that fails too.

    In a system that declares no ranking, the best score that a source gave each candidate.
    """
    ranked = kit.system.ranking is not None
    if not len(candidates):
        return Judged(candidates, (POPULARITY if ranked else FOUND,), None, query.at)
    candidates = replace(candidates, place=np.arange(len(candidates)))
    if not ranked:
        best = np.nanmax(candidates.source_scores, axis=1, keepdims=True)
        return Judged(replace(candidates, heads=best), (FOUND,), None, query.at)
    told = "items are ordered by popularity"
    with trace.stage("features", "plan", came=len(candidates)) as stage:
        nothing: tuple[FeatureBatch | None, int] = (None, query.at)
        features, as_of = trace.attempt(stage, kit.features, query, candidates, otherwise=nothing, told=told)
    if features is not None:
        for rung in kit.bundle.rungs:
            told = "items are judged by a simpler rung"
            with trace.stage("scorer", rung.name, came=len(candidates)) as stage:
                heads = trace.attempt(stage, _scored, rung, features, query, otherwise=None, told=told)
            if heads is not None:
                return Judged(replace(candidates, heads=heads), rung.heads, features, as_of)
    counts = kit.catalogue.standing(candidates.rows)[:, None]
    return Judged(replace(candidates, heads=counts), (POPULARITY,), features, as_of)


def _scored(rung: "Rung", features: FeatureBatch, query: Query) -> Floats:
    if rung.slow and query.left_s() <= 0:
        raise TimeoutError("the deadline had passed before scoring")
    heads = rung.score(features)
    if heads.shape != (len(features), len(rung.heads)) or not np.isfinite(heads).all():
        raise ValueError(f"predictions are not finite numbers of shape [{len(features)}, {len(rung.heads)}]")
    return heads
