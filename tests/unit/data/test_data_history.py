"""The log copied to Delta tables: once, complete, and as of any moment."""

import shutil

import numpy as np
import polars as pl
import pytest

from winnow.core.errors import NotFound
from winnow.data.chunk import NO_TIME
from winnow.data.history import History, padded
from winnow.data.schema import Events, Table, category, number


def test_sync_copies_once(shop, watch_row):
    shop.intake.events([watch_row("a"), watch_row("b")])
    assert [shop.history.sync(shop.log), shop.history.sync(shop.log)] == [2, 0]
    shop.intake.events([watch_row("c")])
    assert shop.history.sync(shop.log) == 1
    assert shop.history.events("watch").collect()["event_id"].to_list() == ["a", "b", "c"]
    assert shop.history.seq() == shop.log.last_seq()


class Busy:
    """A log to which somebody writes as fast as it is read."""

    def __init__(self, shop, row):
        self._shop, self._row, self.reads = shop, row, 0

    def last_seq(self):
        return self._shop.log.last_seq()

    def read(self, after, limit):
        self.reads += 1
        assert self.reads < 10, "it copies for ever"
        self._shop.intake.events([self._row(f"later-{self.reads}")])
        return self._shop.log.read(after, 1)


def test_a_busy_log_is_copied_as_far_as_it_went_when_asked(shop, watch_row):
    for name in "abc":
        shop.intake.events([watch_row(name)])
    busy = Busy(shop, watch_row)
    assert shop.history.sync(busy) == 3
    assert busy.reads == 3
    assert shop.history.sync(shop.log) == 3


def test_a_lost_position_copies_nothing_twice(shop, watch_row, click_row):
    shop.intake.events([watch_row("a"), click_row("b")])
    shop.history.sync(shop.log)
    (shop.history.folder / "position.json").unlink()
    shop.intake.events([click_row("c")])
    assert shop.history.sync(shop.log) == 1


def test_a_deleted_table_comes_back_whole_with_the_position(shop, watch_row, click_row):
    shop.intake.events([watch_row("a"), click_row("b")])
    shop.history.sync(shop.log)
    shutil.rmtree(shop.history.folder / "event" / "click")
    (shop.history.folder / "position.json").unlink()
    assert shop.history.sync(shop.log) == 1
    assert len(shop.history.events("click").collect()) == 1


def test_types_and_missing_values(shop, watch_row):
    shop.intake.events([watch_row("a", seconds=None)])
    shop.history.sync(shop.log)
    frame = shop.history.events("watch").collect()
    assert frame["seconds"].is_nan().all()
    assert frame["long"].to_list() == [-1]
    assert frame["recommendation_id"].to_list() == [None]
    assert shop.history.events("impression").collect().schema["surface"] == pl.Int64
    assert shop.history.events("impression").collect().is_empty()


def test_a_field_declared_later_is_missing_in_old_events(shop, watch_row):
    shop.intake.events([watch_row("a")])
    shop.history.sync(shop.log)
    old = shop.events["watch"]
    wider = Events("watch", refs=old.refs, fields={**old.fields, "device": category, "battery": number})
    frame = History(shop.history.folder, {}, {"watch": wider}).events("watch").collect()
    assert frame["device"].to_list() == [-1]
    assert frame["battery"].is_nan().all()


def put(shop, at, **row):
    shop.clock.now = at
    shop.intake.rows("video", [{"video_id": "v"} | row])


def test_versions_are_complete_and_as_of(shop):
    start = shop.clock.now
    put(shop, start + 10, title="one", tags=["a"])
    put(shop, start + 20, author="x")
    put(shop, start + 30, title=None, tags=["b", "a"], duration_s=3)
    put(shop, start + 40, deleted=True)
    put(shop, start + 50, author="y")
    shop.history.sync(shop.log)
    versions = shop.history.rows("video").collect()
    assert versions["title"].to_list() == ["one", "one", "", "", ""]
    assert versions["tags"].to_list() == [[0], [0], [1, 0], [], []]
    assert versions["author"].to_list() == [-1, 0, 0, -1, 1]
    assert versions["uploaded_at"].to_list() == [NO_TIME] * 5
    assert shop.history.table_at("video", start + 10).is_empty()  # known at a moment is not known before it
    assert shop.history.table_at("video", start + 11)["author"].to_list() == [-1]
    assert shop.history.table_at("video", start + 31)["author"].to_list() == [0]
    assert shop.history.table_at("video", start + 41).is_empty()
    assert shop.history.table_at("video")["author"].to_list() == [1]


def test_an_older_import_does_not_undo_what_is_known(shop):
    put(shop, shop.clock.now + 10, title="new")
    shop.intake.rows(
        "video", [{"video_id": "v", "title": "old", "author": "a", "changed_at": "2020-01-01"}], backfill=True
    )
    shop.history.sync(shop.log)
    current = shop.history.table_at("video")
    assert current["title"].to_list() == ["new"]
    assert current["author"].to_list() == [0]


def test_decoded_has_ids_and_times_for_people(shop, watch_row):
    shop.intake.events([watch_row("a", user="ann", at="2025-05-05")])
    shop.intake.rows("video", [{"video_id": "v1", "tags": ["x", "y"]}, {"video_id": "v2", "uploaded_at": "2025-01-01"}])
    shop.history.sync(shop.log)
    watch = shop.history.decoded("watch", shop.log.ids)
    assert watch["user"].to_list() == ["ann"]
    assert str(watch["at"][0]) == "2025-05-05 00:00:00+00:00"
    video = shop.history.decoded("video", shop.log.ids)
    assert video["video_id"].to_list() == ["v1", "v2"]
    assert video["tags"].to_list() == [["x", "y"], []]
    assert video["uploaded_at"].is_null().to_list() == [True, False]


def test_unknown_names(shop):
    for ask in (shop.history.events, shop.history.rows, shop.history.table_at):
        with pytest.raises(NotFound):
            ask("nothing")
    with pytest.raises(NotFound):
        shop.history.decoded("nothing", shop.log.ids)


def test_padded_lists():
    assert padded(pl.Series([[], []], dtype=pl.List(pl.Int64))).tolist() == [[-1], [-1]]
    assert padded(pl.Series([[1, 2, 3], [], [4]])).tolist() == [[1, 2, 3], [-1] * 3, [4, -1, -1]]
    assert padded(pl.Series([], dtype=pl.List(pl.Int64))).shape == (0, 1)


def test_a_table_without_columns(tmp_path, shop):
    history = History(tmp_path / "other", {"plain": Table("plain", key="id")}, {})
    assert history.table_at("plain").columns == ["row", "seq", "at", "known_at", "deleted"]
    np.testing.assert_array_equal(history.rows("plain").collect()["row"].to_numpy(), [])


def test_a_row_put_again_after_its_deletion_begins_anew(shop):
    def put(**columns):
        shop.intake.rows("video", [{"video_id": "v1", **columns}])

    put(author="a1", duration_s=9.0)
    put(deleted=True)
    put(duration_s=5.0)
    shop.history.sync(shop.log)
    assert shop.history.rows("video").collect()["author"].to_list() == [0, -1, -1]
    assert shop.history.table_at("video")["duration_s"].to_list() == [5.0]
