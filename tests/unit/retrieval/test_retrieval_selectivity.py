"""Filtered search keeps its recall at every share of permitted items, wherever these lie; and what it costs."""

import time

import faiss
import numpy as np
import pytest

from winnow.retrieval import index as indexes
from winnow.retrieval import kinds
from winnow.retrieval.index import scan
from winnow.retrieval.live import Live
from winnow.retrieval.quantised import overlap

ITEMS, D, K = 20_000, 32, 10
SHARES = (0.0001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    centres, through = rng.normal(size=(100, 16)), rng.normal(size=(16, D))
    x = (centres[rng.integers(0, 100, ITEMS + 400)] + 0.7 * rng.normal(size=(ITEMS + 400, 16))) @ through
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return x[:ITEMS], x[ITEMS:]


@pytest.fixture(scope="module", params=["Exact", "HNSW", "IVF", "PQ"])
def live(request, world):
    return Live(kinds.build(world[0], np.arange(ITEMS), "v1", kind=request.param))


@pytest.fixture(autouse=True)
def only_shares_decide(monkeypatch):
    """So few items would always be compared one by one; here as with millions, where at most 2 % are."""
    monkeypatch.setattr(indexes, "SCAN_NUMBERS", 0)


def regions(world, share):
    """Mask and queries: spread evenly, and one region with queries from inside and outside of it."""
    items, queries = world
    near, asked = items @ items[5], np.argsort(queries @ items[5])
    region = near >= np.sort(near)[-max(int(share * ITEMS), 1)]
    return {
        "random": (np.random.default_rng(1).random(ITEMS) < share, queries[:50]),
        "inside": (region, queries[asked[-50:]]),
        "outside": (region, queries[asked[:50]]),
    }


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("where", ["random", "inside", "outside"])
def test_recall_is_kept(live, world, share, where):
    mask, queries = regions(world, share)[where]
    kept = np.flatnonzero(mask)
    found = live.search(queries, K, mask, encoder="v1").rows
    assert mask[found[found >= 0]].all()
    if len(kept):
        exact = kept[scan(world[0][kept], queries, min(K, len(kept)))[0]]
        assert overlap(found, exact) >= 0.95


@pytest.mark.parametrize(("share", "scans"), [(0.01, True), (0.02, True), (0.03, False), (1.0, False)])
def test_at_most_two_per_cent_are_compared_one_by_one(live, share, scans):
    base = live.snapshot.base
    assert base.scans(base.kept.narrowed(np.arange(int(share * ITEMS)))) == scans


@pytest.fixture
def one_thread():
    """As server processes have it."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 1.0])
def test_a_query_is_answered_in_time(live, world, share):
    mask, queries = regions(world, share)["random"]
    spent = []
    for query in queries:
        start = time.thread_time()
        live.search(query[None], K, mask, encoder="v1")
        spent.append(time.thread_time() - start)
    assert np.median(spent) < 0.002


def test_writes_show_at_once_and_cost_little(live, world):
    spent = []
    for turn in range(100):
        row, query = np.array([ITEMS + turn]), 3 * world[1][turn : turn + 1]
        start = time.thread_time()
        live.upsert(row, query, encoder="v1")
        spent.append(time.thread_time() - start)
        assert live.search(query, 1, encoder="v1").rows[0, 0] == row[0]
        start = time.thread_time()
        live.delete(row)
        spent.append(time.thread_time() - start)
        assert live.search(query, 1, encoder="v1").rows[0, 0] != row[0]
    assert np.median(spent) < 0.005
