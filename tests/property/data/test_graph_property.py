"""Graphs against plain dictionaries: whatever is made, ended, merged and saved, look-ups say what a dictionary says."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.core.time import days, to_us
from winnow.data.graph import NEVER, Graph
from winnow.data.graph_live import LiveGraph, View
from winnow.data.graph_pairs import mutuals, pair_scores, shared

SIZE = 9
row = st.integers(-1, SIZE)
ties = st.lists(st.tuples(row, row, st.integers(0, 50)), max_size=40)
changes = st.lists(st.lists(st.tuples(row, row, st.one_of(st.none(), st.integers(0, 50))), max_size=4), max_size=5)
BRIEF = settings(max_examples=50, deadline=None)


def plain(made):
    """{pair: time}, the newest time of each."""
    held = {}
    for a, b, at in made:
        if 0 <= a < SIZE and 0 <= b < SIZE and a != b:
            held[min(a, b), max(a, b)] = max(at, held.get((min(a, b), max(a, b)), at))
    return held


def around(held, v):
    """{neighbour: time} of a row."""
    return {(b if a == v else a): at for (a, b), at in held.items() if v in (a, b)}


def built(made, size=SIZE):
    a, b, at = np.array(made, np.int64).reshape(-1, 3).T
    return Graph.of(a, b, at, size=size)


def agrees(graph, held, rows=range(-1, SIZE + 3)):
    """Every look-up says what the dictionary says."""
    rows = np.array(rows)
    near = [around(held, v) for v in rows.tolist()]
    assert graph.degrees(rows).tolist() == [len(n) for n in near]
    assert [graph.neighbours(v).tolist() for v in rows.tolist()] == [sorted(n) for n in near]
    fan = graph.gather(rows)
    assert fan.place.tolist() == [i for i, n in enumerate(near) for _ in n]
    assert fan.ends.tolist() == [v for n in near for v in sorted(n)]
    assert fan.times.tolist() == [n[v] for n in near for v in sorted(n)]
    one, two = (side.ravel() for side in np.meshgrid(rows, rows))
    expected = [held.get((min(a, b), max(a, b)), NEVER) for a, b in zip(one.tolist(), two.tolist(), strict=True)]
    assert graph.since(one, two).tolist() == expected
    assert graph.tied(one, two).tolist() == [at != NEVER for at in expected]
    for moment in (0, 20, 51):
        early = [sum(at < moment for at in n.values()) for n in near]
        assert graph.degrees_before(rows, moment).tolist() == early


@given(ties)
@BRIEF
def test_a_snapshot_says_what_a_dictionary_says(made):
    graph, held = built(made), plain(made)
    agrees(graph, held)
    assert graph.edges == len(held)
    low, high, times = (a.tolist() for a in graph.pairs())
    assert dict(zip(zip(low, high, strict=True), times, strict=True)) == held
    with tempfile.TemporaryDirectory() as folder:
        graph.save(Path(folder))
        agrees(Graph.open(Path(folder)), held)


@given(ties, st.lists(st.tuples(row, row), max_size=5))
@BRIEF
def test_ties_may_be_left_out(made, gone):
    held = plain(made)
    for a, b in gone:
        held.pop((min(a, b), max(a, b)), None)
    agrees(built(made).without(*np.array(gone, np.int64).reshape(-1, 2).T), held)


@given(ties, changes, st.integers(0, 5))
@BRIEF
def test_changes_show_at_once_and_go_into_the_next_snapshot(made, batches, merge_after):
    live, held = LiveGraph(built(made)), plain(made)
    for turn, batch in enumerate(batches):
        before, then = live.seen(), dict(held)
        for a, b, at in batch:
            if a >= 0 and b >= 0 and a != b:
                held.pop((min(a, b), max(a, b)), None)
                held |= {} if at is None else {(min(a, b), max(a, b)): at}
            if at is None:
                live.untie([a], [b])
            else:
                live.tie([a], [b], at)
        agrees(live.seen(), held)
        agrees(before, then)  # a view that was taken never changes
        if turn == merge_after:
            live.merge()
            assert live.changes == 0
            agrees(live.seen(), held)
    agrees(live.merge(), held)


@given(ties, st.lists(st.tuples(row, row, st.one_of(st.none(), st.integers(0, 50))), max_size=8))
@BRIEF
def test_the_last_word_on_a_pair_in_one_batch_holds(made, batch):
    held = plain(made)
    real = [(a, b, at) for a, b, at in batch if a >= 0 and b >= 0 and a != b]
    for a, b, at in real:
        held.pop((min(a, b), max(a, b)), None)
        held |= {} if at is None else {(min(a, b), max(a, b)): at}
    a, b, at = np.array([(a, b, NEVER if at is None else at) for a, b, at in real], np.int64).reshape(-1, 3).T
    agrees(View.of(built(made)).changed(a, b, at), held)


def test_changes_during_a_merge_are_kept():
    live = LiveGraph(built([(0, 1, 5), (1, 2, 6)]))
    live.tie([2], [3], 7)
    view, live._later = live.seen(), []  # what `merge` does first
    live.untie([0], [1])
    live.renew(view.merged())
    agrees(live.seen(), {(1, 2): 6, (2, 3): 7})
    assert live.changes == 2


@given(ties, st.integers(0, 55))
@BRIEF
def test_pair_scores_against_sets(made, moment):
    """With and without a moment, on a snapshot and on a view; the tie between the two never counts."""
    held, until = plain(made), moment if moment < 52 else 10**9
    seen = {pair: at for pair, at in held.items() if at < until}
    one, two = (side.ravel() for side in np.meshgrid(np.arange(-1, SIZE + 1), np.arange(-1, SIZE + 1)))
    differ = one != two
    one, two = one[differ], two[differ]
    graph = built(made)
    live = LiveGraph(built(made[::2]))
    for a, b, at in made[1::2]:
        if min(a, b) >= 0 and max(a, b) < SIZE and live.seen().since([a], [b])[0] < at:
            live.tie([a], [b], at)
    half_life = days(20e-6 / 86_400)  # 20 microseconds
    assert to_us(half_life) == 20
    for g in (graph, live.seen()):
        found = pair_scores(g, one, two, before=until, now=60, half_life=half_life)
        for i, (a, b) in enumerate(zip(one.tolist(), two.tolist(), strict=True)):
            expected = by_sets(seen, a, b)
            for name, value in expected.items():
                assert found[name][i] == pytest.approx(value, rel=1e-5), (name, a, b)


def by_sets(held, a, b):
    """The scores of a pair from sets, less the tie between the two."""
    tied = (min(a, b), max(a, b)) in held
    held = {pair: at for pair, at in held.items() if set(pair) != {a, b}}
    mine, theirs = around(held, a), around(held, b)
    both = mine.keys() & theirs.keys()
    degree = {z: len(around(held, z)) for z in both}
    return {
        "common": len(both),
        "adamic_adar": sum(1 / np.log(degree[z]) for z in both),
        "resource": sum(1 / degree[z] for z in both),
        "faded": sum(2 ** (-(60 - mine[z] + 60 - theirs[z]) / 40) for z in both),
        "jaccard": len(both) / max(len(mine.keys() | theirs.keys()), 1),
        "preferential": len(mine) * len(theirs),
        "degree_first": len(mine),
        "degree_second": len(theirs),
        "tied": int(tied),
    }


@given(ties)
@BRIEF
def test_shared_neighbours_are_the_same_from_either_side(made):
    graph, held = built(made), plain(made)
    for a in range(SIZE):
        for b in range(SIZE):
            if a != b:
                both = sorted(around(held, a).keys() & around(held, b).keys())
                assert mutuals(graph, a, b).tolist() == both
                assert sorted(shared(graph, [a], [b]).rows.tolist()) == both == sorted(shared(graph, [b], [a]).rows)
