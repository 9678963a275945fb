"""Edge lists as people find them, into people and ties."""

import pytest

from winnow.core.errors import InputError
from winnow.data.importers.ties import TiesImporter

NOON = 1_709_380_800


def read(path):
    importer = TiesImporter()
    ((_, people),) = importer.tables(path)
    events = [(kind, *row) for kind, f in importer.events(path) for row in f.select("person", "candidate", "at").rows()]
    return people["person_id"].to_list(), events


@pytest.mark.parametrize("moment", [str(NOON), str(NOON * 1000), str(NOON * 1_000_000), "2024-03-02T12:00:00Z"])
def test_a_csv_with_names_and_any_form_of_moment(tmp_path, moment):
    file = tmp_path / "ties.csv"
    file.write_text(f"Source,Target,Timestamp\nann,bob,{moment}\nbob,cid,\nann,ann,{moment}\n")
    assert read(file) == (
        ["ann", "bob", "cid"],
        [("connect", "bob", "cid", 0), ("connect", "ann", "bob", NOON * 10**6)],
    )


def test_white_space_and_comments_as_graph_collections_have_them(tmp_path):
    file = tmp_path / "facebook_combined.txt"
    file.write_text("# a comment\n0 1\n0 2\n\n2\t3\n0 1\n")
    people, events = read(file)
    assert people == ["0", "1", "2", "3"]
    assert [e[:3] for e in events] == [("connect", "0", "1"), ("connect", "0", "2"), ("connect", "2", "3")]


def test_kinds_become_event_types(tmp_path):
    (tmp_path / "a.csv").write_text("person,candidate,at,kind\nann,bob,10,connect\nbob,ann,20,block\n")
    assert [e[0] for e in read(tmp_path)[1]] == ["connect", "block"]


@pytest.mark.parametrize(("text", "why"), [("a,b\n1,2\n", "no column names"), ("1\n2 3\n", "fewer than two")])
def test_what_is_no_list_of_ties_is_refused(tmp_path, text, why):
    file = tmp_path / "ties.csv"
    file.write_text(text)
    with pytest.raises(InputError, match="unreadable-ties") as caught:
        read(file)
    assert why in str(caught.value)


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(InputError, match="missing-file"):
        read(tmp_path)
