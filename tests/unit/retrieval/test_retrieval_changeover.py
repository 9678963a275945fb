import gc
import time
import weakref

import numpy as np
import pytest

from winnow.core.errors import Conflict, InputError
from winnow.retrieval import kinds
from winnow.retrieval.changeover import Changing
from winnow.retrieval.live import Live
from winnow.retrieval.shelf import Shelf

ITEMS, OLD, NEW = 300, 8, 12


def axes(at, dimensions):
    """Vectors along one axis each, of a length by which the axis' rows differ."""
    at = np.asarray(at)
    made = np.zeros((len(at), dimensions), np.float32)
    made[np.arange(len(at)), at % dimensions] = 1
    return made


def old(rows):
    """The first encoder puts a row on the axis `row mod 8`."""
    return axes(rows, OLD)


def new(rows):
    return axes(rows, NEW)


class Clock:
    now = 0

    def __call__(self):
        return self.now


def made(**options):
    rows = np.arange(ITEMS)
    return Changing(Live(kinds.build(old(rows), rows, "old")), **options)


def rows_near(index, axis, encoder, k=ITEMS):
    dimensions = {"old": OLD, "new": NEW}[encoder]
    found = index.search(axes([axis], dimensions), k, encoder=encoder)
    return set(found.rows[0][found.scores[0] > 0.5].tolist())


def on_axis(axis, dimensions, but=()):
    return {row for row in range(ITEMS) if row % dimensions == axis} - set(but)


def test_it_moves_to_the_next_encoder_as_a_whole():
    index, told = made(), []
    index.change("new", new, batch=128, told=lambda done, all_of: told.append((done, all_of)))
    assert (index.encoder, index.dimensions, len(index), index.changing) == ("new", NEW, ITEMS, False)
    assert all(rows_near(index, axis, "new") == on_axis(axis, NEW) for axis in range(NEW))
    assert told == [(128, ITEMS), (256, ITEMS), (300, ITEMS)]


def test_requests_that_began_before_are_answered_by_the_index_before_for_a_while():
    clock = Clock()
    index = made(grace=60, clock=clock)
    index.change("new", new)
    clock.now = 59
    assert rows_near(index, 3, "old") == on_axis(3, OLD)
    index.delete(np.array([3]))
    assert rows_near(index, 3, "old") == on_axis(3, OLD, but=[3])
    clock.now = 60
    with pytest.raises(Conflict, match="encoder old meet an index of encoder new") as error:
        rows_near(index, 3, "old")
    assert error.value.code == "encoder-differs"


def test_the_index_before_is_let_go_of_by_the_first_search_after_its_time():
    clock = Clock()
    index = made(grace=60, clock=clock)
    before = weakref.ref(index.present)
    index.change("new", new)
    clock.now = 60
    assert before() is not None
    start = time.monotonic()
    with index._lock:  # a writer is at work: the search waits for none
        rows_near(index, 3, "new")
    assert time.monotonic() - start < 2
    assert before() is not None
    rows_near(index, 3, "new")
    gc.collect()
    assert before() is None


def test_a_search_that_comes_late_does_not_end_the_time_of_grace_of_a_later_change():
    """It saw that the time of the first change is over; before it acts, a second change takes over."""
    index = made(grace=60, clock=Clock())
    index.change("new", new)

    def late():
        index._clock = lambda: 60
        index.change("old", old)
        return 60

    index._clock = late
    assert rows_near(index, 3, "new") == on_axis(3, NEW)
    assert index.encoder == "old"
    assert rows_near(index, 3, "new") == on_axis(3, NEW)


def test_what_is_written_during_the_change_is_in_the_next_index():
    index, seen = made(), []

    def encode(rows):
        if not seen:  # the first batch is being encoded
            index.delete(np.array([5, 17]))
            index.upsert(np.array([17, 900]), old(np.array([17, 900])), encoder="old")
        seen.append(rows.tolist())
        return new(rows)

    index.change("new", encode, batch=100)
    assert len(index) == ITEMS
    assert rows_near(index, 5, "new") == on_axis(5, NEW, but=[5]) | {17}
    assert rows_near(index, 0, "new") == on_axis(0, NEW) | {900}
    assert sorted(seen[-1]) == [17, 900]


def test_many_writes_are_caught_up_with_before_writers_wait():
    index, rounds = made(), []

    def encode(rows):
        if len(rounds) < 2:  # of rows 0..99 and 100..199: each writes more than a batch
            index.upsert(rows, old(rows), encoder="old")
        rounds.append(index._lock.locked())
        return new(rows)

    index.change("new", encode, batch=100)
    assert len(rounds) == 5  # three for all, two for what was written; the writers waited for none
    assert not any(rounds)
    assert len(index) == ITEMS


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (lambda rows: new(rows)[1:], "vector-shape"),
        (lambda rows: new(rows) * np.float32(np.nan), "vector-not-finite"),
        (lambda rows: new(rows).astype(np.float64), "vector-shape"),
    ],
)
def test_an_encoder_that_fails_changes_nothing(broken, code):
    index = made()
    with pytest.raises(InputError) as error:
        index.change("new", broken)
    assert error.value.code == code
    with pytest.raises(ZeroDivisionError):
        index.change("new", lambda rows: 1 / 0)
    assert (index.encoder, index.changing) == ("old", False)
    assert rows_near(index, 3, "old") == on_axis(3, OLD)
    index.change("new", new)
    assert index.encoder == "new"


def test_vectors_of_the_other_encoder_are_refused_before_and_after():
    index = made()
    with pytest.raises(Conflict) as error:
        index.upsert(np.array([1]), new(np.array([1])), encoder="new")
    assert error.value.code == "encoder-differs"
    index.change("new", new)
    with pytest.raises(Conflict) as error:
        index.upsert(np.array([1]), old(np.array([1])), encoder="old")
    assert error.value.code == "encoder-differs"
    assert error.value.problems[0].why
    assert error.value.problems[0].fix
    assert rows_near(index, 1, "new") == on_axis(1, NEW)


def test_one_change_at_a_time_and_to_another_encoder():
    index = made()

    def encode(rows):
        with pytest.raises(Conflict) as error:
            index.change("third", new)
        assert error.value.code == "encoder-change-running"
        return new(rows)

    with pytest.raises(Conflict) as error:
        index.change("old", new)
    assert error.value.code == "encoder-unchanged"
    index.change("new", encode)


def test_an_empty_index_changes_too():
    index = Changing(Live(kinds.build(old(np.arange(0)), np.arange(0), "old")))
    index.change("new", new)
    assert (index.encoder, index.dimensions, len(index)) == ("new", NEW, 0)


def test_what_is_on_the_shelf_is_one_encoder_or_the_other(tmp_path):
    index, shelf = made(), Shelf(tmp_path / "shelf")
    shelf.save(index.present)
    index.change("new", new)
    assert len(Shelf(tmp_path / "shelf").open(encoder="old")) == ITEMS
    shelf.save(index.present)
    again = Changing(Shelf(tmp_path / "shelf").open(encoder="new"))
    assert rows_near(again, 7, "new") == on_axis(7, NEW)
