"""Any sequence of writes, deletions, searches, saves, loads, rebuilds and changes of encoder, against a dictionary."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from winnow.retrieval import index as indexes
from winnow.retrieval import kinds
from winnow.retrieval.changeover import Changing
from winnow.retrieval.kept import Kept, permitted
from winnow.retrieval.live import Live
from winnow.retrieval.shelf import Shelf

ROWS, K = 700, 10
SIZES = {"v0": 8, "v1": 12}  # encoder → dimensions
SEEDS = st.integers(0, 10**6)
FILTERS = st.sampled_from(["none", "mask", "short mask", "ids", "strange ids", "nothing", "region"])


def content(rows, versions, encoder):
    """The vector that an encoder makes of the content of some rows: clusters, so that structures can work."""
    size = SIZES[encoder]
    centres = np.random.default_rng(size).normal(size=(12, size))
    noise = [
        np.random.default_rng([size, int(r), int(v)]).normal(size=size) for r, v in zip(rows, versions, strict=True)
    ]
    x = centres[np.asarray(rows, np.int64) % 12] + 0.6 * np.array(noise).reshape(-1, size)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


class Sequence(RuleBasedStateMachine):
    """The model is `there`: row → version of its content."""

    kind, least, scans = "Exact", 1.0, True

    @initialize(count=st.sampled_from([0, 30, 400]))
    def start(self, count):
        self.before = indexes.SCAN_SHARE, indexes.SCAN_NUMBERS
        if not self.scans:
            indexes.SCAN_SHARE, indexes.SCAN_NUMBERS = 0.0, 0
        self.folder = Path(tempfile.mkdtemp())
        self.encoder, self.next_version = "v0", 1
        rows = np.random.default_rng(count).permutation(ROWS)[:count].astype(np.int64)
        self.there = dict.fromkeys(rows.tolist(), 0)
        base = kinds.build(content(rows, [0] * count, "v0"), rows, "v0", kind=self.kind)
        self.index = Changing(Live(base), grace=0)
        self.shelf, self.saved = Shelf(self.folder), None
        self.hits = self.wanted = 0

    def teardown(self):
        if hasattr(self, "before"):
            indexes.SCAN_SHARE, indexes.SCAN_NUMBERS = self.before
            shutil.rmtree(self.folder)

    def put(self, index, rows):
        self.next_version += 1
        self.there.update(dict.fromkeys(rows.tolist(), self.next_version))
        index.upsert(rows, content(rows, [self.next_version] * len(rows), self.encoder), encoder=self.encoder)

    @rule(seed=SEEDS, count=st.sampled_from([0, 1, 2, 50, 300]))
    def upsert(self, seed, count):
        self.put(self.index, np.random.default_rng(seed).integers(0, ROWS, count))

    @rule(seed=SEEDS, count=st.sampled_from([0, 1, 2, 50, 300]))
    def delete(self, seed, count):
        rows = np.random.default_rng(seed).integers(-1, ROWS + 5, count)
        for row in rows.tolist():
            self.there.pop(row, None)
        self.index.delete(rows)

    @rule(seed=SEEDS, kind=FILTERS, k=st.sampled_from([1, K, 60]))
    def search(self, seed, kind, k):
        rng = np.random.default_rng(seed)
        queries = content(rng.integers(0, ROWS, 3), rng.integers(10**6, 10**7, 3), self.encoder)
        allowed = self.filtered(kind, rng)
        found = self.index.search(queries, k, allowed, encoder=self.encoder)
        rows = np.array([r for r in self.there if allowed is None or permitted(allowed, np.array([r]))[0]], np.int64)
        vectors = content(rows, [self.there[r] for r in rows.tolist()], self.encoder)
        scores = queries @ vectors.T
        for line, own, exact in zip(found.rows, found.scores, scores, strict=True):
            self.compare(line, own, rows, exact)
        assert self.hits >= self.least * self.wanted

    def compare(self, line, own, rows, exact):
        """Nothing forbidden, deleted, stale or twice; as much as there is; and the nearest, as far as promised."""
        real = line[line >= 0]
        assert len(real) == min(len(line), len(rows)) == len(np.unique(real))
        by_row = dict(zip(rows.tolist(), exact.tolist(), strict=True))
        assert set(real.tolist()) <= by_row.keys()
        np.testing.assert_allclose(own[: len(real)], [by_row[r] for r in real.tolist()], atol=1e-5)
        best = np.sort(exact)[::-1][: len(real)]
        self.hits += int((own[: len(real)] >= best[-1:].min(initial=9) - 1e-5).sum())
        self.wanted += len(real)

    def filtered(self, kind, rng):
        mask = rng.random(ROWS) < rng.choice([0.02, 0.3, 0.95])
        every = np.arange(ROWS)
        return {
            "none": None,
            "mask": mask,
            "short mask": mask[: ROWS // 2],
            "ids": np.flatnonzero(mask),
            "strange ids": np.concatenate([[-1, ROWS + 50, -1], rng.permutation(ROWS)[:5], [10**6]]),
            "nothing": np.zeros(ROWS, np.bool_),
            "region": every % 12 < rng.integers(1, 12),
        }[kind]

    @rule(kind=st.sampled_from(["auto", "Exact", "HNSW", "IVF", "PQ"]), seed=SEEDS)
    def rebuild(self, kind, seed):
        """A rebuild, with a write and a deletion while it runs."""
        rng = np.random.default_rng(seed)
        build = kinds.build

        def slow(*given, **options):
            made = build(*given, **options)
            if rng.random() < 0.5:
                self.put(self.index, rng.integers(0, ROWS, 7))
                self.delete(seed, 5)
            return made

        kinds.build = slow
        try:
            self.index.present.rebuild(kind=kind if self.kind != "Exact" else "Exact")
        finally:
            kinds.build = build

    @rule(seed=SEEDS)
    def change_encoder(self, seed):
        following = "v1" if self.encoder == "v0" else "v0"
        rng = np.random.default_rng(seed)

        def encode(rows):
            if rng.random() < 0.3 and not self.index._lock.locked():
                self.put(self.index, rng.integers(0, ROWS, 9))
                self.delete(seed, 3)
            return content(rows, [self.there.get(r, 0) for r in rows.tolist()], following)

        self.index.change(following, encode, batch=64, kind=self.kind)
        self.encoder = following

    @rule()
    def save(self):
        self.shelf.save(self.index.present)
        self.saved = (self.encoder, dict(self.there))

    @rule(fresh=st.booleans())
    def load(self, fresh):
        if self.saved is None:
            return
        self.encoder, self.there = self.saved[0], dict(self.saved[1])
        self.shelf = Shelf(self.folder) if fresh else self.shelf
        self.index = Changing(self.shelf.open(encoder=self.encoder), grace=0)

    @invariant()
    def it_holds_what_the_model_holds(self):
        if hasattr(self, "there"):
            assert len(self.index) == len(self.there)
            rows = np.arange(ROWS)
            assert set(rows[self.index.present.holds(rows)].tolist()) == self.there.keys()


class Graph(Sequence):
    kind, least = "HNSW", 0.9


class GraphAlways(Graph):
    scans = False


class Listed(Sequence):
    kind, least = "IVF", 0.9


class ListedAlways(Listed):
    scans = False


class Product(Sequence):
    kind, least, scans = "PQ", 0.9, False


QUICK = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
for machine in (Sequence, Graph, GraphAlways, Listed, ListedAlways, Product):
    machine.TestCase.settings = QUICK
TestSequence, TestGraph, TestGraphAlways = Sequence.TestCase, Graph.TestCase, GraphAlways.TestCase
TestListed, TestListedAlways, TestProduct = Listed.TestCase, ListedAlways.TestCase, Product.TestCase


def test_a_set_of_rows_is_a_set():
    """`Kept` against Python's sets, for every form of filter."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        size = int(rng.integers(1, 400))
        own = rng.random(size) < rng.random()
        kept, model = Kept(size, flags=own), set(np.flatnonzero(own).tolist())
        for _ in range(int(rng.integers(1, 4))):
            if rng.random() < 0.5:
                mask = rng.random(int(rng.integers(0, 2 * size))) < rng.random()
                kept, model = kept.narrowed(mask), model & set(np.flatnonzero(mask).tolist())
            else:
                ids = rng.integers(-3, 2 * size, int(rng.integers(0, 2 * size)))
                out = rng.random() < 0.5
                kept = kept.without(ids) if out else kept.narrowed(ids)
                model = model - set(ids.tolist()) if out else model & set(ids.tolist())
            assert kept.rows.tolist() == sorted(model)
            assert np.flatnonzero(kept.flags).tolist() == sorted(model)
            assert np.flatnonzero(np.unpackbits(kept.bits, bitorder="little")).tolist() == sorted(model)
            assert kept.count == len(model)
