"""Expectations at the edge: what they set aside, what they let in and count, and how the quarantine empties again."""

import polars as pl
import pytest
from expectations_world import HOUR, SECOND, Shop

from winnow.core.errors import InputError
from winnow.data.quarantine import Quarantine

FILE = """
[event.watch.columns.at]
kind = "time"
never_below = 2016-01-01T00:00:00Z

[event.watch.columns.seconds]
kind = "number"
level = "{level}"
missing = 0.0
at_least = 1.0
at_most = 100.0
never_above = 5000.0

[event.impression]
producer = "surface"
ahead = 0.05

[event.impression.columns.surface]
kind = "category"
level = "{level}"
missing = 0.0
values = ["home", "search"]
others = 0.0

[table.video.columns.duration_s]
kind = "number"
level = "{level}"
missing = 0.0
at_most = 100.0

[table.video.columns.tags]
kind = "categories"
level = "{level}"
values = ["a", "b"]
others = 0.0
"""


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "expectations.toml").write_text(FILE.format(level="refuse"))
    shop = Shop(tmp_path)
    yield shop
    shop.log.close()


def soften(shop):
    (shop.folder / "expectations.toml").write_text(FILE.format(level="warn") + "\n")
    shop.open()


def watch(key, **more):
    return {"event_id": key, "type": "watch", "user": "u", "video": "v", "seconds": 5.0} | more


def impression(key, **more):
    return {"event_id": key, "type": "impression", "user": "u", "video": "v", "surface": "home"} | more


BROKEN = [
    ({"seconds": 0.5}, "below-expected", "`seconds` = 0.5 is below 1, the smallest usual value"),
    ({"seconds": 101}, "above-expected", "`seconds` = 101 is above 100, the largest usual value"),
    ({"seconds": None}, "unexpected-missing", "`seconds` is missing"),
    ({"surface": "tv"}, "unexpected-value", "`surface` = 'tv' is none of the 2 known values"),
    ({"surface": None}, "unexpected-missing", "`surface` is missing"),
]


@pytest.mark.parametrize(("change", "code", "what"), BROKEN)
def test_refuse_sets_the_row_aside_and_the_good_ones_land(shop, change, code, what):
    one = watch if "seconds" in change else impression
    receipt = shop.intake.events([one("good"), one("bad", **change), one("fine")])
    assert (receipt.accepted, receipt.quarantined) == (2, 1)
    assert [(p.code, p.what) for p in receipt.problems] == [(code, what)]
    assert receipt.problems[0].fix
    kept = Quarantine(shop.log.database).rows()
    assert kept["code"].to_list() == [code]
    assert kept["field"].to_list() == list(change)
    assert kept["fix"][0].startswith("correct it at its source")


@pytest.mark.parametrize(("change", "code", "what"), BROKEN)
def test_warn_lets_the_row_in_reports_and_counts_it(shop, change, code, what):
    soften(shop)
    one = watch if "seconds" in change else impression
    receipt = shop.intake.events([one("good"), one("odd", **change)])
    assert (receipt.accepted, receipt.quarantined) == (2, 0)
    assert [(p.code, p.what) for p in receipt.problems] == [(code, what)]
    assert "landed" in receipt.problems[0].why
    counted = shop.edge._tally.rows().filter(pl.col("code") == code)
    assert counted.select("field", "rows").rows() == [(next(iter(change)), 1)]


def test_an_open_list_lets_others_in(shop):
    path = shop.folder / "expectations.toml"
    path.write_text(path.read_text().replace("others = 0.0", "others = 0.1"))
    shop.open()
    assert shop.intake.events([impression("a", surface="tv"), impression("b")]).accepted == 2


def test_what_a_batch_lets_in_is_counted_also_when_it_holds_refused_rows(shop):
    soften(shop)
    receipt = shop.intake.events([watch("a", seconds=150), watch("b", seconds=9000), watch("c", seconds=150)])
    assert (receipt.accepted, receipt.quarantined) == (2, 1)
    assert shop.edge._tally.rows().filter(pl.col("code") == "above-expected")["rows"].to_list() == [2]


def test_a_field_that_no_row_carries_is_missing_in_all(shop):
    rows = [{k: v for k, v in watch(str(i)).items() if k != "seconds"} for i in range(3)]
    receipt = shop.intake.events(rows)
    assert (receipt.accepted, receipt.quarantined) == (0, 3)
    assert "(3 rows; this is the first)" in receipt.problems[0].what


def test_never_refuses_at_any_level(shop):
    soften(shop)
    receipt = shop.intake.events([watch("a", seconds=5001), watch("b", at=0), watch("c")])
    assert (receipt.accepted, receipt.quarantined) == (1, 2)
    assert "2016-01-01T00:00:00+00:00, the smallest possible value" in receipt.problems[0].what
    assert "5000, the largest possible value" in receipt.problems[1].what


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400, "5"])
def test_what_is_no_number_keeps_its_own_reason(shop, value):
    problem = shop.intake.events([watch("a", seconds=value), watch("b")]).problems
    assert [p.code for p in problem] in (["not-finite"], ["wrong-type"])


