"""Graphs of bonds, and graph files that are torn."""

import json

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.data.graph import NEVER, Graph
from winnow.data.graph_bonds import standing
from winnow.data.schema import Table
from winnow.data.ties import Bond, Tie

member = Table("member", key="id")
befriend, part = (Tie(n, refs={"asked": member, "by": member}) for n in ("befriend", "part"))
friends = Bond(befriend, undone=part, mutual=True)


def events(*rows):
    """asked, by, at, known_at."""
    a, b, at, known = np.array(rows, np.int64).reshape(-1, 4).T
    return {"asked": a, "by": b, "at": at, "known_at": known}


def test_a_bond_stands_when_it_was_made_after_it_ended():
    made = events((0, 1, 5, 5), (1, 2, 6, 6), (3, 2, 7, 7), (0, 3, 8, 99), (2, 1, 20, 20), (0, 4, 9, 9))
    undone = events((1, 0, 9, 9), (2, 1, 10, 10), (4, 0, 9, 9))
    graph = standing(friends, made, undone, size=5, before=50)
    assert graph.pairs()[0].tolist() == [1, 2]  # 0-1 ended by the other side, 0-4 at the same moment, 0-3 unknown yet
    assert graph.since([1, 2, 0], [2, 3, 1]).tolist() == [20, 7, NEVER]
    assert graph.as_of == 50


def test_one_way_bonds_end_one_way():
    follow, unfollow = (Tie(n, refs={"member": member, "author": member}) for n in ("follow", "unfollow"))
    made, undone = ({"member": a[:, 0], "author": a[:, 1], "at": a[:, 2], "known_at": a[:, 2]} for a in (
        np.array([(0, 1, 1), (1, 0, 2), (2, 3, 3)]), np.array([(0, 1, 5), (3, 2, 6)])
    ))  # fmt: skip
    graph = standing(Bond(follow, undone=unfollow), made, undone, size=4, before=9)
    assert graph.tied([0, 2], [1, 3]).tolist() == [True, True]  # 1 still follows 0; 3 cannot unfollow for 2


@pytest.mark.parametrize("name", ["graph.json", "starts.npy", "ends.npy", "times.npy"])
def test_a_torn_or_missing_file_is_told(tmp_path, name):
    for torn in (None, b"", b"{}"):
        Graph.of([0, 1], [1, 2], size=3).save(tmp_path)
        (tmp_path / name).unlink() if torn is None else (tmp_path / name).write_bytes(torn)
        with pytest.raises(InputError) as error:
            Graph.open(tmp_path)
        assert error.value.code == "graph-corrupt"


def test_files_of_different_graphs_do_not_go_together(tmp_path):
    Graph.of([0, 1], [1, 2], size=3).save(tmp_path)
    np.save(tmp_path / "ends.npy", np.zeros(2, np.int32))
    with pytest.raises(InputError, match="lengths"):
        Graph.open(tmp_path)
    facts = json.loads((tmp_path / "graph.json").read_text())
    assert facts == {"rows": 3, "ties": 2, "as_of": 0}


def test_too_many_rows_for_a_graph():
    with pytest.raises(InputError) as error:
        Graph.of([0], [1], size=1 << 31)
    assert error.value.code == "graph-too-large"


def test_a_graph_without_rows():
    graph = Graph.of([], [], size=0)
    assert graph.degrees([0, -1]).tolist() == [0, 0]
    assert graph.gather([0]).ends.tolist() == []
    assert graph.since([0], [1]).tolist() == [NEVER]
