"""What a visit posts is what the service takes, the same each time; a round reports the truth about its lists."""

from collections import Counter

import numpy as np
import polars as pl
import pytest

from winnow.core.errors import InputError
from winnow.core.time import now_us
from winnow.data.schema import Events, Table
from winnow.simulation.driver import Driver, Visit, measure
from winnow.simulation.policies import oracle, popular
from winnow.simulation.world import Size, World


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(Size(people=100, videos=200, later=10, days=7), until=now_us(), seed=3)


def declared(module) -> list[dict]:
    """The tables and the event types of a system file."""
    return [{p.name: p for p in vars(module).values() if isinstance(p, kind)} for kind in (Table, Events)]


def reply_of(world: World, rows) -> dict:
    items = [{"id": world.videos.ids[r], "score": 1.0, "position": i} for i, r in enumerate(rows, start=1)]
    return {"recommendation_id": "abc", "items": items}


def test_a_visit_posts_impressions_and_reactions_that_name_the_reply(world: World):
    driver = Driver(world, "http://nowhere", clock=lambda: world.until)
    rows = oracle(world, np.array([5]), np.array([world.until]), size=12)[0]
    total = Counter()
    for index in range(40):
        visit, events = driver.act(reply_of(world, rows), 5, surface=0, key=f"r1-{index}", rng=world.rng(1, index))
        assert len(visit.videos) == 12
        assert len({e["event_id"] for e in events}) == len(events) == visit.events
        assert {e["recommendation_id"] for e in events} == {"abc"}
        assert [e["position"] for e in events if e["type"] == "impression"] == list(range(1, 13))
        assert all(e["seconds"] >= 0 and isinstance(e["long"], bool) for e in events if e["type"] == "watch")
        assert visit.clicks == sum(e["type"] == "click" for e in events) == len(visit.watched)
        total.update(e["type"] for e in events)
    assert total["impression"] == 480
    assert total["impression"] > total["click"] == total["watch"] > total["like"] > 0


def test_the_same_visit_posts_the_same_events(world: World):
    driver = Driver(world, "http://nowhere", clock=lambda: world.until)
    first, second = (
        driver.act(reply_of(world, range(12)), 7, surface=1, key="r1-0", rng=world.rng(1))[1] for _ in range(2)
    )
    assert first == second


def test_a_video_of_another_world_is_an_error(world: World):
    driver = Driver(world, "http://nowhere")
    reply = {"recommendation_id": "abc", "items": [{"id": "v99999"}]}
    with pytest.raises(InputError, match="v99999"):
        driver.act(reply, 7, surface=1, key="r1-0", rng=world.rng(1))


def test_the_intake_takes_what_a_visit_posts(world: World, tmp_path):
    from winnow.data.intake import Intake
    from winnow.data.log import SqliteLog
    from winnow.systems import video_recommendation

    tables, events = declared(video_recommendation)
    intake = Intake(SqliteLog(tmp_path / "truth.db"), tables, events)
    driver = Driver(world, "http://nowhere")
    _, posted = driver.act(reply_of(world, range(12)), 7, surface=0, key="r1-0", rng=world.rng(1))
    assert intake.events(posted).accepted == len(posted)
    again = intake.events(posted)
    assert (again.accepted, again.duplicates) == (0, len(posted))


def test_a_round_of_the_best_lists_is_worth_what_the_oracle_is_worth(world: World):
    people, at, watches = np.arange(50), np.full(50, world.until), np.exp(world.videos.quality)

    nothing = np.zeros((100, len(world.videos)), bool)

    def report(lists):
        visits = [Visit(p, world.until, row, 1, row[:1], 13) for p, row in zip(people, lists, strict=True)]
        return measure(world, visits, watches, seen=nothing, number=1)

    best = report(oracle(world, people, at, size=8))
    assert best.value == pytest.approx(best.oracle)
    assert best.low < best.value < best.high
    assert (best.visits, best.impressions, best.clicks, best.events) == (50, 400, 50, 650)
    usual = report(popular(world, people, at, size=8, watches=watches))
    assert usual.value == pytest.approx(usual.popular) == pytest.approx(best.popular)
    assert best.oracle > best.popular > best.chance > 0


def test_lists_of_different_lengths_are_measured_too(world: World):
    visits = [
        Visit(p, world.until, np.arange(n), 0, np.arange(0), n) for p, n in ((1, 12), (2, 3), (3, 0))
    ]  # fmt: skip
    seen = np.zeros((100, len(world.videos)), bool)
    assert measure(world, visits, np.ones(len(world.videos)), seen=seen, number=1).impressions == 15


def test_watches_fade_and_what_was_shown_is_not_shown_again(world: World):
    driver = Driver(world, "http://nowhere")
    day, videos = 86_400_000_000, world.videos.ids
    at = [world.until - d * day for d in (0, 2, 4)]
    frame = pl.DataFrame({"user": [world.people.ids[7]] * 3, "video": [videos[3]] * 3, "at": at})
    driver.remember("watch", frame)
    assert driver.watches[3] == pytest.approx(1.75)
    assert driver.watches.sum() == pytest.approx(1.75)
    assert not driver.seen.any()
    driver.remember("impression", frame)
    assert np.argwhere(driver.seen).tolist() == [[7, 3]]
    people, moments = np.array([6, 7]), np.full(2, world.until)
    lists = [
        oracle(world, people, moments, size=120, seen=driver.seen[people]),
        popular(world, people, moments, size=120, watches=driver.watches, seen=driver.seen[people]),
    ]
    assert lists[1][0, 0] == 3
    assert all(3 not in found[1] for found in lists)
