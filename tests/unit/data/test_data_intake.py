"""What may come in, what may not, and what the sender is told."""

import math

import numpy as np
import polars as pl
import pytest

from winnow.core.errors import InputError, NotFound
from winnow.core.time import parse_time


def only_chunk(shop):
    (chunk,) = shop.log.read()
    return chunk


def test_a_good_event_lands_with_row_numbers_and_two_times(shop, watch_row):
    receipt = shop.intake.events([watch_row(long=True, at="2025-12-31T23:00:00+00:00", recommendation_id="r")])
    chunk = only_chunk(shop)
    assert (receipt.accepted, receipt.quarantined, receipt.problems) == (1, 0, ())
    assert chunk.ints("at").tolist() == [shop.clock.now - 3_600_000_000]
    assert chunk.ints("known_at").tolist() == [shop.clock.now]
    assert chunk.texts("event_id") == ["w1"]
    assert chunk.texts("recommendation_id") == ["r"]
    assert chunk.floats("seconds").tolist() == [3.0]
    assert chunk.ints("long").tolist() == [1]
    assert shop.log.ids.ids("user", chunk.ints("user")) == ["u1"]


def test_fields_that_were_not_sent_are_missing(shop, watch_row):
    row = watch_row()
    del row["seconds"]
    shop.intake.events([row])
    chunk = only_chunk(shop)
    assert math.isnan(chunk.floats("seconds")[0])
    assert chunk.ints("long").tolist() == [-1]
    assert chunk.texts("recommendation_id") == [None]


def test_types_keep_their_order_in_one_batch(shop, click_row, watch_row):
    shop.intake.events([click_row("a"), watch_row("b"), click_row("c")])
    seqs = {c.name: c.ints("seq").tolist() for c in shop.log.read()}
    assert seqs == {"click": [1, 3], "watch": [2]}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"seconds": -1}, "below-minimum"),
        ({"seconds": 1e9}, "above-maximum"),
        ({"seconds": float("nan")}, "not-finite"),
        ({"seconds": float("inf")}, "not-finite"),
        ({"seconds": 10**400}, "not-finite"),
        ({"seconds": "3"}, "wrong-type"),
        ({"seconds": True}, "wrong-type"),
        ({"long": "yes"}, "wrong-type"),
        ({"long": 2}, "wrong-type"),
        ({"user": None}, "missing-ref"),
        ({"user": ""}, "missing-ref"),
        ({"user": 1.5}, "wrong-type"),
        ({"user": ["u"]}, "wrong-type"),
        ({"user": "\ud800"}, "wrong-type"),
        ({"user": "u" * 513}, "id-too-long"),
        ({"at": "yesterday"}, "bad-time"),
        ({"at": float("nan")}, "bad-time"),
        ({"at": 10**40}, "bad-time"),
        ({"at": "2026-01-01T00:05:01+00:00"}, "future-time"),
        ({"sceonds": 1}, "unknown-field"),
        ({"event_id": ["x"]}, "wrong-type"),
        ({"type": "wach"}, "unknown-event"),
    ],
)
def test_a_bad_event_is_set_aside_with_its_reason_and_the_good_ones_land(shop, watch_row, change, code):
    receipt = shop.intake.events([watch_row("good"), watch_row("bad") | change, watch_row("fine")])
    assert (receipt.accepted, receipt.quarantined) == (2, 1)
    assert [p.code for p in receipt.problems] == [code]
    assert all([receipt.problems[0].what, receipt.problems[0].where, receipt.problems[0].fix])
    kept = shop.quarantine.rows()
    assert kept["code"].to_list() == [code]
    assert "bad" in kept["row"][0] or code == "wrong-type"


def test_a_missing_role_is_told_by_name(shop):
    receipt = shop.intake.events([{"event_id": "e", "type": "click", "user": "u"}])
    assert receipt.problems[0].code == "missing-ref"
    assert receipt.problems[0].where == "click[0].video"


def test_without_event_id_a_row_is_refused_not_kept(shop, click_row):
    receipt = shop.intake.events([click_row(None), click_row("b"), {"type": "click", "user": 1, "video": 2}])
    assert (receipt.accepted, receipt.quarantined, receipt.refused) == (1, 0, 2)
    assert receipt.problems[0].code == "missing-event-id"
    assert shop.quarantine.rows().is_empty()


