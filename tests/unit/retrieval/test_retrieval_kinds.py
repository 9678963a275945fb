import shutil

import numpy as np
import pytest

from winnow.core.errors import Conflict, InputError, NotFound, Unavailable
from winnow.core.time import now_us
from winnow.retrieval import index as indexes
from winnow.retrieval import kinds, probe
from winnow.retrieval.kinds import Exact, build, open_index


def vectors(count, dimensions=16):
    return np.random.default_rng(0).normal(size=(count, dimensions)).astype(np.float32)


def test_size_decides_the_kind(monkeypatch):
    monkeypatch.setattr(kinds, "SCAN_BELOW", 100)
    monkeypatch.setattr(kinds, "HNSW_BELOW", 1_000)
    chosen = [type(build(vectors(n), np.arange(n), "v1")).__name__ for n in (99, 400, 1_000)]
    assert chosen == ["Exact", "HNSW", "IVF"]
    assert type(build(vectors(kinds.LEAST - 1), np.arange(kinds.LEAST - 1), "v1", kind="PQ")).__name__ == "Exact"
    with pytest.raises(NotFound, match="did you mean `HNSW`"):
        build(vectors(5), np.arange(5), "v1", kind="HNWS")


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (vectors(5), np.arange(4)),
        (vectors(5), np.array([1, 2, 3, 4, 4])),
        (vectors(5).astype(np.float64), np.arange(5)),
        (np.full((2, 4), np.inf, np.float32), np.arange(2)),
    ],
)
def test_items_without_one_good_vector_each_are_refused(given, rows):
    with pytest.raises(InputError):
        build(given, rows, "v1")


def test_an_index_of_another_encoder_does_not_open(tmp_path):
    build(vectors(50), np.arange(50), "v1").save(tmp_path / "i")
    with pytest.raises(Conflict) as error:
        open_index(tmp_path / "i", encoder="v2")
    assert error.value.code == "encoder-differs"


@pytest.mark.parametrize("name", ["index.json", "vectors.npy", "rows.npy", "index.faiss"])
@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_a_damaged_index_says_what_to_do(tmp_path, name, damage):
    build(vectors(500), np.arange(500), "v1", kind="HNSW").save(tmp_path / "i")
    path = tmp_path / "i" / name
    path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(Unavailable, match="winnow train") as error:
        open_index(tmp_path / "i", encoder="v1")
    assert error.value.code == "index-unreadable"


def test_an_index_knows_when_it_was_built(tmp_path):
    before = now_us()
    index = build(vectors(300), np.arange(300), "v1", kind="IVF")
    index.save(tmp_path / "i")
    assert before <= index.made_at <= now_us()
    shutil.copytree(tmp_path / "i", tmp_path / "copy")
    assert abs(open_index(tmp_path / "copy", encoder="v1").made_at - index.made_at) < 5_000_000


def test_an_index_of_another_format_does_not_open(tmp_path):
    build(vectors(300), np.arange(300), "v1", kind="IVF").save(tmp_path / "i")
    path = tmp_path / "i" / "index.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(Unavailable, match="its format is 1, not 2") as error:
        open_index(tmp_path / "i", encoder="v1")
    assert error.value.code == "index-unreadable"


def test_a_scan_in_blocks_finds_what_one_pass_finds(monkeypatch):
    monkeypatch.setattr(indexes, "_SCAN_BLOCK", 7)
    x, some = vectors(200), np.random.default_rng(1).permutation(200)[:101]
    found, scores = indexes.scan(x, x[:5], 20, some)
    exact = x[:5] @ x[some].T
    np.testing.assert_array_equal(found, some[np.argsort(-exact, axis=1)[:, :20]])
    np.testing.assert_allclose(scores, -np.sort(-exact, axis=1)[:, :20], rtol=1e-5)


def test_the_probe_sees_a_bad_index():
    x = vectors(2_000)
    good = build(x, np.arange(2_000), "v1", kind="HNSW")
    assert probe.recall(good, x[:50], 50) > 0.95
    mask = np.arange(2_000) % 2 == 0
    assert probe.recall(good, x[:50], 50, mask) > 0.95
    assert probe.recall(build(x, np.arange(2_000), "v1"), x[:50], 50) == 1
    bad = Exact(x, np.arange(2_000), "v1")
    bad.find = lambda q, k, kept, exact=False: good.find(q if exact else -q, k, kept, exact=exact)
    assert probe.recall(bad, x[:50], 50) < 0.1
    assert np.isnan(probe.recall(good, x[:0], 50))


def test_building_leaves_the_threads_of_the_process_as_they_were():
    import faiss

    before = faiss.omp_get_max_threads()
    build(vectors(300), np.arange(300), "v1", kind="HNSW", threads=before + 1)
    assert faiss.omp_get_max_threads() == before
