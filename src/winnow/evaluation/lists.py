"""Metrics of ranked lists against sets of relevant items.

Shapes: Q queries, K places of a list, R relevant (query, item) pairs. Each metric gives one value per query, float64
[Q], so that the caller can weight, slice and resample queries; a query without a relevant item is NaN.
A list is padded with -1; a row that appears a second time in a list earns nothing there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_ROW_BITS = 40


@dataclass(frozen=True)
class Relevant:
    """The relevant items of Q queries as distinct pairs, sorted by query.

    Args:
        queries: number of queries, Q.
        query: int64 [R], in 0..Q-1.
        row: item row numbers, int64 [R], non-negative.
    """

    queries: int
    query: Ints
    row: Ints

    @classmethod
    def of(cls, sets: Sequence[Iterable[int]]) -> Self:
        """From one collection of rows per query.

        >>> Relevant.of([{3, 1}, set()]).count.tolist()
        [2, 0]
        """
        rows = [np.fromiter(s, np.int64) for s in sets]
        return cls.pairs(
            np.repeat(np.arange(len(rows)), [len(r) for r in rows]), np.concatenate([_NONE, *rows]), len(rows)
        )

    @classmethod
    def pairs(cls, query: Ints, row: Ints, queries: int) -> Self:
        """From pairs in any order, int64 [R] each; repeated pairs count once."""
        keys = np.unique((query.astype(np.int64) << _ROW_BITS) | row)
        return cls(queries, keys >> _ROW_BITS, keys & ((1 << _ROW_BITS) - 1))

    @cached_property
    def count(self) -> Ints:
        """Relevant items per query, int64 [Q]."""
        return np.bincount(self.query, minlength=self.queries)

    def keep(self, items: Mask) -> "Relevant":
        """Only the items marked in a mask over item rows."""
        kept = items[self.row]
        return Relevant(self.queries, self.query[kept], self.row[kept])

    def hits(self, lists: Ints) -> Mask:
        """Which places hold a relevant item, bool [Q, K]; a repeated row only at its first place."""
        if len(lists) != self.queries:
            raise InputError(
                Problem(
                    "lengths-differ", f"{len(lists)} lists for {self.queries} queries", fix="give one list per query"
                )
            )  # fmt: skip
        keys = (np.arange(len(lists))[:, None] << _ROW_BITS) | lists
        known = (self.query << _ROW_BITS) | self.row
        at = np.minimum(np.searchsorted(known, keys), max(len(known) - 1, 0))
        found = known[at] == keys if len(known) else np.zeros(lists.shape, np.bool_)
        return found & (lists >= 0) & _first_time(lists)


_NONE = np.zeros(0, np.int64)


def recall_at_k(lists: Ints, relevant: Relevant, k: int) -> Floats:
    """Share of the relevant items among the first k places: |top k ∩ relevant| / |relevant|.

    Args:
        lists: item rows best first, int64 [Q, K ≥ k], -1 pads.
        relevant: the relevant items of the Q queries.
        k: places that count.

    Returns:
        float64 [Q] in [0, 1]; NaN where nothing is relevant. Below 1 at best where |relevant| > k.

    Raises:
        InputError: `lengths-differ`, `list-too-short`.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval (2008), chapter 8.

    >>> recall_at_k(np.array([[4, 2, 9]]), Relevant.of([{2, 7}]), 3).tolist()
    [0.5]
    """
    return _over(_top(lists, relevant, k).sum(axis=1), relevant.count)


def hit_rate_at_k(lists: Ints, relevant: Relevant, k: int) -> Floats:
    """Whether any of the first k places is relevant.

    Args:
        lists: item rows best first, int64 [Q, K ≥ k], -1 pads.
        relevant: the relevant items of the Q queries.
        k: places that count.

    Returns:
        float64 [Q] of 0 or 1; NaN where nothing is relevant.

    Raises:
        InputError: `lengths-differ`, `list-too-short`.

    >>> hit_rate_at_k(np.array([[4, 2], [5, 6]]), Relevant.of([{2, 7}, {1}]), 2).tolist()
    [1.0, 0.0]
    """
    return _over(_top(lists, relevant, k).max(axis=1), np.minimum(relevant.count, 1))


def ndcg_at_k(lists: Ints, relevant: Relevant, k: int) -> Floats:
    """Discounted gain of the first k places over that of the best possible list; gains are 0 or 1.

    NDCG@k = Σ_{i ≤ k} hit_i / log₂(i + 1)  /  Σ_{i ≤ min(k, |relevant|)} 1 / log₂(i + 1)

    Args:
        lists: item rows best first, int64 [Q, K ≥ k], -1 pads.
        relevant: the relevant items of the Q queries.
        k: places that count.

    Returns:
        float64 [Q] in [0, 1]; NaN where nothing is relevant.

    Raises:
        InputError: `lengths-differ`, `list-too-short`.

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM TOIS 20 (2002).

    >>> ndcg_at_k(np.array([[4, 2, 9]]), Relevant.of([{2}]), 3).round(4).tolist()
    [0.6309]
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([0.0], np.cumsum(discount)))[np.minimum(relevant.count, k)]
    return _over(_top(lists, relevant, k) @ discount, ideal)


