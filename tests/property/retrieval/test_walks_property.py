"""Walks against dense matrices, and the leak that pair models must not have."""

import numpy as np
import pytest
from benchmarks.links.protocol import held_out, told
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csgraph

from winnow.data.graph import Graph
from winnow.evaluation.metrics import auc
from winnow.retrieval.graph_walks import Walks, adjacency, all_scores, surroundings

SIZE = 10
pairs = st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1)), max_size=30)
BRIEF = settings(max_examples=40, deadline=None)


@given(pairs)
@BRIEF
def test_walks_against_dense_matrices(made):
    graph = Graph.of(*np.array(made, np.int64).reshape(-1, 2).T, size=SIZE)
    dense = adjacency(graph).toarray().astype(float)
    one, two = (a.ravel() for a in np.meshgrid(np.arange(SIZE), np.arange(SIZE)))
    apart = (one != two) & ~graph.tied(one, two)
    one, two = one[apart], two[apart]
    found = Walks(steps=40, kept=(2, 5)).scores(graph, one, two)
    distance = csgraph.shortest_path(dense, unweighted=True)[one, two]
    assert np.array_equal(found["distance"], np.where(np.isinf(distance), 45, distance))
    powers = [np.linalg.matrix_power(dense, n) for n in range(6)]
    assert np.array_equal(found["paths_3"], powers[3][one, two])
    assert found["katz"] == pytest.approx(sum(0.05**n * p for n, p in enumerate(powers))[one, two], rel=1e-4)
    degree = np.maximum(dense.sum(axis=1), 1)
    even = dense / np.sqrt(degree[:, None] * degree)
    assert found["walk_5"] == pytest.approx(np.linalg.matrix_power(even, 5)[one, two], abs=1e-5)
    rank = 0.15 * np.linalg.inv(np.eye(SIZE) - 0.85 * dense / degree[:, None])
    both = np.stack([rank[one, two], rank[two, one]])
    assert found["pagerank_low"] == pytest.approx(both.min(axis=0), abs=2e-3)
    assert found["pagerank_high"] == pytest.approx(both.max(axis=0), abs=2e-3)


def test_clustering_of_a_kite():
    graph = Graph.of([0, 0, 1, 2], [1, 2, 2, 3], size=5)
    around = surroundings(graph)
    assert around["clustering"] == pytest.approx([1, 1, 1 / 3, 0, 0])
    assert around["around"] == pytest.approx([2.5, 2.5, 5 / 3, 3, 0])


def circles(seed=0, people=240, size=12):
    """Ties within circles, and some between them."""
    rng = np.random.default_rng(seed)
    one, two = np.triu_indices(people, 1)
    chance = np.where(one // size == two // size, 0.5, 0.01)
    made = rng.random(len(one)) < chance
    return one[made], two[made], people


def test_held_out_ties_are_nowhere_to_be_seen():
    held = held_out(*circles(), seed=0)
    assert not held.graph.tied(held.test.one, held.test.two).any()
    assert len(held.test) == 2 * held.test.tied.sum()
    apart = held.test.tied == 0
    low, high, size = circles()
    whole = Graph.of(low, high, size=size)
    assert not whole.tied(held.test.one[apart], held.test.two[apart]).any()
    assert held.graph.edges + held.test.tied.sum() == whole.edges
    assert (held.train.tied == 0).any()


def test_training_pairs_are_told_from_graphs_without_them():
    """A pair that sees its own tie is at distance 1: then a model learns to ask for that, and fails the test."""
    held, seen = held_out(*circles(), seed=0), []

    def features(graph, one, two):
        seen.append(graph.tied(one, two).any())
        return all_scores(graph, one, two, Walks(steps=4, kept=(2, 3)))

    train, columns = told(held, features, seed=0)
    assert not any(seen)
    assert len(train) == len(held.train)
    test = features(held.graph, held.test.one, held.test.two)
    assert columns["distance"].min() == 2
    for name in ("adamic_adar", "katz", "pagerank_low"):
        taught, asked = auc(train.tied, columns[name].astype(float)), auc(held.test.tied, test[name].astype(float))
        assert abs(taught - asked) < 0.06, name
    leaky = all_scores(held.graph, held.train.one, held.train.two, Walks(steps=4, kept=(2, 3)))
    assert auc(held.train.tied, -leaky["distance"].astype(float)) == pytest.approx(1)
