"""What a vector index finds, holds and refuses is exported."""

from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from winnow.core.errors import Conflict
from winnow.http.site import observe_index
from winnow.monitoring import metrics
from winnow.retrieval import kinds
from winnow.serving.vectors import VectorSpace

ITEMS, D = 3_000, 16


class Sides:
    """The vector of an item is a row of a matrix; a query is its user's."""

    def __init__(self):
        self.vectors = np.random.default_rng(0).normal(size=(ITEMS + 10, D)).astype(np.float32)

    def query(self, query, kit):
        return self.vectors[query.user][None] if query.user >= 0 else None

    def items(self, rows, state, at):
        return self.vectors[rows]


@pytest.fixture
def space():
    sides = Sides()
    return VectorSpace(
        kinds.build(sides.vectors[:ITEMS], np.arange(ITEMS), "v1", kind="IVF"), encoder="v1", sides=sides
    )


@pytest.fixture
def desk(space, request):
    """As much of a desk as is looked at; the figures of one test are not those of another."""
    labels = SimpleNamespace(item=SimpleNamespace(name="film"))
    system = SimpleNamespace(name=request.node.name, labels=labels)
    return SimpleNamespace(ready=True, system=system, kit=SimpleNamespace(bundle=SimpleNamespace(vectors=space)))


def figures(desk):
    text = metrics.exposition().decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return {s.name: s.value for s in samples if s.labels.get("system") == desk.system.name and "index" in s.labels}


def follow(space, rows=()):
    exists = np.ones(ITEMS + len(rows), bool)
    space.follow(exists, np.array(rows, np.int64), None, at=0, seq=0)


def test_recall_size_and_age_are_exported(space, desk):
    for user in range(40):
        space.search(SimpleNamespace(user=user, allowed=None), None, 10)
    follow(space, rows=range(ITEMS, ITEMS + 10))
    space.probe.refresh()
    observe_index(desk, space.probe.last)
    found = figures(desk)
    assert space.probe.last.asked
    assert 0.9 < found["winnow_index_recall"] <= 1
    assert found["winnow_index_items"] == ITEMS + 10
    assert found["winnow_index_made_timestamp_seconds"] == pytest.approx(space.index.snapshot.base.made_at / 1e6)


def test_an_index_that_finds_little_says_so(space, desk):
    space.index.snapshot.base.breadth = 1
    follow(space)
    space.probe.refresh()
    observe_index(desk, space.probe.last)
    assert figures(desk)["winnow_index_recall"] < 0.9


def test_vectors_of_another_encoder_are_counted(space, desk):
    space.encoder = "v2"  # the index is of v1
    for _ in range(3):
        with pytest.raises(Conflict, match="encoder v2 meet an index of encoder v1"):
            space.search(SimpleNamespace(user=1, allowed=None), None, 10)
    with pytest.raises(Conflict):
        follow(space, rows=[ITEMS])
    space.probe.refresh()
    observe_index(desk, space.probe.last)
    space.probe.refresh()
    observe_index(desk, space.probe.last)
    assert figures(desk)["winnow_index_refused_total"] == 4