def test_rows_that_are_no_objects(shop, click_row):
    receipt = shop.intake.events([7, "x", None, click_row(), {"event_id": "q"}])
    assert (receipt.accepted, receipt.quarantined) == (1, 4)
    assert [p.code for p in receipt.problems] == ["not-an-object"]


def test_the_message_counts_and_quotes_the_first_bad_row(shop, watch_row):
    rows = [watch_row(str(i), seconds=-i) for i in range(5)]
    problem = shop.intake.events(rows).problems[0]
    assert problem.what == "`seconds` = -1 is below 0, the smallest value declared (4 rows; this is the first)"
    assert problem.where == "watch[1].seconds"


def test_a_misspelt_field_gets_a_hint(shop, watch_row):
    assert shop.intake.events([watch_row(secnds=1)]).problems[0].fix == "did you mean `seconds`?"


def test_personal_values_are_not_quoted(shop):
    receipt = shop.intake.rows("user", [{"user_id": "u", "secret": -77}])
    assert receipt.quarantined == 1
    assert "77" not in receipt.problems[0].what


def test_duplicates_in_a_batch_and_against_the_log(shop, click_row):
    first = shop.intake.events([click_row("a"), click_row("a"), click_row("b")])
    again = shop.intake.events([click_row("b"), click_row("c"), click_row("a")])
    assert (first.accepted, first.duplicates) == (2, 1)
    assert (again.accepted, again.duplicates) == (1, 2)
    assert [c.texts("event_id") for c in shop.log.read()] == [["a", "b"], ["c"]]
    assert [c.ints("seq").tolist() for c in shop.log.read()] == [[1, 2], [3]]


def test_an_id_that_only_a_duplicate_brings_gets_no_row(shop, click_row):
    shop.intake.events([click_row("a", user="first"), click_row("a", user="second")])
    assert shop.log.ids.all("user") == ["first"]


def test_a_clock_slightly_ahead_is_forgiven(shop, click_row):
    shop.intake.events([click_row(at=shop.clock.now + 299_000_000)])
    assert only_chunk(shop).ints("at").tolist() == [shop.clock.now]


def test_an_import_slightly_ahead_is_forgiven_too(shop, click_row):
    shop.intake.events([click_row(at=shop.clock.now + 299_000_000)], backfill=True)
    assert only_chunk(shop).ints("known_at").tolist() == [shop.clock.now]


def test_times_in_all_forms_mean_the_same(shop, click_row):
    moment = parse_time("2025-06-01T12:00:00+00:00")
    forms = [
        moment,
        moment // 1000,
        moment // 1_000_000,
        moment / 1e6,
        "2025-06-01T12:00:00Z",
        "2025-06-01T14:00:00+02:00",
    ]
    shop.intake.events([click_row(str(i), at=at) for i, at in enumerate(forms)])
    shop.intake.events([click_row(f"int{i}", at=at) for i, at in enumerate(forms[:3])])
    assert {int(at) for c in shop.log.read() for at in c.ints("at")} == {moment}


def test_ids_may_be_whole_numbers(shop, click_row):
    shop.intake.events([click_row("a", user=7), click_row("b", user="7"), click_row(12, user=0)])
    assert shop.log.ids.all("user") == ["7", "0"]
    assert only_chunk(shop).texts("event_id") == ["a", "b", "12"]


def test_frames_and_rows_land_alike(shop, watch_row):
    rows = [watch_row("a", long=True, at=shop.clock.now - 5), watch_row("b", seconds=None, at=shop.clock.now - 4)]
    shop.intake.events(rows)
    frame = pl.DataFrame([{k: v for k, v in r.items() if k != "type"} for r in rows])
    frame = frame.with_columns(event_id=pl.col("event_id") + "2")
    shop.intake.frame("watch", frame)
    one, two = shop.log.read()
    for name in ("at", "user", "video", "seconds", "long"):
        np.testing.assert_array_equal(one.columns[name], two.columns[name])