def test_extreme_numbers_break_the_declared_limit_first(shop):
    problems = shop.intake.events([watch("a", seconds=1e300), watch("b", seconds=-1e-300), watch("c", seconds=5e-324)])
    assert [p.code for p in problems.problems] == ["below-minimum", "above-maximum", "below-expected"]


def test_frames_and_objects_are_held_to_the_same(shop):
    frame = pl.DataFrame({"event_id": ["a", "b", "c"], "user": "u", "video": "v", "seconds": [5.0, 500.0, None]})
    receipt = shop.intake.frame("watch", frame, backfill=True)
    assert (receipt.accepted, receipt.quarantined) == (1, 2)
    assert {p.code for p in receipt.problems} == {"above-expected", "unexpected-missing"}


def test_table_rows_set_what_they_name_and_deletions_pass(shop):
    rows = [{"video_id": "a", "title": "no duration named"}, {"video_id": "b", "duration_s": None},
            {"video_id": "c", "deleted": True}, {"video_id": "d", "duration_s": 5, "tags": ["a", "z"]},
            {"video_id": "e", "duration_s": 101}, {"video_id": "f", "duration_s": 5, "tags": ["a", "b"]}]  # fmt: skip
    receipt = shop.intake.rows("video", rows)
    assert receipt.accepted == 3
    assert sorted(p.code for p in receipt.problems) == ["above-expected", "unexpected-missing", "unexpected-value"]
    assert shop.log.ids.rows("video", ["a", "b", "c", "d", "e", "f"]).tolist().count(-1) == 3


def test_replay_after_the_file_was_edited(shop):
    shop.intake.events([watch("a", seconds=150), watch("b", seconds=9000), impression("c", surface="tv")])
    quarantine = Quarantine(shop.log.database)
    assert quarantine.replay(shop.intake).accepted == 0
    soften(shop)
    receipt = quarantine.replay(shop.intake)
    assert (receipt.accepted, receipt.quarantined) == (2, 1)
    assert quarantine.rows()["field"].to_list() == ["seconds"]
    assert "possible" in quarantine.rows()["reason"][0]


def test_a_running_intake_notices_an_edit_and_keeps_the_old_rules_when_it_is_wrong(shop, monkeypatch, caplog):
    monkeypatch.setattr("winnow.data.expectations.edge._LOOK_S", -1.0)
    (shop.folder / "expectations.toml").write_text("[event.wach]\n")
    assert shop.intake.events([watch("a", seconds=150)]).quarantined == 1
    assert "did you mean `watch`" in caplog.text
    (shop.folder / "expectations.toml").write_text(FILE.format(level="warn"))
    assert shop.intake.events([watch("b", seconds=150)]).accepted == 1
    (shop.folder / "expectations.toml").unlink()
    assert shop.intake.events([watch("c", seconds=9000)]).problems == ()


def test_a_project_with_a_wrong_file_does_not_open_its_intake(shop):
    (shop.folder / "expectations.toml").write_text("[event.wach]\n")
    with pytest.raises(InputError, match="did you mean `watch`"):
        shop.open()


def test_without_a_file_nothing_is_expected_and_nothing_counted(tmp_path):
    shop = Shop(tmp_path)
    assert shop.intake.events([watch("a", seconds=1e8, at=shop.now + SECOND)]).problems == ()
    assert not (tmp_path / "tally.db").exists()
    shop.log.close()


def test_clocks_ahead_are_counted_by_producer_and_clamped(shop):
    ahead = [impression(f"a{i}", at=shop.now + 60 * SECOND, surface="search") for i in range(3)]
    shop.intake.events([*ahead, impression("b", at=shop.now - HOUR), impression("c")])
    counts = {(c, w): (rows, amount) for c, w, rows, amount in shop.edge._tally.rows().select(
        "code", "who", "rows", "amount").iter_rows()}  # fmt: skip
    assert counts == {("taken", "home"): (2, 0.0), ("taken", "search"): (3, 0.0), ("ahead", "search"): (3, 180.0)}
    assert all(at <= shop.now for c in shop.log.read() for at in c.ints("at").tolist())


def test_imports_say_nothing_about_clocks(shop):
    frame = pl.DataFrame({"event_id": ["a"], "user": "u", "video": "v", "surface": "home", "at": [shop.now + SECOND]})
    shop.intake.frame("impression", frame, backfill=True)
    assert shop.edge._tally.rows().is_empty()


def test_events_sent_again_are_counted(shop):
    for _ in range(3):
        shop.intake.events([watch("a"), watch("b")])
    resent = shop.edge._tally.rows().filter(pl.col("code") == "resent")
    assert resent.select("name", "rows").rows() == [("watch", 4)]


def test_a_tally_that_cannot_be_written_does_not_hold_up_rows(shop):
    (shop.folder / "tally.db").mkdir()
    assert shop.intake.events([watch("a", at=shop.now + SECOND)]).accepted == 1


def test_rows_are_never_touched(shop):
    soften(shop)
    rows = [watch("a", seconds=150), impression("b", surface="tv")]
    before = [dict(row) for row in rows]
    shop.intake.events(rows)
    assert rows == before
