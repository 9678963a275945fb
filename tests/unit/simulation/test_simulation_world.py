"""The world is the same every time, its truth is what its reactions are drawn from, and policies differ in it."""

import dataclasses

import numpy as np
import pytest

from winnow.core.errors import NotFound
from winnow.core.time import days, to_us
from winnow.simulation import policies
from winnow.simulation.reactions import examination
from winnow.simulation.world import VALUE, Size, World

UNTIL = 1_780_000_000_000_000
SMALL = Size(people=200, videos=300, later=20, days=7)


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(SMALL, until=UNTIL, seed=3)


def test_same_seed_same_world_other_seed_other_world(world: World):
    again, other = World.make(SMALL, until=UNTIL, seed=3), World.make(SMALL, until=UNTIL, seed=4)
    assert again.people.ids == world.people.ids
    assert again.videos.titles == world.videos.titles
    np.testing.assert_array_equal(again.people.tastes, world.people.tastes)
    np.testing.assert_array_equal(again.videos.quality, world.videos.quality)
    assert not np.array_equal(other.videos.quality, world.videos.quality)


def test_a_world_is_built_again_from_its_note(world: World, tmp_path):
    world.write(tmp_path / "world.json")
    again = World.read(tmp_path / "world.json")
    np.testing.assert_array_equal(again.people.tastes, world.people.tastes)
    with pytest.raises(NotFound, match="no-world"):
        World.read(tmp_path / "nothing.json")


def test_ids_are_unique_and_titles_name_a_subject_of_the_main_topic(world: World):
    assert len(set(world.people.ids)) == 200
    assert len(set(world.videos.ids)) == 320
    assert len(set(world.videos.titles)) == 320
    assert World.make(Size(people=6_000, videos=50, later=0), until=UNTIL).people.ids[-1].endswith("-2")


def test_pairs_and_matrix_agree(world: World):
    people, at = np.array([3, 50, 199]), np.array([UNTIL, UNTIL + 1, UNTIL + to_us(days(2))])
    every = world.every_true_value(people, at)
    showable = np.flatnonzero(world.videos.showable(UNTIL))
    pairs = world.true_value(np.repeat(people, len(showable)), np.tile(showable, 3), np.repeat(at, len(showable)))
    np.testing.assert_allclose(every[:, showable].ravel(), pairs)
    assert np.isneginf(every[:, world.videos.held_back()]).all()


def test_true_value_is_the_mean_of_what_happens(world: World):
    showable = np.flatnonzero(world.videos.showable(UNTIL))
    people, videos = np.repeat(np.arange(200), 20), np.resize(showable, 4_000)
    at = np.full(4_000, UNTIL)
    totals = np.zeros(4_000)
    for turn in range(200):
        out = world.react(people, videos, at, seen=np.ones(4_000), rng=world.rng(99, turn))
        totals += out.click * VALUE["click"] + out.long * VALUE["long_view"] + out.like * VALUE["like"]
        totals += out.seconds * VALUE["watch_s"]
    expected = world.true_value(people, videos, at)
    assert totals.mean() / 200 == pytest.approx(expected.mean(), rel=0.01)
    strong = expected > np.quantile(expected, 0.9)
    assert totals[strong].mean() / 200 == pytest.approx(expected[strong].mean(), rel=0.02)


def test_weights_are_those_of_the_system():
    from winnow.systems.video_recommendation import system

    assert dict(system.pipeline.value.weights) == dict(VALUE)


def test_tastes_drift_slowly_and_stay_unit_length(world: World):
    people = np.arange(200)
    first, soon, late = (world.people.taste(people, world.starts_at + to_us(days(d))) for d in (0, 1, 60))
    np.testing.assert_allclose(np.linalg.norm(late, axis=1), 1.0)
    assert (first * soon).sum(axis=1).mean() > 0.99
    assert 0.2 < (first * late).sum(axis=1).mean() < 0.9


def test_eyes_leave_the_list_and_nobody_reacts_to_what_they_did_not_see(world: World):
    chance = examination(np.arange(20), np.zeros(20, int))
    assert chance[0] == 1.0
    assert (np.diff(chance) < 0).all()
    people, videos = np.arange(200), np.arange(200)
    out = world.react(people, videos, np.full(200, UNTIL), seen=np.zeros(200), rng=world.rng(1))
    assert not any(getattr(out, f.name).any() for f in dataclasses.fields(out))


def test_reactions_follow_from_one_another(world: World):
    rng = world.rng(7)
    people, videos = rng.integers(0, 200, 50_000), rng.integers(0, 300, 50_000)
    out = world.react(people, videos, np.full(50_000, UNTIL), seen=np.ones(50_000), rng=rng)
    assert out.click.sum() > 1_000
    assert ((out.seconds > 0) <= out.click).all()
    assert (out.seconds <= world.videos.duration_s[videos] + 0.05).all()
    assert not (out.hide & out.click).any()
    for after in (out.long, out.like, out.follow, out.comment, out.share):
        assert after.any()
        assert (after <= out.click).all()


def test_oracle_bounds_popularity_and_chance_with_room_to_learn(world: World):
    people, at = np.arange(200), np.full(200, UNTIL)
    rng = world.rng(5)
    quality = np.exp(world.videos.quality)
    best = world.list_value(people, policies.oracle(world, people, at, size=10), at)
    lists = policies.popular(world, people, at, size=10, watches=quality)
    popular = world.list_value(people, lists, at)
    random = world.list_value(people, policies.chance(world, people, at, size=10, rng=rng), at)
    assert (best >= popular).all()
    assert (best >= random).all()
    assert best.mean() > 2 * popular.mean() > 2 * random.mean()
    assert all(len(set(row)) == 10 for row in lists.tolist())
    assert world.videos.showable(UNTIL)[lists].all()


def test_list_value_ignores_empty_places_and_weighs_the_top_more(world: World):
    people, at = np.array([0]), np.array([UNTIL])
    order = np.argsort(world.every_true_value(people, at)[0])[::-1]
    good, bad = order[0], order[250]
    value = world.true_value(np.array([0, 0]), np.array([good, bad]), UNTIL)
    assert world.list_value(people, np.array([[good, -1, -1]]), at)[0] == pytest.approx(value[0])
    best_first = world.list_value(people, np.array([[good, bad]]), at)[0]
    assert best_first > value.mean() > world.list_value(people, np.array([[bad, good]]), at)[0]


def test_a_video_put_up_can_be_shown_from_then_on(world: World):
    rows = world.videos.held_back()[:3]
    after = world.put_up(rows, UNTIL + 10)
    assert after.videos.showable(UNTIL + 10)[rows].tolist() == world.videos.available[rows].tolist()
    assert not after.videos.showable(UNTIL + 9)[rows].any()
    assert len(after.videos.held_back()) == 17
    assert len(world.videos.held_back()) == 20
