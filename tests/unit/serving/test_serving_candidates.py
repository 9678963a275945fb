"""Merging what sources propose."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from winnow.core.candidates import Candidates, merge


def proposal(*rows):
    return np.array(rows, np.int64), -np.arange(len(rows), dtype=np.float32)


def test_each_item_once_with_all_its_sources():
    merged = merge([proposal(5, 3), None, proposal(3, 9)], limit=10)
    assert dict(zip(merged.rows, merged.sources, strict=True)) == {5: 0b001, 3: 0b101, 9: 0b100}
    scores = merged.source_scores[list(merged.rows).index(3)]
    np.testing.assert_array_equal(scores, [-1, np.nan, 0])


def test_nothing_from_nobody():
    for nothing in ([], [None], [proposal()], [None, proposal()]):
        assert len(merge(nothing, limit=5)) == 0


@given(st.lists(st.none() | st.lists(st.integers(0, 30), unique=True, max_size=12), max_size=4), st.integers(1, 20))
def test_the_best_of_every_source_stay(lists, limit):
    merged = merge([None if rows is None else proposal(*rows) for rows in lists], limit=limit)
    everything = {r for rows in lists if rows for r in rows}
    assert len(merged) == min(limit, len(everything))
    assert set(merged.rows.tolist()) <= everything
    best = {rows[0] for rows in lists if rows}
    assert best <= set(merged.rows.tolist()) or len(best) > limit
    for row, mask in zip(merged.rows.tolist(), merged.sources.tolist(), strict=True):
        assert mask == sum(1 << s for s, rows in enumerate(lists) if rows and row in rows)


def test_ordering_is_stable_and_keeps_rows_together():
    candidates = Candidates.of(np.array([4, 7, 2]), np.array([1, 2, 3])).by(np.array([0.5, 0.9, 0.5]))
    assert candidates.rows.tolist() == [7, 4, 2]
    assert candidates.sources.tolist() == [2, 1, 3]
