"""Programs among people, and storms of copies: each kind is found, and people are left alone."""

import numpy as np
import polars as pl
import pytest
from expectations_world import DAY, EVENTS, HOUR, SECOND, START, Shop, event, people

from winnow.core.declare import plain
from winnow.data.expectations.behaviour import People
from winnow.data.expectations.declare import Bots, Expectations, Storms
from winnow.data.expectations.flags import bots, find, learn, storms_of
from winnow.data.expectations.write import to_toml
from winnow.systems.video_recommendation import system


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    shop.take(people(np.random.default_rng(3), 100))
    yield shop
    shop.log.close()


def found(shop, **options):
    rows = bots(shop.data().history, system, **options)
    return set(shop.log.ids.ids("user", sorted(rows)))


def reasons(shop):
    data = shop.data()
    frames = {n: data.history.events(n).collect() for n in EVENTS}
    limits = learn(People.of(system), frames)
    users = find(system, frames, limits, Storms()).users
    names = shop.log.ids.ids("user", users["user"].to_list())
    return {(name, r["reason"], r["event"]) for name, r in zip(names, users.to_dicts(), strict=True)}


def videos(n):
    return pl.Series([f"v{i % 300}" for i in range(n)])


def every(seconds, n, *, first=START):
    return [first + round(i * seconds * SECOND) for i in range(n)]


def test_people_are_left_alone(shop):
    assert found(shop) == set()


def test_a_program_that_shows_itself_everything(shop):
    rng = np.random.default_rng(0)
    at = (START + np.sort(rng.integers(0, HOUR, 3000))).tolist()
    shop.take({"impression": event("impression", 3000, at=at, user="crawler", video=videos(3000))})
    assert ("crawler", "per_hour", "impression") in reasons(shop)
    assert found(shop) == {"crawler"}


def test_a_program_that_never_sleeps(shop):
    rng = np.random.default_rng(0)
    at = (START + np.sort(rng.integers(0, DAY, 400))).tolist()
    shop.take({"impression": event("impression", 400, at=at, user="owl", video=videos(400))})
    assert reasons(shop) == {("owl", "hours_a_day", "")}


def test_a_program_that_acts_by_the_clock(shop):
    shop.take({"impression": event("impression", 100, at=every(20, 100), user="clock", video=videos(100))})
    assert ("clock", "regular", "") in reasons(shop)


def test_a_program_that_looks_at_nothing(shop):
    rng = np.random.default_rng(0)
    at = (START + np.cumsum(rng.exponential(0.2 * SECOND, 100)).astype(int)).tolist()
    shop.take({"click": event("click", 100, at=at, user="quick", video=videos(100))})
    assert ("quick", "dwell_s", "click") in reasons(shop)


def test_a_program_that_clicks_everything(shop):
    rng = np.random.default_rng(0)
    at = (START + np.cumsum(rng.lognormal(2.5, 0.8, 100) * SECOND).astype(int)).tolist()
    frame = event("impression", 100, at=at, user="eager", video=videos(100))
    shop.take({"impression": frame, "click": frame.with_columns(event_id="c" + pl.col("event_id"))})
    assert reasons(shop) == {("eager", "share", "click")}


def test_limits_do_not_move_with_the_few_who_exceed_them(shop):
    frames = {n: shop.data().history.events(n).collect() for n in EVENTS}
    before = learn(People.of(system), frames)
    rng = np.random.default_rng(0)
    for i in range(3):
        at = (START + np.sort(rng.integers(0, HOUR, 5000))).tolist()
        shop.take({"impression": event("impression", 5000, at=at, user=f"bot{i}", video=videos(5000), key=str(i))})
    frames = {n: shop.data().history.events(n).collect() for n in EVENTS}
    after = learn(People.of(system), frames)
    assert after.per_hour == pytest.approx(before.per_hour, rel=0.15)
    assert found(shop) == {"bot0", "bot1", "bot2"}


def test_what_everybody_does_is_no_reason(tmp_path):
    """Ratings imported as impressions that were clicked, one second apart: all alike, nobody a program."""
    shop = Shop(tmp_path)
    for i in range(40):
        frame = event(
            "impression", 60, at=every(1, 60, first=START + i * HOUR), user=f"u{i}", video=videos(60), key=str(i)
        )
        shop.take({"impression": frame, "click": frame.with_columns(event_id="c" + pl.col("event_id"))})
    limits = plain(learn(People.of(system), {n: shop.data().history.events(n).collect() for n in EVENTS}))
    assert found(shop) == set()
    assert limits
    shop.log.close()


def test_few_people_teach_nothing(tmp_path):
    shop = Shop(tmp_path)
    shop.take(people(np.random.default_rng(3), 5))
    frames = {n: shop.data().history.events(n).collect() for n in EVENTS}
    assert learn(People.of(system), frames) == Bots()
    assert found(shop) == set()
    shop.log.close()


def test_no_events_at_all(tmp_path):
    shop = Shop(tmp_path)
    assert found(shop) == set()
    shop.log.close()


def test_only_what_was_known_counts(shop):
    at = every(1.5, 3000)
    shop.take({"impression": event("impression", 3000, at=at, user="crawler", video=videos(3000))})
    assert found(shop) == {"crawler"}
    assert found(shop, as_of=START + 60 * SECOND) == set()


def test_the_file_of_the_project_has_the_last_word(shop):
    at = every(1.5, 3000)
    shop.take({"impression": event("impression", 3000, at=at, user="crawler", video=videos(3000))})
    path = shop.folder / "expectations.toml"
    path.write_text(to_toml(Expectations(bots=Bots())))
    assert found(shop) == set()
    path.write_text(to_toml(Expectations(bots=Bots(per_hour=1000.0))))
    assert found(shop) == {"crawler"}
    assert found(shop, limits=Bots(per_hour=1e6)) == set()


# Storms -------------------------------------------------------------------------------------------------------------


def storms(shop, **options):
    return storms_of(shop.data().history.events("click").collect(), EVENTS["click"], Storms(**options), "user")


def test_a_storm_is_one_event_under_many_ids(tmp_path):
    shop = Shop(tmp_path)
    at = [*every(2, 7), START + HOUR, START + 2 * HOUR]
    shop.take({"click": event("click", 9, at=at, user="u", video="v1")})
    shop.take({"click": event("click", 9, at=every(2, 9), user="u", video=videos(9), key="others")})
    (storm,) = storms(shop).to_dicts()
    assert (storm["copies"], storm["event"]) == (8, "click")  # one of the others was about v1 too
    assert (storm["first_at"], storm["last_at"]) == (START, START + 12 * SECOND)
    assert storms(shop, copies=9).is_empty()
    assert storms(shop, within_s=1.0).is_empty()
    shop.log.close()


def test_the_share_of_copies_leaves_the_first_of_each_out(tmp_path):
    shop = Shop(tmp_path)
    shop.take({"click": event("click", 10, at=every(1, 10))})
    frames = {n: shop.data().history.events(n).collect() for n in EVENTS}
    assert find(system, frames, Bots(), Storms()).copies["click"] == 0.9
    shop.log.close()


def test_no_clicks_no_storms(tmp_path):
    shop = Shop(tmp_path)
    assert storms(shop).is_empty()
    shop.log.close()
