"""Evaluates the retrieval rungs of a ladder over the full corpus."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.evaluation.bootstrap import RESAMPLES, Resamples, difference, interval
from winnow.evaluation.lists import Floats, Relevant, hit_rate_at_k, mrr_at_k, ndcg_at_k, recall_at_k
from winnow.evaluation.report import Record, record
from winnow.evaluation.slices import EVERYTHING

STAGE = "retrieval"


@dataclass(frozen=True)
class Retrieved:
    """What one retriever proposes for Q queries.

    Args:
        name: `L0`, `L1`, `L2`.
        model: name of the model.
        lists: item rows best first from the whole corpus, int64 [Q, K], -1 pads.
    """

    name: str
    model: str
    lists: NDArray[np.int64]


@dataclass(frozen=True)
class Queries:
    """What retrievers are judged on.

    Args:
        relevant: the items that each of the Q queries should find.
        users: user row numbers, int64 [Q]: the units that are resampled.
        slices: name → bool [Q]: queries to look at alone (new users).
        item_slices: name → bool over item rows: only these items count as relevant (new items, rare items).
    """

    relevant: Relevant
    users: NDArray[np.int64]
    slices: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    item_slices: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


def evaluate(
    rungs: Sequence[Retrieved], queries: Queries, *, recall_k: int = 100, ndcg_k: int = 10,
    resamples: int = RESAMPLES, seed: int = 0,
) -> list[Record]:  # fmt: skip
    """recall, hit rate, NDCG and MRR for every rung and slice, with 95 % intervals by resampling users.

    Args:
        rungs: lists of at least `max(recall_k, ndcg_k)` places each.
        queries: what is relevant, and the slices.
        recall_k: places that count for recall and hit rate.
        ndcg_k: places that count for NDCG and MRR.
        resamples: number of draws.
        seed: of the draws.

    Raises:
        InputError: `lengths-differ`, `list-too-short`.
    """
    drawn = _draw(queries, resamples, seed)
    out = []
    for rung in rungs:
        for name, metric, values in _values(rung, queries, recall_k, ndcg_k=ndcg_k):
            out.append(_record(rung, name, metric, series=drawn.means(values), values=values))
    return out


def compare(
    new: Retrieved, old: Retrieved, queries: Queries, *, recall_k: int = 100, ndcg_k: int = 10,
    resamples: int = RESAMPLES, seed: int = 0,
) -> list[Record]:  # fmt: skip
    """Paired differences new − old, as records with the name and model of `new`."""
    drawn = _draw(queries, resamples, seed)
    after, before = _values(new, queries, recall_k, ndcg_k=ndcg_k), _values(old, queries, recall_k, ndcg_k=ndcg_k)
    return [
        record(STAGE, new.name, new.model, head="", slice=name, metric=metric, n=_n(a),
               interval=difference(drawn.means(a), drawn.means(b)))
        for (name, metric, a), (_, _, b) in zip(after, before, strict=True)
    ]  # fmt: skip


def _values(rung: Retrieved, queries: Queries, recall_k: int, *, ndcg_k: int) -> Iterator[tuple[str, str, Floats]]:
    """Slice, metric and the value of each query, NaN for the queries outside the slice."""
    whole = _metrics(rung, queries.relevant, recall_k, ndcg_k=ndcg_k)
    for name, mask in {EVERYTHING: np.ones(len(queries.users), np.bool_), **queries.slices}.items():
        for metric, values in whole.items():
            yield name, metric, np.where(mask, values, np.nan)
    for name, items in queries.item_slices.items():
        for metric, values in _metrics(rung, queries.relevant.keep(items), recall_k, ndcg_k=ndcg_k).items():
            yield name, metric, values


def _metrics(rung: Retrieved, relevant: Relevant, recall_k: int, *, ndcg_k: int) -> dict[str, Floats]:
    return {
        f"recall@{recall_k}": recall_at_k(rung.lists, relevant, recall_k),
        f"hit_rate@{recall_k}": hit_rate_at_k(rung.lists, relevant, recall_k),
        f"ndcg@{ndcg_k}": ndcg_at_k(rung.lists, relevant, ndcg_k),
        f"mrr@{ndcg_k}": mrr_at_k(rung.lists, relevant, ndcg_k),
    }


def _record(rung: Retrieved, name: str, metric: str, *, series: Floats, values: Floats) -> Record:
    return record(
        STAGE, rung.name, rung.model, head="", slice=name, metric=metric, interval=interval(series), n=_n(values)
    )


def _n(values: Floats) -> int:
    return int((~np.isnan(values)).sum())


def _draw(queries: Queries, resamples: int, seed: int) -> Resamples:
    if len(queries.users) != queries.relevant.queries:
        what = f"{len(queries.users)} users for {queries.relevant.queries} queries"
        raise InputError(Problem("lengths-differ", what, fix="give the user of every query"))
    return Resamples.of(queries.users, resamples=resamples, seed=seed)
