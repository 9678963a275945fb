"""What a process remembers of Redis: only what has not changed, and no more than it may."""

from typing import Any

import numpy as np
import pytest

from winnow.features.batch import Ints
from winnow.features.remote.cache import Cache, note, noted
from winnow.features.remote.racks import Rack

WIDTH = 1024
MB_LINES = (1 << 20) // (8 * WIDTH)  # lines of this width in a megabyte
PLACES = np.array([[0], [WIDTH - 1]])


def rack(code: int = 7) -> Rack:
    entry = {"form": "lists", "subject": "user", "file": f"{code:04}", "cap": 1000, "width": WIDTH}
    return Rack({"recent": entry}, pairs=False)


def cells(rows: Ints, value: int = 0) -> Ints:
    return np.repeat(rows[:, None] + value, WIDTH, axis=1)


def moved() -> None:
    raise LookupError


def read(cache: Cache, of: Rack, rows: list[int], version: int) -> Any:
    kept = cache.lines(of, np.array(rows), version=version, moved=moved)
    return None if kept is None else kept.columns(PLACES).tolist()


def test_a_note_says_which_rows() -> None:
    rows = {3: np.array([5, 9]), 4: np.array([], np.int64), 60_000: np.array([2**31 - 1])}
    assert {code: some.tolist() for code, some in noted(note(rows)) if code} == {
        3: [5, 9],
        4: [],
        60_000: [2**31 - 1],
    }
    assert note({}) != b"" == note({1: np.arange(30_000)}), "too many rows: the note says everything"


def test_lines_stay_until_a_note_names_them() -> None:
    cache, of, rows = Cache(1), rack(), np.array([3, 5, 8])
    cache.follow(10, [])
    cache.put(of, rows, cells(rows), version=10)
    assert read(cache, of, [8, 3, 3], 10) == [[8, 3, 3], [8, 3, 3]]
    cache.follow(12, [(11, note({of.code: np.array([5, 6])})), (12, note({99: rows}))])
    assert cache.missing(of, np.array([8, 5, 3, 5])).tolist() == [5]
    assert read(cache, of, [3, 5], 12) is None
    cache.put(of, np.array([5]), cells(np.array([50])), version=12)
    assert read(cache, of, [3, 5], 12) == [[3, 50], [3, 50]]


@pytest.mark.parametrize("notes", [[], [(12, note({}))], [(11, b""), (12, note({}))]])
def test_a_gap_in_the_notes_or_too_many_changes_empty_it(notes: list[tuple[int, bytes]]) -> None:
    cache, of, rows = Cache(1), rack(), np.array([3, 5])
    cache.follow(10, [])
    cache.put(of, rows, cells(rows), version=10)
    cache.follow(12, notes)
    assert cache.missing(of, rows).tolist() == [3, 5]


def test_lines_of_another_version_are_neither_kept_nor_given() -> None:
    cache, of, rows = Cache(1), rack(), np.array([3])
    cache.follow(10, [])
    cache.put(of, rows, cells(rows), version=9)
    assert cache.missing(of, rows).tolist() == [3]
    cache.put(of, rows, cells(rows), version=10)
    assert read(cache, of, [3], 9) is None
    kept = cache.lines(of, rows, version=10, moved=moved)
    cache.follow(11, [(11, note({}))])
    assert kept is not None
    with pytest.raises(LookupError):
        kept.columns(PLACES)


def test_rows_outside_are_empty_lines() -> None:
    cache, of = Cache(1), rack()
    cache.follow(1, [])
    assert read(cache, of, [-1, 1000, 2**31], 1) == [[0] * 3] * 2


def test_notes_that_another_thread_has_followed_empty_nothing() -> None:
    cache, of, rows = Cache(1), rack(), np.array([3, 5])
    cache.follow(10, [])
    cache.follow(11, [(11, note({}))])
    cache.put(of, rows, cells(rows), version=11)
    cache.follow(12, [(11, note({of.code: rows})), (12, note({of.code: np.array([5])}))])
    assert cache.missing(of, rows).tolist() == [5]


def test_it_starts_anew_when_it_is_full() -> None:
    cache, of = Cache(1), rack()
    cache.follow(1, [])
    for first in range(0, 3 * MB_LINES, 10):
        rows = np.arange(first, first + 10)
        cache.put(of, rows, cells(rows), version=1)
        assert read(cache, of, rows.tolist(), 1) == [rows.tolist()] * 2
        assert cache._used <= 1 << 20
    assert len(cache.missing(of, np.arange(MB_LINES))) == MB_LINES
    assert not cache.takes(of, np.arange(MB_LINES))
