"""The social world: the same each time, ties that hold, outrage that raises comments and hides, known truth."""

from collections import Counter

import numpy as np
import pytest

from winnow.core.errors import InputError, NotFound
from winnow.core.time import now_us
from winnow.simulation.policies import best
from winnow.simulation.social_driver import FeedDriver, measure
from winnow.simulation.social_history import social_events, social_tables
from winnow.simulation.social_reactions import Meeting, chances, draw
from winnow.simulation.social_world import SocialSize, SocialWorld

SIZE = SocialSize(members=80, posts=500, later=20, topics=5, days=3, impressions=3_000)
NOW = now_us()


@pytest.fixture(scope="module")
def world():
    return SocialWorld.make(SIZE, until=NOW, seed=3)


@pytest.fixture(scope="module")
def log(world):
    return [*social_tables(world), *social_events(world)]


def test_a_world_is_the_same_when_it_is_built_again(world, tmp_path, log):
    world.write(tmp_path / "world.json")
    again = SocialWorld.read(tmp_path / "world.json")
    assert again.posts.texts == world.posts.texts
    assert np.array_equal(again.members.friends, world.members.friends)
    assert all(a.equals(b) for (_, a), (_, b) in zip(log, [*social_tables(again), *social_events(again)], strict=True))
    with pytest.raises(NotFound, match="no-world"):
        SocialWorld.read(tmp_path / "other.json")


def test_ties_hold_together(world):
    m = world.members
    assert (m.friends == m.friends.T).all()
    assert not (m.friends & m.follows).any()
    assert not (m.blocks & (m.friends | m.follows)).any()
    assert not m.friends.diagonal().any() | m.follows.diagonal().any() | m.blocks.diagonal().any()
    likeness = m.tastes @ m.tastes.T
    assert likeness[m.friends].mean() > likeness.mean() + 0.05


def meeting(**given):
    columns = dict.fromkeys(("match", "close", "fellow", "quality", "warmth", "outrage", "temper"), 0.5) | given
    return Meeting(*np.broadcast_arrays(*(np.asarray(columns[n], float) for n in columns)))


def test_outrage_raises_comments_and_hides_and_costs_value(world):
    calm, furious = (chances(meeting(outrage=o, temper=1.0)) for o in (0.0, 2.0))
    for head in ("comment", "hide", "click"):
        assert furious[head] > 1.5 * calm[head]
    assert furious["like"] < calm["like"]
    worth = [sum(weight * p[head] for head, weight in world.weights.items()) for p in (calm, furious)]
    assert worth[1] < worth[0]
    assert chances(meeting(outrage=2.0, temper=0.0))["comment"] < furious["comment"]


def test_close_and_liked_and_good_posts_please(world):
    for better in ({"close": 1.0}, {"match": 1.0}, {"quality": 2.0}):
        low, high = chances(meeting()), chances(meeting(**better))
        assert high["like"] > low["like"]
        assert high["skip"] < low["skip"]


def test_draws_follow_the_chances():
    m = meeting(match=np.full(40_000, 0.6))
    expected, (done, seconds) = chances(m), draw(m, np.ones(40_000), np.random.default_rng(1))
    for head in ("click", "like", "comment", "hide"):
        assert done[head].mean() == pytest.approx(expected[head].mean(), abs=0.01)
    assert seconds.mean() == pytest.approx(expected["dwell_s"].mean(), rel=0.15)
    assert (seconds[done["skip"]] <= 0.5).all()
    assert not (done["skip"] & done["like"]).any()
    nobody, none = draw(m, np.zeros(40_000), np.random.default_rng(1))
    assert not any(flags.any() for flags in nobody.values())
    assert not none.any()


def test_the_log_shows_nobody_what_they_must_not_see_nor_twice(world, log):
    m, rows = world.members, {i: r for r, i in enumerate(world.members.ids)}
    shown = [frame for name, frame in log if name == "impression"]
    pairs = [(rows[a], world.post_rows[b]) for frame in shown for a, b in frame.select("member", "post").iter_rows()]
    assert len(pairs) == pytest.approx(SIZE.impressions, rel=0.15)
    assert max(Counter(pairs).values()) == 1
    who, posts = np.array(pairs).T
    assert not m.apart(who, world.posts.authors[posts]).any()
    assert not world.posts.removed[posts].any()
    times = np.concatenate([frame["at"].to_numpy() for frame in shown])
    assert (times >= world.posts.created_at[posts]).all()
    ids = [i for _, frame in log if "event_id" in frame.columns for i in frame["event_id"]]
    assert len(set(ids)) == len(ids)


def test_the_best_lists_beat_the_newest_and_those_beat_chance(world):
    members, at = np.arange(80), np.full(80, NOW)
    allowed = world.showable(members, at)
    every = world.true_value(members[:, None], np.arange(len(world.posts))[None, :])
    newest = world.circle(members) * 1e20 + world.posts.created_at
    rng = np.random.default_rng(1)
    worth = [world.list_value(members, best(np.where(allowed, s, -np.inf), 12, None)).mean()
             for s in (every, newest, rng.random(allowed.shape))]  # fmt: skip
    assert worth[0] > 2 * worth[1] > 2 * worth[2]
    assert world.list_value(members[:1], np.full((1, 3), -1))[0] == 0


def test_a_visit_posts_what_the_service_takes(world):
    driver = FeedDriver(world, "http://nowhere", clock=lambda: NOW)
    items = [{"id": world.posts.ids[i]} for i in range(12)]
    reply = {"recommendation_id": "abc", "items": items}
    visit, events = driver.act(reply, 3, key="r1-0", rng=world.rng(1))
    assert events == driver.act(reply, 3, key="r1-0", rng=world.rng(1))[1]
    assert len({e["event_id"] for e in events}) == len(events)
    counts = Counter(e["type"] for e in events)
    assert counts.pop("impression") == 12
    assert counts == {n: c for n, c in visit.counts.items() if c}
    assert all(e["seconds"] > 0 for e in events if e["type"] == "dwell")
    with pytest.raises(InputError, match="not-this-world"):
        driver.act({"recommendation_id": "abc", "items": [{"id": "p999999"}]}, 3, key="x", rng=world.rng(1))
    report = measure(world, [visit], seen=driver.seen, number=1)
    assert report.oracle >= report.value
    assert report.impressions == 12


def test_a_forbidden_post_is_counted(world):
    driver = FeedDriver(world, "http://nowhere", clock=lambda: NOW)
    removed = int(np.flatnonzero(world.posts.removed)[0])
    reply = {"recommendation_id": "abc", "items": [{"id": world.posts.ids[removed]}]}
    visit, _ = driver.act(reply, 3, key="r1-0", rng=world.rng(1))
    assert measure(world, [visit], seen=driver.seen, number=1).forbidden == 1