def test_bad_rows_of_a_frame_are_set_aside(shop):
    frame = pl.DataFrame(
        {"event_id": ["a", "b", None], "user": [1, 2, 3], "video": [1, None, 3], "seconds": [1.0, 2, -3]}
    )
    receipt = shop.intake.frame("watch", frame)
    assert (receipt.accepted, receipt.quarantined, receipt.refused) == (1, 1, 1)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (pl.DataFrame({"event_id": ["a"], "user": [1], "video": [1], "sec": [1]}), "unknown-field"),
        (pl.DataFrame({"event_id": ["a"], "user": [1]}), "missing-column"),
    ],
)
def test_a_frame_with_wrong_columns_is_refused_as_a_whole(shop, frame, code):
    with pytest.raises(InputError) as error:
        shop.intake.frame("watch", frame)
    assert error.value.code == code
    assert shop.log.last_seq() == 0


@pytest.mark.parametrize(
    ("column", "values", "code"),
    [
        ("seconds", ["3"], "wrong-type"), ("seconds", [float("nan")], "not-finite"), ("seconds", [True], "wrong-type"),
        ("long", [3], "wrong-type"), ("long", ["x"], "wrong-type"), ("at", ["2025-01-01"], "bad-time"),
        ("at", [2**62], "bad-time"), ("user", [1.5], "wrong-type"),
    ],
)  # fmt: skip
def test_wrong_types_in_frames(shop, column, values, code):
    good = {"event_id": ["a"], "user": [1], "video": [1]}
    assert [p.code for p in shop.intake.frame("watch", pl.DataFrame(good | {column: values})).problems] == [code]


def test_backfill_is_known_at_its_own_time(shop, click_row):
    shop.intake.events([click_row(at="2020-01-01")], backfill=True)
    chunk = only_chunk(shop)
    assert chunk.ints("known_at").tolist() == chunk.ints("at").tolist() == [parse_time("2020-01-01")]


def test_unknown_tables(shop):
    with pytest.raises(NotFound, match="did you mean `video`"):
        shop.intake.rows("vidoe", [])
    with pytest.raises(NotFound):
        shop.intake.frame("nothing", pl.DataFrame())


def test_rows_set_what_they_name_and_leave_the_rest(shop):
    shop.intake.rows("video", [{"video_id": "v", "title": "t", "tags": ["a", "b"]}, {"video_id": "v", "title": None}])
    first, second = shop.log.read()
    assert set(first.columns) == {"seq", "at", "known_at", "row", "deleted", "title", "tags"}
    assert set(second.columns) == {"seq", "at", "known_at", "row", "deleted", "title"}
    assert first.ints("tags").tolist() == [[0, 1]]
    assert second.texts("title") == [""]


def test_changes_of_one_row_keep_their_order_whatever_their_shape(shop):
    rows = [{"video_id": "v", "title": "1"}, {"video_id": "v", "author": "x"}, {"video_id": "w", "author": "y"},
            {"video_id": "v", "title": "3"}, {"video_id": "v", "deleted": True},
            {"video_id": "v", "title": "5"}]  # fmt: skip
    shop.intake.rows("video", rows)
    v = int(shop.log.ids.rows("video", ["v"])[0])
    changes = [
        (int(s), c) for c in shop.log.read() for s, r in zip(c.ints("seq"), c.ints("row"), strict=True) if r == v
    ]
    changes.sort(key=lambda change: change[0])
    assert [sorted(c.columns.keys() & {"title", "author", "tags"}) for _, c in changes] == [
        ["title"], ["author"], ["title"], ["author", "tags", "title"], ["title"],
    ]  # fmt: skip


def test_deleting_clears_every_column(shop):
    shop.intake.rows("video", [{"video_id": "v", "deleted": True, "title": "ignored"}])
    chunk = only_chunk(shop)
    assert chunk.ints("deleted").tolist() == [1]
    assert chunk.texts("title") == [""]
    assert math.isnan(chunk.floats("duration_s")[0])


def test_a_row_without_key_or_with_wrong_values(shop):
    rows = [{"title": "x"}, {"video_id": "a", "tags": "b"}, {"video_id": "b", "tags": [1, "x"]}, 5]
    receipt = shop.intake.rows("video", rows)
    assert (receipt.accepted, receipt.quarantined) == (1, 3)
    assert {p.code for p in receipt.problems} == {"missing-key", "wrong-type", "not-an-object"}
    assert shop.log.ids.all("video.tags") == ["1", "x"]


def test_a_number_that_sums_cannot_hold_is_refused(shop, watch_row):
    receipt = shop.intake.events([watch_row("a", seconds=1e12), watch_row("b", seconds=5)])
    assert (receipt.accepted, receipt.quarantined) == (1, 1)
    assert receipt.problems[0].code == "above-maximum"
