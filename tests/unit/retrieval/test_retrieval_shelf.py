import json

import numpy as np
import pytest

from winnow.core.errors import Conflict, Unavailable
from winnow.retrieval import kinds
from winnow.retrieval.live import Live
from winnow.retrieval.shelf import Shelf


def vectors(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)


@pytest.fixture
def live():
    index = Live(kinds.build(vectors(500), np.arange(500), "v1", kind="HNSW"))
    index.upsert(np.arange(490, 510), vectors(20, seed=1), encoder="v1")
    index.delete(np.arange(5))
    return index


def same(one, other):
    queries = vectors(9, seed=2)
    a, b = (i.search(queries, 20, encoder="v1") for i in (one, other))
    np.testing.assert_array_equal(a.rows, b.rows)
    assert len(one) == len(other)


def test_it_comes_back_with_its_changes_and_stays_on_disk(live, tmp_path):
    Shelf(tmp_path).save(live)
    again = Shelf(tmp_path).open(encoder="v1")
    same(live, again)
    assert isinstance(again.snapshot.base.vectors, np.memmap)


def test_a_base_is_written_once(live, tmp_path):
    shelf = Shelf(tmp_path)
    shelf.save(live)
    live.delete(np.array([77]))
    shelf.save(live)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base-1", "changes-2.npz", "current.json"]
    opened = Shelf(tmp_path)
    index = opened.open(encoder="v1")
    index.delete(np.array([78]))
    opened.save(index)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base-1", "changes-3.npz", "current.json"]
    index.rebuild()
    opened.save(index)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base-4", "changes-4.npz", "current.json"]
    same(index, Shelf(tmp_path).open(encoder="v1"))


def test_an_open_index_outlives_the_files_that_a_later_save_removes(live, tmp_path):
    shelf = Shelf(tmp_path)
    shelf.save(live)
    reader = Shelf(tmp_path).open(encoder="v1")
    before = reader.search(vectors(3), 5, encoder="v1").rows
    live.rebuild()
    shelf.save(live)
    np.testing.assert_array_equal(reader.search(vectors(3), 5, encoder="v1").rows, before)


def test_an_index_opens_while_another_process_replaces_it(live, tmp_path, monkeypatch):
    """The files that were named a moment ago are gone: those that are named now are opened."""
    shelf = Shelf(tmp_path)
    shelf.save(live)
    opens = []

    def late(folder, *, encoder):
        opens.append(folder.name)
        if len(opens) < 3:
            live.rebuild()
            shelf.save(live)
        return kinds.open_index(folder, encoder=encoder)

    monkeypatch.setattr("winnow.retrieval.shelf.open_index", late)
    same(live, Shelf(tmp_path).open(encoder="v1"))
    assert opens == ["base-1", "base-2", "base-3"]


def test_another_encoder_and_an_empty_or_torn_folder_are_refused(live, tmp_path):
    with pytest.raises(Unavailable) as error:
        Shelf(tmp_path / "none").open(encoder="v1")
    assert error.value.code == "index-unreadable"
    Shelf(tmp_path).save(live)
    with pytest.raises(Conflict) as refused:
        Shelf(tmp_path).open(encoder="v2")
    assert refused.value.code == "encoder-differs"
    names = json.loads((tmp_path / "current.json").read_text())
    changes = tmp_path / names["changes"]
    changes.write_bytes(changes.read_bytes()[:100])
    with pytest.raises(Unavailable) as error:
        Shelf(tmp_path).open(encoder="v1")
    assert error.value.code == "index-unreadable"


def test_what_a_dead_process_left_is_swept(live, tmp_path):
    (tmp_path / ".saving-base-9").mkdir()
    (tmp_path / "changes-12.npz").write_bytes(b"half")
    shelf = Shelf(tmp_path)
    shelf.save(live)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base-13", "changes-13.npz", "current.json"]
    with pytest.raises(Conflict) as error:
        live.snapshot.base.save(tmp_path / "base-13")
    assert error.value.code == "index-exists"
