"""What a row may see of the graph while a model learns from it."""

import numpy as np
import torch

from winnow.data.graph import Graph
from winnow.features.batch import FeatureBatch
from winnow.models.examples import Catalogue, Web
from winnow.models.graph_people import Sides
from winnow.models.graph_ranker import GraphSage
from winnow.models.graph_sampler import Sampler
from winnow.models.inputs import Inputs, Numerics
from winnow.models.networks.graph import everybody
from winnow.models.networks.graph_fit import built, own_inputs

EVER = np.iinfo(np.int64).max


def drawn(graph, rows, moments, many, but=None):
    ask = np.asarray(rows), np.asarray(moments)
    return Sampler(graph).draw(*ask, many, rng=np.random.default_rng(0), but=None if but is None else np.array(but))


def test_only_ties_before_the_moment_and_never_the_partner():
    graph = Graph.of([0, 0, 0, 1], [1, 2, 3, 2], [10, 20, 30, 5], size=5)
    near = drawn(graph, [0, 0, 0, 4, -1], [31, 30, 10, 99, 99], 4, [2, 3, 1, 0, 0])
    assert [set(r.tolist()) - {-1} for r in near.rows] == [{1, 3}, {1, 2}, set(), set(), set()]
    assert near.degrees.tolist() == [2, 2, 0, 0, 0]  # at 30 the tie to 3 was not yet made: nothing to leave out


def test_many_ties_are_drawn_without_doubles_and_evenly():
    graph = Graph.of(np.zeros(100, int), np.arange(1, 101), np.arange(100), size=101)
    rows = drawn(graph, np.zeros(2_000, int), np.full(2_000, 90), 9).rows
    assert (np.sort(rows, axis=1)[:, 1:] != np.sort(rows, axis=1)[:, :-1]).all()
    counts = np.bincount(rows.ravel(), minlength=101)
    assert counts[91:].sum() == 0 == counts[0]
    assert abs(counts[1:91] - 200).max() < 80


def network(graph, sizes=(16, 16)):
    """A network over a graph, with neighbours drawn until there are no more."""
    who = np.arange(graph.size)
    people = Catalogue(who, FeatureBatch(np.cos(who)[:, None].astype(np.float32), ("age",)))
    web = Web(graph, people)
    own = own_inputs(Sides(("a", "b"), ("", "")), people, 1)
    none = Inputs(Numerics((), np.empty((0, 65)), np.empty((0, 65))), {}, {})
    torch.manual_seed(0)
    return built(GraphSage(drawn=sizes), none, own, web=web, types=("binary",), seed=0).eval()


def some_graph(seed=0, size=40, many=120):
    rng = np.random.default_rng(seed)
    return Graph.of(*rng.integers(0, size, (2, many)), rng.integers(0, 50, many), size=size)


def test_all_neighbours_drawn_give_the_vectors_of_the_release():
    graph = some_graph()
    net, rows = network(graph), np.arange(graph.size)
    stored, _ = everybody(net, graph)
    with torch.no_grad():
        found = net.vectors(rows, np.full(graph.size, -5), np.full(graph.size, EVER)).numpy()
    assert np.allclose(found, stored, atol=1e-5)


def test_a_vector_is_the_same_whether_or_not_its_own_tie_is_there():
    """The leak: without the second argument of `vectors` a pair that is tied would look another way than one that is
    not, and a model would learn to tell that instead of who will be tied."""
    graph = some_graph(1, many=70)
    low, high, _ = graph.pairs()
    for one, two in list(zip(low.tolist(), high.tolist(), strict=True))[:8]:
        without = graph.without([one], [two])
        vectors = []
        for g in (graph, without):
            net = network(g)
            with torch.no_grad():
                ask = np.array([one, two]), np.array([two, one]), np.full(2, EVER)
                vectors.append(net.vectors(*ask).numpy())
                blind = net.vectors(ask[0], np.full(2, -5), ask[2]).numpy()
        assert np.allclose(*vectors, atol=1e-6)
        assert np.allclose(vectors[1], blind, atol=1e-6)
    with torch.no_grad():
        seen = network(graph).vectors(ask[0], np.full(2, -5), ask[2]).numpy()
    assert not np.allclose(seen, vectors[0], atol=1e-3)


def test_what_came_later_changes_nothing():
    graph = some_graph(2)
    low, high, at = graph.pairs()
    early = at < 25
    before = Graph.of(low[early], high[early], at[early], size=graph.size)
    rows, nobody, moment = np.arange(graph.size), np.full(graph.size, -5), np.full(graph.size, 25)
    with torch.no_grad():
        now, then = (network(g).vectors(rows, nobody, moment).numpy() for g in (graph, before))
    assert np.allclose(now, then, atol=1e-6)
