"""Replays: metrics over everything that could be chosen, against a plain second implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.core.errors import InputError
from winnow.evaluation.replay import Asked, Scored, compare, evaluate, measured
from winnow.evaluation.report import pick


def drawn(seed: int, queries: int = 12) -> tuple[Asked, np.ndarray]:
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 30, queries)
    query = np.repeat(np.arange(queries), sizes)
    relevant = random.random(len(query)) < 0.2
    asked = Asked(query, random.integers(0, 99, len(query)), relevant, random.integers(0, 5, queries))
    return asked, random.permutation(len(query)) / len(query)


def plainly(right: list[bool], k: int) -> tuple[float, float, float, float]:
    """AP, RR, recall@k and NDCG@k of one list, best first."""
    hits = [place for place, hit in enumerate(right, 1) if hit]
    if not hits:
        return (np.nan,) * 4
    ideal = sum(1 / np.log2(p + 1) for p in range(1, min(len(hits), k) + 1))
    return (
        float(np.mean([n / place for n, place in enumerate(hits, 1)])), 1 / hits[0],
        sum(p <= k for p in hits) / len(hits), sum(1 / np.log2(p + 1) for p in hits if p <= k) / ideal,
    )  # fmt: skip


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_metrics_are_those_of_each_list(seed, k):
    asked, scores = drawn(seed)
    found = measured(asked, scores, k=k)
    for q in range(len(asked)):
        mine = asked.query == q
        order = np.argsort(-scores[mine])
        expected = plainly(asked.relevant[mine][order].tolist(), k)
        assert [found[m][q] for m in ("map", "mrr", f"recall@{k}", f"ndcg@{k}")] == pytest.approx(expected, nan_ok=True)


def test_equal_scores_earn_what_chance_earns():
    """A model that says nothing must not profit from the order in which items are listed."""
    queries, size = 400, 20
    query = np.repeat(np.arange(queries), size)
    last = np.tile(np.arange(size) == size - 1, queries)
    asked = Asked(query, np.tile(np.arange(size), queries), last, np.arange(queries))
    found = measured(asked, np.zeros(len(query)))
    assert found["recall@10"].mean() == pytest.approx(0.5, abs=0.08)
    assert found["mrr"].mean() == pytest.approx((1 / np.arange(1, size + 1)).mean(), abs=0.05)


def test_records_carry_slices_and_paired_differences():
    asked, scores = drawn(3, queries=60)
    asked = Asked(asked.query, asked.item, asked.relevant, asked.users, {"new user": asked.users == 0})
    good = Scored("L2", "Good", scores + asked.relevant, "register")
    bad = Scored("L0", "Bad", scores, "register")
    records = evaluate([bad, good], asked, stage="ranking")
    assert {r["slice"] for r in records} == {"all", "new user"}
    assert pick(records, model="Good", metric="map", slice="all")[0]["value"] == 1
    (apart,) = pick(compare(good, bad, asked, stage="ranking"), metric="map", slice="all")
    assert apart["low"] is not None
    assert apart["low"] > 0


def test_scores_that_cannot_be_ordered_are_refused():
    asked, scores = drawn(1)
    with pytest.raises(InputError, match="scores for"):
        measured(asked, scores[1:])
    with pytest.raises(InputError, match="NaN"):
        measured(asked, np.where(np.arange(len(scores)) == 2, np.nan, scores))
