"""Lines of cells come back from their bytes as they were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from winnow.features.batch import Ints
from winnow.features.remote.lines import Lines, encoded

EDGES = [0, 1, -1, 2**23 - 1, 2**23, -(2**23), -(2**23) - 1, 2**47, 2**63 - 1, -(2**63)]
CELLS = st.one_of(st.sampled_from(EDGES), st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3))


@given(lines=arrays(np.int64, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=CELLS), data=st.data())
def test_cells_come_back(lines: Ints, data: st.DataObject) -> None:
    count, width = lines.shape
    held = Lines(encoded(lines), width)
    np.testing.assert_array_equal(held.cells, lines, strict=True)
    rows = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=9)), np.int64)
    places = np.array(data.draw(st.lists(st.integers(0, width - 1), min_size=1, max_size=9)), np.int64)
    np.testing.assert_array_equal(held.columns(rows, places[:, None]), lines[rows][:, places].T, strict=True)
    other = np.array([[data.draw(st.integers(0, width - 1)) for _ in rows] for _ in range(2)], np.int64).reshape(2, -1)
    if len(rows) > 1:
        np.testing.assert_array_equal(held.columns(rows, other), lines[rows, other], strict=True)


@pytest.mark.parametrize("width", [1, 252, 253, 254, 506, 507, 2000])
def test_long_runs(width: int) -> None:
    lines = np.repeat(np.array([[0], [7], [-(2**62)]]), width, axis=1)
    np.testing.assert_array_equal(Lines(encoded(lines), width).cells, lines, strict=True)


def test_many_lines_are_worked_on_in_parts() -> None:
    lines = np.random.default_rng(0).integers(-(2**40), 2**40, (3000, 17))
    held, rows = Lines(encoded(lines), 17), np.array([2999, 0, 1500, 0])
    np.testing.assert_array_equal(held.cells, lines)
    np.testing.assert_array_equal(held.columns(rows, np.array([[3], [0], [16]])), lines[rows][:, [3, 0, 16]].T)


def test_a_line_that_repeats_is_short() -> None:
    lines = np.zeros((1, 600), np.int64)
    lines[0, 400:] = 5
    assert len(encoded(lines)[0]) <= 4 * 5
