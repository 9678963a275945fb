"""Ids and row numbers."""

import numpy as np

from winnow.data.database import Database
from winnow.data.ids import IdMap


def test_rows_in_order_of_first_appearance(tmp_path):
    ids = IdMap(Database(tmp_path / "x.db"))
    assert ids.rows("d", ["b", "a", "b", "c"], create=True).tolist() == [0, 1, 0, 2]
    assert ids.rows("d", ["c", "nobody", "a"]).tolist() == [2, -1, 1]
    assert ids.ids("d", np.array([2, -1, 0, 99])) == ["c", "", "b", ""]
    assert ids.all("d") == ["b", "a", "c"]
    assert (ids.size("d"), ids.size("other"), ids.domains()) == (3, 0, ["d"])


def test_a_small_memory_changes_no_answer(tmp_path):
    database = Database(tmp_path / "x.db")
    small, plain = IdMap(database, cached=10), IdMap(database)
    for start in range(0, 40, 4):
        names = [str(i % 23) for i in range(start, start + 8)]
        assert small.rows("d", names, create=True).tolist() == plain.rows("d", names).tolist()
        assert small.ids("d", plain.rows("d", names)) == names
        assert len(small.cached("d")) <= 10


def test_what_another_process_created_is_found(tmp_path):
    one, two = (IdMap(Database(tmp_path / "x.db")) for _ in range(2))
    assert two.rows("d", ["a"]).tolist() == [-1]
    one.rows("d", ["a"], create=True)
    assert two.rows("d", ["a", "b"], create=True).tolist() == [0, 1]
    assert one.rows("d", ["b"]).tolist() == [1]


def test_every_connection_writes_through_to_the_disk(tmp_path):
    """A kill cannot show a missing sync (the system keeps what was written), so the setting itself is checked."""
    database = Database(tmp_path / "x.db")
    for connect in (database.read, database.write):
        with connect() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    database.close()