def mrr_at_k(lists: Ints, relevant: Relevant, k: int) -> Floats:
    """One over the place of the first relevant item among the first k; 0 when there is none.

    Args:
        lists: item rows best first, int64 [Q, K ≥ k], -1 pads.
        relevant: the relevant items of the Q queries.
        k: places that count.

    Returns:
        float64 [Q] in [0, 1]; NaN where nothing is relevant. Its mean over queries is the MRR.

    Raises:
        InputError: `lengths-differ`, `list-too-short`.

    Source: Voorhees, The TREC-8 question answering track report (1999).

    >>> mrr_at_k(np.array([[4, 2, 9]]), Relevant.of([{2, 9}]), 3).tolist()
    [0.5]
    """
    hits = _top(lists, relevant, k)
    return _over(hits.any(axis=1) / (hits.argmax(axis=1) + 1.0), np.minimum(relevant.count, 1))


def average_precision_at_k(lists: Ints, relevant: Relevant, k: int) -> Floats:
    """Mean precision at the places of the relevant items, over min(k, |relevant|).

    AP@k = Σ_{i ≤ k} hit_i · (hits up to i) / i  /  min(k, |relevant|)

    Args:
        lists: item rows best first, int64 [Q, K ≥ k], -1 pads.
        relevant: the relevant items of the Q queries.
        k: places that count.

    Returns:
        float64 [Q] in [0, 1]; NaN where nothing is relevant. Its mean over queries is MAP@k.

    Raises:
        InputError: `lengths-differ`, `list-too-short`.

    Source: Manning, Raghavan and Schütze, Introduction to Information Retrieval (2008), chapter 8.

    >>> average_precision_at_k(np.array([[4, 2, 9]]), Relevant.of([{4, 9}]), 3).round(4).tolist()
    [0.8333]
    """
    hits = _top(lists, relevant, k)
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return _over((hits * precision).sum(axis=1), np.minimum(relevant.count, k))


def _top(lists: Ints, relevant: Relevant, k: int) -> Mask:
    if not 1 <= k <= lists.shape[1]:
        raise InputError(
            Problem(
                "list-too-short", f"k is {k} but lists have {lists.shape[1]} places",
                fix="ask the retriever for at least k rows; pad shorter lists with -1",
            )
        )  # fmt: skip
    return relevant.hits(lists[:, :k])


def _over(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    out: Floats = np.full(len(a), np.nan)
    np.divide(a, b, out=out, where=b > 0)
    return out


def _first_time(lists: Ints) -> Mask:
    """Whether a row has not stood at an earlier place of the same list, bool [Q, K]."""
    order = np.argsort(lists, axis=1, kind="stable")
    ordered = np.take_along_axis(lists, order, axis=1)
    first = np.ones(lists.shape, np.bool_)
    np.put_along_axis(first, order[:, 1:], ordered[:, 1:] != ordered[:, :-1], axis=1)
    return first
