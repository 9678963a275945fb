import math
from collections import defaultdict
from datetime import timedelta

import numpy as np
import pytest

from winnow.retrieval.covisit import Neighbours, neighbours

DAY = 86_400_000_000


def slow(users, items, at, *, before, half_life_days, last, shrink):
    """The definition, pair by pair."""
    seen = defaultdict(dict)
    for u, i, t in zip(users, items, at, strict=True):
        if t < before and i >= 0:
            seen[u][i] = max(t, seen[u].get(i, t))
    seen = {u: dict(sorted(v.items(), key=lambda x: -x[1])[:last]) for u, v in seen.items()}
    weights = {u: {i: 2 ** ((t - before) / DAY / half_life_days) for i, t in v.items()} for u, v in seen.items()}
    norm, dot, both = defaultdict(float), defaultdict(float), defaultdict(int)
    for own in weights.values():
        for i, w in own.items():
            norm[i] += w * w
            for j, v in own.items():
                if i != j:
                    dot[i, j] += w * v
                    both[i, j] += 1
    return {(i, j): d / math.sqrt(norm[i] * norm[j]) * both[i, j] / (both[i, j] + shrink) for (i, j), d in dot.items()}


@pytest.mark.parametrize("block", [3, 2_048])
def test_scores_equal_the_definition(monkeypatch, block):
    monkeypatch.setattr("winnow.retrieval.covisit._BLOCK", block)
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 15, 200), rng.integers(-1, 20, 200)
    at = rng.permutation(200) * DAY // 10
    options = {"before": 18 * DAY, "last": 6, "shrink": 2.0}
    found = neighbours(users, items, at, size=20, top=19, half_life=timedelta(days=4), **options)
    expected = slow(users.tolist(), items.tolist(), at.tolist(), half_life_days=4, **options)
    got = {
        (i, int(j)): float(s)
        for i in range(20)
        for j, s in zip(found.rows[i], found.scores[i], strict=True)
        if j >= 0
    }  # fmt: skip
    assert got.keys() == expected.keys()
    for pair, score in expected.items():
        assert got[pair] == pytest.approx(score, rel=1e-4)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    few = neighbours(users, items, at, size=20, top=4, half_life=timedelta(days=4), **options)
    np.testing.assert_array_equal(few.scores, found.scores[:, :4])
    assert (few.rows[:, 3] >= 0).any()


def test_later_events_change_nothing():
    rng = np.random.default_rng(0)
    users, items, at = rng.integers(0, 30, 500), rng.integers(0, 40, 500), rng.integers(0, 100, 500)
    past = at < 60
    options = {"before": 60, "half_life": timedelta(days=1), "size": 40, "top": 10}
    a = neighbours(users, items, at, **options)
    b = neighbours(users[past], items[past], at[past], **options)
    np.testing.assert_array_equal(a.rows, b.rows)


def test_neighbours_of_several_seeds_leave_the_seeds_out():
    table = Neighbours(
        np.array([[1, 2], [0, 2], [-1, -1], [2, -1]], np.int32),
        np.array([[0.9, 0.5], [0.9, 0.3], [0, 0], [0.2, 0]], np.float32),
    )
    rows, scores = table.of(np.array([0, 3, -1, 99]), 5)
    assert rows.tolist() == [1, 2]
    np.testing.assert_allclose(scores, [0.9, 0.7])
    rows, scores = table.of(np.array([0, 1]), 5, np.array([1, 2], np.float32))
    assert rows.tolist() == [2]
    assert scores.tolist() == pytest.approx([1.1])
    assert table.of(np.array([2]), 5)[0].tolist() == []
    assert table.of(np.zeros(0, np.int64), 5)[0].tolist() == []


def test_no_events_have_no_neighbours_and_a_table_is_saved(tmp_path):
    none = np.zeros(0, np.int64)
    table = neighbours(none, none, none, before=5, half_life=timedelta(days=1), size=4, top=3)
    assert (table.rows == -1).all()
    table.save(tmp_path / "covisit.npz")
    again = Neighbours.open(tmp_path / "covisit.npz")
    assert again.rows.shape == (4, 3)
    assert again.rows.dtype == np.int32


def test_a_log_of_many_years_that_ended_long_ago_still_has_neighbours():
    year = 365 * 86_400 * 1_000_000
    users = np.repeat(np.arange(6), 2)
    items = np.tile([0, 1], 6)
    at = np.repeat(np.arange(6) * 4 * year, 2)
    found = neighbours(users, items, at, before=60 * year, half_life=timedelta(days=30), size=2)
    assert found.rows[0, 0] == 1
    assert found.scores[0, 0] > 0
