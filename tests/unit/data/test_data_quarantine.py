"""Rows that were set aside: listed, counted, replayed."""

from winnow.data.intake import Intake
from winnow.data.schema import Events


def test_the_same_bad_row_is_kept_once(shop, watch_row):
    for _ in range(3):
        shop.intake.events([watch_row(seconds=-1)])
    assert len(shop.quarantine.rows()) == 1


def test_counts_by_reason(shop, watch_row, click_row):
    shop.intake.events([watch_row(str(i), seconds=-1) for i in range(3)] + [click_row("c", at="?")])
    assert shop.quarantine.counts().rows() == [
        ("event", "watch", "below-minimum", "seconds", 3), ("event", "click", "bad-time", "at", 1),
    ]  # fmt: skip


def test_newest_first_and_pages(shop, watch_row):
    shop.intake.events([watch_row(str(i), seconds=-1) for i in range(5)])
    assert shop.quarantine.list(2)["id"].to_list() == [5, 4]
    assert shop.quarantine.rows(limit=2, after=2)["id"].to_list() == [3, 4]


def test_rows_that_pass_now_land_once_and_leave(shop, watch_row, click_row):
    rows = [{**click_row("n"), "type": "nod"}, watch_row("bad", seconds=-1)]
    shop.intake.events(rows)
    later = Intake(shop.log, {}, shop.events | {"nod": Events("nod", refs=shop.events["click"].refs)}, clock=shop.clock)
    receipt = shop.quarantine.replay(later)
    assert (receipt.accepted, receipt.quarantined) == (1, 1)
    assert shop.quarantine.rows()["code"].to_list() == ["below-minimum"]
    assert [c.name for c in shop.log.read()] == ["nod"]
    assert shop.quarantine.replay(later).accepted == 0


def test_an_import_replays_as_an_import(shop, click_row):
    shop.intake.events([{**click_row("n", at="2020-01-01"), "type": "nod"}], backfill=True)
    later = Intake(shop.log, {}, {"nod": Events("nod", refs=shop.events["click"].refs)}, clock=shop.clock)
    shop.quarantine.replay(later)
    (chunk,) = shop.log.read()
    assert chunk.ints("known_at").tolist() == chunk.ints("at").tolist()


def test_table_rows_replay_and_unknown_tables_stay(shop):
    shop.intake.rows("video", [{"video_id": "v", "colour": "red"}])
    assert shop.quarantine.replay(Intake(shop.log, {}, {}, clock=shop.clock)).accepted == 0
    assert len(shop.quarantine.rows()) == 1
    assert shop.quarantine.drop(shop.quarantine.rows()["id"].to_list()) == 1
    assert shop.quarantine.rows().is_empty()
