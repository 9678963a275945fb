"""The initial log: the schema of the system, moments in order, the same each time, and position bias one can see."""

from collections import defaultdict

import numpy as np
import polars as pl
import pytest

from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.data.schema import Events, Table
from winnow.simulation.history import world_history
from winnow.simulation.world import Size, World

UNTIL = 1_780_000_000_000_000


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(Size(people=300, videos=400, later=20, days=7, impressions=40_000), until=UNTIL, seed=3)


@pytest.fixture(scope="module")
def log(world: World) -> dict[str, pl.DataFrame]:
    parts = defaultdict(list)
    for name, frame in world_history(world):
        parts[name].append(frame)
    return {name: pl.concat(frames) for name, frames in parts.items()}


def declared(module) -> list[dict]:
    """The tables and the event types of a system file."""
    return [{p.name: p for p in vars(module).values() if isinstance(p, kind)} for kind in (Table, Events)]


def test_it_is_the_same_every_time(world: World, log: dict[str, pl.DataFrame]):
    again = [frame for name, frame in world_history(world) if name == "watch"]
    assert pl.concat(again).equals(log["watch"])


def test_size_and_moments(world: World, log: dict[str, pl.DataFrame]):
    assert len(log["impression"]) == pytest.approx(40_000, rel=0.05)
    assert len(log["user"]) == 300
    assert len(log["video"]) == 400
    for name, frame in log.items():
        if name not in ("user", "video"):
            assert frame["at"].min() >= world.starts_at
            assert frame["at"].max() <= UNTIL
            assert frame["event_id"].is_unique().all()


def test_nothing_is_shown_before_its_upload_or_twice_in_a_list(log: dict[str, pl.DataFrame]):
    shown = log["impression"].join(log["video"], left_on="video", right_on="video_id")
    assert (shown["at"] >= shown["uploaded_at"]).all()
    assert shown["available"].all()
    lists = shown.with_columns(list=pl.col("at") - ((pl.col("position") - 1) * 500_000).cast(pl.Int64))
    assert lists.select("user", "list", "video").is_unique().all()


def test_feedback_belongs_to_an_impression_within_the_hour(log: dict[str, pl.DataFrame]):
    shown = log["impression"].select("user", "video", "at").sort("at")
    for name in ("click", "watch", "like", "hide"):
        joined = (
            log[name].sort("at").join_asof(shown, on="at", by=["user", "video"], coalesce=False, check_sortedness=False)
        )
        delay = joined["at"] - joined["at_right"]
        assert delay.null_count() == 0
        assert 0 < delay.min() <= delay.max() < 3_600_000_000


def test_clicks_fall_with_position(log: dict[str, pl.DataFrame]):
    clicks = log["click"].select("user", "video").unique().with_columns(clicked=1)
    rate = (
        log["impression"].join(clicks, on=["user", "video"], how="left")
        .group_by("position").agg(pl.col("clicked").count() / pl.len()).sort("position")["clicked"].to_numpy()
    )  # fmt: skip
    assert rate[:3].mean() > 1.4 * rate[-3:].mean()


def test_the_intake_takes_every_row(world: World, log: dict[str, pl.DataFrame], tmp_path):
    from winnow.systems import video_recommendation

    tables, events = declared(video_recommendation)
    store = SqliteLog(tmp_path / "truth.db")
    intake = Intake(store, tables, events)
    for name, frame in log.items():
        receipt = intake.frame(name, frame, backfill=True)
        assert (receipt.accepted, receipt.quarantined) == (len(frame), 0), receipt.problems
    assert store.last_seq() == sum(map(len, log.values()))
    assert np.all(store.ids.rows("user", world.people.ids) >= 0)


def test_it_can_be_imported_twice_and_lands_once(world: World, tmp_path):
    from winnow.data.importers import load
    from winnow.simulation.importer import WorldImporter
    from winnow.systems import video_recommendation

    tables, events = declared(video_recommendation)
    store = SqliteLog(tmp_path / "truth.db")
    world.write(tmp_path / "world.json")
    first = load(WorldImporter(), tmp_path, Intake(store, tables, events))
    assert first.total.quarantined == 0
    assert first.left_out == ()
    assert first.receipts["impression"].accepted == pytest.approx(40_000, rel=0.05)
    again = load(WorldImporter(), tmp_path, Intake(store, tables, events))
    assert again.receipts["impression"].duplicates == first.receipts["impression"].accepted
