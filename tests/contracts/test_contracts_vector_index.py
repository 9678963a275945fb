"""What every vector index must do; a new one subclasses `IndexContract` and gives `make`."""

import time

import numpy as np
import pytest

from winnow.core.errors import Conflict, InputError
from winnow.retrieval import index as indexes
from winnow.retrieval import kinds
from winnow.retrieval.changeover import Changing
from winnow.retrieval.index import Found, VectorIndex
from winnow.retrieval.live import Live

E = "encoder-1"


def clustered(count, dimensions=32, seed=0, normal=True):
    """Vectors as towers make them: clusters of unequal size, of length 1 or not."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(40, dimensions))
    own = rng.zipf(1.4, count) % 40
    x = centres[own] + 0.8 * rng.normal(size=(count, dimensions))
    return (x / np.linalg.norm(x, axis=1, keepdims=True) if normal else x / 4).astype(np.float32)


def truth(vectors, rows, queries, k):
    scores = queries @ vectors.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return rows[order], np.take_along_axis(scores, order, axis=1)


def recall(found, exact):
    return np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)])


def no_scan(monkeypatch):
    """As if the index were so large that few filters leave few enough items to compare with all."""
    monkeypatch.setattr(indexes, "SCAN_SHARE", 0)
    monkeypatch.setattr(indexes, "SCAN_NUMBERS", 0)


@pytest.fixture(scope="class")
def shared():
    """One world for all tests of a class: they read it only."""
    return {}


class IndexContract:
    least = 0.95
    items = 6_000

    def make(self, vectors, rows) -> VectorIndex:
        raise NotImplementedError

    @pytest.fixture
    def world(self, shared):
        if not shared:
            vectors, rows = clustered(self.items), np.random.default_rng(1).permutation(self.items * 2)[: self.items]
            shared["made"] = vectors, rows, self.make(vectors, rows), clustered(50, seed=2)
        return shared["made"]

    def check(self, found: Found, queries, vectors, rows):
        """Shapes and kinds are right, lists are sorted, and each score is the inner product of its row."""
        assert found.rows.dtype == np.int64
        assert found.scores.dtype == np.float32
        assert found.rows.shape == found.scores.shape
        at = {row: i for i, row in enumerate(rows.tolist())}
        for query, line, scores in zip(queries, found.rows, found.scores, strict=True):
            real = line[line >= 0]
            assert len(np.unique(real)) == len(real)
            assert (np.diff(scores[: len(real)]) <= 1e-6).all()
            assert (line[len(real) :] == -1).all()
            assert np.isneginf(scores[len(real) :]).all()
            exact = vectors[[at[row] for row in real.tolist()]] @ query
            np.testing.assert_allclose(scores[: len(real)], exact, atol=1e-5)

    def test_it_finds_the_nearest(self, world):
        vectors, rows, index, queries = world
        found = index.search(queries, 100, encoder=E)
        self.check(found, queries, vectors, rows)
        assert recall(found.rows, truth(vectors, rows, queries, 100)[0]) >= self.least
        assert (len(index), index.dimensions, index.encoder) == (self.items, 32, E)

    def test_it_finds_the_nearest_when_lengths_differ(self):
        vectors, queries = clustered(self.items, normal=False), clustered(50, seed=2, normal=False)
        rows = np.arange(self.items)
        found = self.make(vectors, rows).search(queries, 50, encoder=E)
        assert recall(found.rows, truth(vectors, rows, queries, 50)[0]) >= self.least

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 0.99])
    @pytest.mark.parametrize("form", ["mask", "ids"])
    def test_filters_hold_and_cost_no_recall(self, world, share, form):
        vectors, rows, index, queries = world
        mask = np.random.default_rng(3).random(self.items * 2) < share
        allowed = mask if form == "mask" else np.flatnonzero(mask)
        found = index.search(queries, 100, allowed, encoder=E)
        kept = mask[rows]
        self.check(found, queries, vectors, rows)
        assert mask[found.rows[found.rows >= 0]].all()
        exact = truth(vectors[kept], rows[kept], queries, 100)[0]
        if kept.any():
            assert ((found.rows >= 0).sum(axis=1) == min(100, kept.sum())).all()
            assert recall(found.rows, exact) >= self.least
        else:
            assert (found.rows == -1).all()

    def test_a_short_mask_and_unknown_ids_permit_nothing_else(self, world):
        _, rows, index, queries = world
        found = index.search(queries, 10, np.ones(50, np.bool_), encoder=E).rows
        assert set(np.unique(found)) <= set(rows[rows < 50]) | {-1}
        some = index.search(queries, 5, np.array([-1, rows[7], 10**6]), encoder=E).rows
        assert (some[:, 0] == rows[7]).all()
        assert (some[:, 1:] == -1).all()
        assert (index.search(queries, 5, np.zeros(0, np.int64), encoder=E).rows == -1).all()
        assert (index.search(queries, 5, np.zeros(0, np.bool_), encoder=E).rows == -1).all()

    def test_asking_for_more_than_there_is_pads(self):
        vectors = clustered(60)
        index = self.make(vectors, np.arange(60) + 5)
        found = index.search(vectors[:3], 90, encoder=E)
        self.check(found, vectors[:3], vectors, np.arange(60) + 5)
        assert ((found.rows >= 0).sum(axis=1) == 60).all()
        assert found.rows.shape == (3, 90)

    def test_no_queries_give_no_lists(self, world):
        index = world[2]
        assert index.search(np.zeros((0, 32), np.float32), 7, encoder=E).rows.shape == (0, 7)

    def test_another_encoder_is_refused(self, world):
        index, queries = world[2], world[3]
        with pytest.raises(Conflict) as error:
            index.search(queries, 5, encoder="encoder-2")
        assert error.value.code == "encoder-differs"

    @pytest.mark.parametrize(
        ("queries", "code"),
        [
            (np.zeros((1, 31), np.float32), "vector-shape"),
            (np.zeros(32, np.float32), "vector-shape"),
            (np.zeros((1, 32)), "vector-shape"),
            (np.full((1, 32), np.nan, np.float32), "vector-not-finite"),
        ],
    )
    def test_queries_that_are_no_vectors_are_refused(self, world, queries, code):
        with pytest.raises(InputError) as error:
            world[2].search(queries, 5, encoder=E)
        assert error.value.code == code

    def test_inputs_stay_as_they_were_and_searches_repeat(self, world):
        _, _, index, queries = world
        before, mask = queries.copy(), np.random.default_rng(0).random(self.items * 2) < 0.5
        again = mask.copy()
        first, second = (index.search(queries, 20, mask, encoder=E) for _ in range(2))
        np.testing.assert_array_equal(first.rows, second.rows)
        np.testing.assert_array_equal(queries, before)
        np.testing.assert_array_equal(mask, again)

    def test_one_query_is_fast(self, world):
        _, _, index, queries = world
        start = time.process_time()
        for i in range(50):
            index.search(queries[i : i + 1], 100, encoder=E)
        assert (time.process_time() - start) / 50 < 0.01


class StoredContract(IndexContract):
    kind = ""

    def make(self, vectors, rows):
        return kinds.build(vectors, rows, E, kind=self.kind)

    def test_it_comes_back_from_disk_and_stays_there(self, world, tmp_path):
        _, _, index, queries = world
        index.save(tmp_path / "index")
        again = kinds.open_index(tmp_path / "index", encoder=E)
        mask = np.arange(self.items * 2) % 3 > 0
        for allowed in (None, mask):
            a, b = (i.search(queries, 100, allowed, encoder=E) for i in (index, again))
            np.testing.assert_array_equal(a.rows, b.rows)
            np.testing.assert_allclose(a.scores, b.scores, rtol=1e-6)
        assert isinstance(again.vectors, np.memmap)

    def test_equal_input_gives_an_equal_index(self, world):
        vectors, rows, index, queries = world
        again = self.make(vectors, rows).search(queries, 100, encoder=E)
        np.testing.assert_array_equal(again.rows, index.search(queries, 100, encoder=E).rows)

    @pytest.mark.parametrize("share", [0.7, 0.2, 0.05])
    def test_a_large_filtered_search_keeps_its_recall(self, world, monkeypatch, share):
        """With the exact scan switched off: what a filter costs when millions are permitted."""
        no_scan(monkeypatch)
        vectors, rows, index, queries = world
        mask = np.random.default_rng(3).random(self.items * 2) < share
        found = index.search(queries, 100, mask, encoder=E)
        self.check(found, queries, vectors, rows)
        exact = truth(vectors[mask[rows]], rows[mask[rows]], queries, 100)[0]
        assert recall(found.rows, exact) >= min(self.least, 0.9)

    @pytest.mark.parametrize("share", [0.5, 0.25, 0.1, 0.05])
    @pytest.mark.parametrize("side", ["inside", "outside"])
    def test_a_filter_that_goes_with_the_vectors_costs_no_recall(self, world, monkeypatch, share, side):
        """One region is permitted; the queries lie in it, or as far from it as they do."""
        no_scan(monkeypatch)
        vectors, rows, index, queries = world
        near = vectors @ vectors[17]
        kept = near >= np.quantile(near, 1 - share)
        order = np.argsort(queries @ vectors[17])
        asked = queries[order[-20:]] if side == "inside" else queries[order[:20]]
        mask = np.zeros(self.items * 2, np.bool_)
        mask[rows[kept]] = True
        found = index.search(asked, 10, mask, encoder=E)
        self.check(found, asked, vectors, rows)
        assert mask[found.rows].all()
        assert recall(found.rows, truth(vectors[kept], rows[kept], asked, 10)[0]) >= 0.95


class TestExact(StoredContract):
    kind = "Exact"
    least = 0.9999


class TestHnsw(StoredContract):
    kind = "HNSW"


class TestIvf(StoredContract):
    kind = "IVF"


class TestPq(StoredContract):
    kind = "PQ"


class TestLiveUnchanged(IndexContract):
    least = 0.9999

    def make(self, vectors, rows):
        return Live(kinds.build(vectors, rows, E))


class TestLiveChanged(IndexContract):
    """Half the items were wrong in the base, some were missing, and some that do not belong were there."""

    least = 0.97

    def make(self, vectors, rows):
        n = len(rows)
        wrong = np.concatenate([clustered(n // 2, seed=8), vectors[n // 2 : -10], clustered(20, seed=9)])
        strangers = np.arange(20) + 10**5
        base = kinds.build(wrong, np.concatenate([rows[:-10], strangers]), E, kind="HNSW")
        live = Live(base)
        live.delete(strangers)
        live.upsert(rows[: n // 2], clustered(n // 2, seed=10), encoder=E)
        live.upsert(rows[: n // 2], vectors[: n // 2], encoder=E)
        live.upsert(rows[-10:], vectors[-10:], encoder=E)
        return live


class TestLiveRebuilt(TestLiveChanged):
    least = 0.95

    def make(self, vectors, rows):
        live = super().make(vectors, rows)
        live.rebuild(kind="IVF")
        return live


class TestChanged(IndexContract):
    """Other vectors of another encoder first; then the present ones took over."""

    def make(self, vectors, rows):
        index = Changing(Live(kinds.build(clustered(len(rows), 16, seed=5), rows, "encoder-0", kind="HNSW")))
        index.change(E, encode=lambda wanted: vectors[at_of(rows)[wanted]], kind="IVF")
        return index


def at_of(rows):
    at = np.full(rows.max() + 1, -1)
    at[rows] = np.arange(len(rows))
    return at
