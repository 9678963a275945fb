"""Friends of friends and PageRank against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.core.errors import InputError
from winnow.core.time import to_us
from winnow.data.graph import Graph
from winnow.data.graph_live import LiveGraph
from winnow.data.graph_pairs import HALF_LIFE
from winnow.retrieval.graph import friends_of_friends, pagerank, pushed
from winnow.retrieval.graph_lists import Lists, precompute

SIZE = 12
DAY = 86_400_000_000
NOW = 400 * DAY
pairs = st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1), st.integers(0, 400)), max_size=50)
BY = ("adamic_adar", "resource", "common", "faded")
BRIEF = settings(max_examples=50, deadline=None)


def dense(made):
    """The graph, and its ties as a matrix of times, NaN where there is none."""
    a, b, at = np.array(made, np.int64).reshape(-1, 3).T
    graph = Graph.of(a, b, at * DAY, size=SIZE)
    times = np.full((SIZE, SIZE), np.nan)
    low, high, when = graph.pairs()
    times[low, high] = times[high, low] = when
    return graph, times


def expected(times, person, by, friends=None):
    """{row: (score, shared friends)} of everybody at two steps, by loops."""
    tied = ~np.isnan(times)
    mine = np.flatnonzero(tied[person]) if friends is None else np.unique(friends)
    found = {}
    for z in mine:
        degree = max(int(tied[z].sum()), 2)
        for other in np.flatnonzero(tied[z]):
            if other == person or other in mine:
                continue
            since = times[person, z] if tied[person, z] else NOW
            fade = 2 ** -((2 * NOW - since - times[z, other]) / (2 * to_us(HALF_LIFE)))
            weight = {"adamic_adar": 1 / np.log(degree), "resource": 1 / degree, "common": 1, "faded": fade}[by]
            score, many = found.get(other, (0, 0))
            found[other] = (score + weight, many + 1)
    return found


@given(pairs, st.sampled_from(BY), st.integers(1, 12), st.one_of(st.none(), st.lists(st.integers(0, 11), max_size=5)))
@BRIEF
def test_friends_of_friends_against_loops(made, by, k, friends):
    graph, times = dense(made)
    times = np.pad(times, (0, 2), constant_values=np.nan)
    for person in (0, 5, SIZE + 1):
        known = None if friends is None else np.array([f for f in friends if f != person], np.int64)
        near = expected(times, person, by, known)
        found = friends_of_friends(graph, person, k, friends=known, by=by, now=NOW)
        assert len(found.rows) == min(k, len(near))
        assert dict(zip(found.rows, found.mutual, strict=True)) == {r: near[r][1] for r in found.rows}
        assert found.scores == pytest.approx([near[r][0] for r in found.rows], rel=1e-5)
        least = min((near[r][0] for r in found.rows), default=0)
        assert all(near[r][0] <= least * (1 + 1e-9) for r in near.keys() - set(found.rows.tolist()))
        ordered = sorted(zip(-found.scores, found.rows, strict=True))
        assert [-s for s, _ in ordered] == found.scores.tolist()


@given(pairs, st.integers(1, 30))
@BRIEF
def test_the_bound_leaves_out_popular_friends_and_counts_all_shared_ones(made, paths):
    graph, times = dense(made)
    for person in range(SIZE):
        near = expected(times, person, "common")
        found = friends_of_friends(graph, person, by="common", paths=paths)
        assert set(found.rows.tolist()) <= near.keys()
        assert found.mutual.tolist() == [near[r][1] for r in found.rows.tolist()]
        assert (found.scores <= found.mutual).all()
        friends = graph.neighbours(person)
        lightest = friends[np.argsort(graph.degrees(friends), kind="stable")][:1]
        if len(lightest) and graph.degrees(lightest)[0] <= paths:
            fresh = set(graph.neighbours(int(lightest[0])).tolist()) - {person} - set(friends.tolist())
            assert fresh <= set(found.rows.tolist())


@given(pairs, st.sampled_from([0.1, 1e-2, 1e-4]))
@BRIEF
def test_pagerank_is_within_its_error(made, error):
    graph, times = dense(made)
    tied = (~np.isnan(times)).astype(float)
    degree = tied.sum(1)
    step = np.where(degree[:, None] > 0, tied / np.maximum(degree, 1)[:, None], np.eye(SIZE))
    exact = 0.15 * np.linalg.inv(np.eye(SIZE) - 0.85 * step)
    for person in range(0, SIZE, 3):
        mine = graph.neighbours(person).astype(np.int64)
        rows, kept = pushed(graph, person, mine, stop=0.15, error=error, rounds=1_000, paths=10**9)
        near = np.zeros(SIZE)
        near[rows] = kept
        short = exact[person] - near
        assert (short >= -1e-9).all()
        assert (short <= error * np.maximum(degree, 1) + 1e-9).all()
        found = pagerank(graph, person, 3, error=error)
        assert not set(found.rows.tolist()) & {person, *mine.tolist()}


@given(pairs, st.tuples(st.integers(0, 11), st.integers(0, 11)))
@BRIEF
def test_a_live_tie_is_seen_by_the_next_look_up(made, new):
    graph, _ = dense(made)
    one, two = new
    if one == two:
        return
    live = LiveGraph(graph)
    live.tie([one], [two], NOW)
    after = Graph.of(*(np.append(a, b) for a, b in zip(graph.pairs(), (one, two, NOW), strict=True)), size=SIZE)
    for person in range(SIZE):
        found, wanted = friends_of_friends(live.seen(), person), friends_of_friends(after, person)
        assert found.rows.tolist() == wanted.rows.tolist()
        assert two not in found.rows or person not in (one, two)


def test_lists_of_everybody_are_those_of_each(tmp_path):
    rng = np.random.default_rng(0)
    graph = Graph.of(*rng.integers(0, 300, (2, 900)), size=300, as_of=7)
    graph.save(tmp_path / "graph")
    who = np.array([299, 0, 17, 17])
    lists = precompute(tmp_path / "graph", who, 5, processes=2)
    assert lists.people.tolist() == [0, 17, 299]
    lists.save(tmp_path / "lists")
    opened = Lists.open(tmp_path / "lists")
    assert opened.as_of == 7
    for person in (0, 17, 299):
        one, many = friends_of_friends(graph, person, 5), opened.of(person)
        assert all(np.array_equal(a, b) for a, b in zip(one, many, strict=True))
    assert len(opened.of(3).rows) == 0
    assert all(np.array_equal(getattr(lists, n), getattr(precompute(graph, who, 5), n)) for n in ("rows", "mutual"))
    (tmp_path / "lists" / "rows.npy").write_bytes(b"")
    with pytest.raises(InputError) as error:
        Lists.open(tmp_path / "lists")
    assert error.value.code == "graph-corrupt"
