import threading

import numpy as np
import pytest

from winnow.core.errors import Conflict, InputError
from winnow.retrieval import kinds
from winnow.retrieval.live import Live

E = "v1"


def axes(*numbers, dimensions=8):
    return np.eye(dimensions, dtype=np.float32)[list(numbers)]


@pytest.fixture
def live():
    return Live(kinds.build(axes(0, 1, 2), np.array([10, 11, 12]), E))


def nearest(index, axis, k=1, allowed=None):
    found = index.search(axes(axis), k, allowed, encoder=E)
    return [row for row, score in zip(found.rows[0], found.scores[0], strict=True) if score > 0.5]


def test_what_is_added_changed_or_deleted_shows_at_once(live):
    live.upsert(np.array([13]), axes(5), encoder=E)
    assert nearest(live, 5) == [13]
    live.upsert(np.array([10]), axes(6), encoder=E)
    assert (nearest(live, 0), nearest(live, 6)) == ([], [10])
    live.delete(np.array([13, 11, 99]))
    assert (nearest(live, 5), nearest(live, 1), nearest(live, 2)) == ([], [], [12])
    assert len(live) == 2
    assert 10 in live
    assert 11 not in live
    live.upsert(np.array([11]), axes(1), encoder=E)
    assert nearest(live, 1) == [11]


def test_the_last_of_a_repeated_row_counts(live):
    live.upsert(np.array([20, 20]), axes(3, 4), encoder=E)
    assert (nearest(live, 3), nearest(live, 4)) == ([], [20])
    assert len(live) == 4


def test_filters_reach_the_changes_too(live):
    live.upsert(np.array([13]), axes(0), encoder=E)
    assert set(nearest(live, 0, k=4)) == {10, 13}
    assert nearest(live, 0, k=4, allowed=np.array([13])) == [13]
    assert nearest(live, 0, k=4, allowed=np.arange(13) == 10) == [10]


def test_vectors_of_another_encoder_are_refused(live):
    with pytest.raises(Conflict, match="encoder v2 meet an index of encoder v1"):
        live.upsert(np.array([13]), axes(5), encoder="v2")
    with pytest.raises(InputError):
        live.upsert(np.array([13]), np.full((1, 8), np.nan, np.float32), encoder=E)
    assert len(live) == 3


def test_changes_during_a_rebuild_are_kept(live, monkeypatch):
    live.upsert(np.array([13, 14]), axes(3, 4), encoder=E)
    build = kinds.build

    def slow(*args, **options):
        live.upsert(np.array([15, 13]), axes(5, 7), encoder=E)
        live.delete(np.array([10]))
        live.upsert(np.array([16]), axes(0), encoder=E)
        live.delete(np.array([16]))
        with pytest.raises(Conflict):
            live.rebuild()
        return build(*args, **options)

    monkeypatch.setattr("winnow.retrieval.live.kinds.build", slow)
    live.rebuild()
    assert [nearest(live, a) for a in range(8)] == [[], [11], [12], [], [14], [15], [], [13]]
    assert len(live) == 5
    assert sorted(live.snapshot.rest.rows.tolist()) == [13, 15]
    monkeypatch.undo()
    live.rebuild()
    assert len(live.snapshot.rest.rows) == 0
    assert len(live) == 5


def test_what_was_replaced_takes_no_memory_for_long(live):
    before = live.snapshot
    for turn in range(1_000):
        live.upsert(np.array([13, 14]), axes(turn % 8, 3), encoder=E)
    assert live.snapshot.changes <= 256
    assert nearest(live, 999 % 8, k=9) == [13]
    assert set(nearest(live, 3, k=9)) == {14}
    assert len(before.rest.current) == 0
    assert (before.find(axes(3), 5).rows[0] != 14).all()


def test_an_empty_base_can_grow():
    live = Live(kinds.build(np.zeros((0, 8), np.float32), np.zeros(0, np.int64), E))
    assert (live.search(axes(0), 3, encoder=E).rows == -1).all()
    live.upsert(np.array([4]), axes(2), encoder=E)
    assert nearest(live, 2, k=3) == [4]
    live.rebuild()
    assert nearest(live, 2) == [4]


def test_it_says_when_changes_slow_it_down(live, monkeypatch):
    monkeypatch.setattr("winnow.retrieval.live.REBUILD_FROM", 3)
    assert not live.wants_rebuild
    live.upsert(np.arange(4), axes(0, 1, 2, 3), encoder=E)
    assert live.wants_rebuild
    live.rebuild()
    assert not live.wants_rebuild


def test_no_more_changes_gather_than_a_search_can_scan(live, monkeypatch):
    monkeypatch.setattr("winnow.retrieval.live.REBUILD_FROM", 1)
    monkeypatch.setattr("winnow.retrieval.live.REBUILD_SHARE", 100)
    monkeypatch.setattr("winnow.retrieval.live.SCAN_NUMBERS", 3 * 8)
    live.upsert(np.array([20, 21, 22]), axes(0, 1, 2), encoder=E)
    assert not live.wants_rebuild
    live.upsert(np.array([23]), axes(3), encoder=E)
    assert live.wants_rebuild


def test_searches_beside_a_writer_always_see_a_whole_state():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 8)).astype(np.float32)
    live = Live(kinds.build(vectors, np.arange(500), E))
    wrong, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            found = live.search(vectors[:2], 600, encoder=E).rows
            for line in found:
                real = line[line >= 0]
                if len(real) != 500 or len(np.unique(real)) != 500:
                    wrong.append(len(real))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(150):
        rows = rng.choice(500, 20, replace=False)
        live.upsert(rows, vectors[rows], encoder=E)
        if turn % 50 == 49:
            live.rebuild()
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong
