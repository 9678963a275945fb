"""Places of ids in an embedding table: no two living ids share one, whatever comes and goes."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.core.errors import InputError
from winnow.models.idtable import IdTable

DAY = 86_400_000_000


class Plain:
    """The same with dictionaries, one id at a time."""

    def __init__(self, least, limit):
        self.least, self.limit = least, limit
        self.seen, self.counts, self.slots = {}, {}, {}

    def see(self, ids, at):
        for i in ids:
            if i >= 0:
                self.seen[i] = max(self.seen.get(i, at), at)
                self.counts[i] = self.counts.get(i, 0) + 1

    def expire(self, before):
        cold = [i for i, at in self.seen.items() if at < before]
        for i in cold:
            del self.seen[i], self.counts[i]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("see"), st.lists(st.integers(-1, 30), max_size=12), st.integers(0, 20)),
        st.tuples(st.just("expire"), st.just([]), st.integers(0, 20)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(1, 3), st.one_of(st.none(), st.integers(2, 12)))
def test_it_holds_what_it_promises_whatever_happens(happenings, least, limit):
    table, plain = IdTable(least, limit), Plain(least, limit)
    everyone = np.arange(-1, 32)
    for kind, ids, at in happenings:
        before = dict(zip(everyone.tolist(), table.look_up(everyone).tolist(), strict=True))
        if kind == "see":
            new = table.see(np.array(ids, np.int64), at)
            plain.see(ids, at)
            assert len(np.unique(new)) == len(new)
        else:
            table.expire(at)
            plain.expire(at)
            new = np.zeros(0, np.int64)
        table.check()
        after = dict(zip(everyone.tolist(), table.look_up(everyone).tolist(), strict=True))
        assert set(table.keys.tolist()) == set(plain.seen)
        for i, slot in after.items():
            if slot:
                assert plain.counts[i] >= least
                assert before[i] in (0, slot)  # an id keeps its place while it lives
                assert (slot in new) == (before[i] == 0)
            elif i in plain.seen and plain.counts[i] >= least and kind == "see":
                assert limit is not None  # it waits only where there is no room
        assert limit is None or table.size <= limit


def test_a_place_is_given_again_and_its_old_owner_is_gone():
    table = IdTable()
    table.see(np.array([10, 20, 30]), np.array([0, 5 * DAY, 0]))
    cold, warm, colder = table.look_up(np.array([10, 20, 30])).tolist()
    assert set(table.expire(DAY).tolist()) == {cold, colder}
    assert table.look_up(np.array([10, 20, 30])).tolist() == [0, warm, 0]
    given = table.see(np.array([40, 50, 60]), 6 * DAY)
    assert {cold, colder} < set(given.tolist())
    assert table.size == 5  # 40 and 50 took the places of 10 and 30
    assert len(table) == 4


def test_an_id_that_came_again_stays():
    table = IdTable()
    table.see(np.array([7]), 0)
    slot = table.look_up(np.array([7]))
    table.see(np.array([7]), 9 * DAY)
    table.expire(5 * DAY)
    assert table.look_up(np.array([7])) == slot


def test_rare_ids_wait():
    table = IdTable(least=3)
    assert len(table.see(np.array([5, 5, 6]), 0)) == 0
    assert table.see(np.array([5]), 1).tolist() == [1]
    assert table.look_up(np.array([[5, 6], [-1, 8]])).tolist() == [[1, 0], [0, 0]]


def test_a_full_table_lets_the_frequent_in_first_and_others_when_there_is_room():
    table = IdTable(limit=3)
    table.see(np.array([1, 2, 2, 3, 3]), 0)
    assert table.look_up(np.array([1, 2, 3])).tolist() == [0, 1, 2]
    table.see(np.array([1, 3]), 9)
    table.expire(5)
    assert table.look_up(np.array([1, 2, 3])).tolist() == [0, 0, 2]
    table.see(np.array([1]), 9)
    assert table.look_up(np.array([1, 3])).tolist() == [1, 2]


@pytest.mark.parametrize("read_only", [False, True])
def test_it_is_the_same_after_saving(tmp_path, read_only):
    table, rng = IdTable(limit=500), np.random.default_rng(0)
    table.see(rng.integers(0, 2**62, 400), rng.integers(0, 9, 400))
    table.expire(3)
    table.save(tmp_path)
    again, ids = IdTable.open(tmp_path, read_only=read_only), rng.integers(0, 2**62, 50)
    for t in (table, again):
        t.see(ids, 10)
    assert np.array_equal(again.look_up(ids), table.look_up(ids))
    assert (again.size, again.limit, again.least) == (table.size, table.limit, table.least)


def test_a_table_with_two_ids_in_one_place_is_refused(tmp_path):
    table = IdTable()
    table.see(np.arange(5), 0)
    table.slots[2] = table.slots[3]
    table.save(tmp_path)
    with pytest.raises(InputError) as error:
        IdTable.open(tmp_path)
    assert error.value.code == "id-table-broken"
    (tmp_path / "seen.npy").unlink()
    with pytest.raises(InputError) as error:
        IdTable.open(tmp_path)
    assert error.value.code == "model-corrupt"


def test_looking_up_five_hundred_of_a_million_is_fast():
    table, rng = IdTable(), np.random.default_rng(0)
    ids = rng.integers(0, 2**62, 1_000_000)
    table.see(ids, 0)
    asked = [ids[rng.integers(0, len(ids), 500)] for _ in range(50)]
    start = time.process_time()
    for some in asked:
        assert (table.look_up(some) > 0).all()
    assert (time.process_time() - start) / 50 < 0.005
