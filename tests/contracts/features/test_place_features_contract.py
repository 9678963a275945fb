"""What features of place, time, company and room owe, beside what every feature type does."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from features_shop import click, labels, seen, user, video, watch
from hypothesis import given
from hypothesis import strategies as st
from test_features_feature_contract import FeatureContract

import winnow as w
from winnow import hours
from winnow.core.time import MICROS
from winnow.data.ties import Bond, Tie
from winnow.features import calendar, company, match, place, room
from winnow.features.history import HistoryState
from winnow.features.paper import Paper, moment
from winnow.features.plan import Plan
from winnow.features.recent import Last
from winnow.features.view import Moments, View

befriend, unfriend = (Tie(name, refs={"user": user, "other": user}) for name in ("befriend", "unfriend"))
book, cancel = (Tie(name, refs={"user": user, "video": video}) for name in ("book", "cancel"))
friends, going = Bond(befriend, unfriend, mutual=True), Bond(book, cancel)
PAST = Last(watch.video, by=user, k=4)


class TestUntil(FeatureContract):
    feature = calendar.Until(video.made)
    names = ("video_made_until_h",)


class TestHourOfAColumn(FeatureContract):
    feature = calendar.Hour(video.made, zone="Asia/Tokyo", default=-1.0)
    names = ("video_made_hour",)
    empty = -1.0


class TestWeekdayOfAColumn(FeatureContract):
    feature = calendar.Weekday(video.made, utc_offset=video.price, default=-1.0)
    names = ("video_made_weekday",)
    empty = -1.0


class TestDistanceToACentre(FeatureContract):
    feature = place.Distance(
        place.Whereabouts((
            place.Place(seen.position, seen.position),
            place.Centre(watch.video, by=user, of=place.Place(video.price, video.price), k=3),
        )),
        (video.price, video.price),
    )  # fmt: skip
    names = ("request_or_user_watch_centre3_to_video_km",)


class TestMatch(FeatureContract):
    feature = match.Match(video.tags, PAST)
    names = ("video_tags_match_user_watch_video_last4",)


class TestMatchOfATime(FeatureContract):
    feature = match.Match(calendar.Weekday(video.made), PAST, prior=(1.0, 7.0))
    names = ("video_made_weekday_match_user_watch_video_last4",)


class TestDeviation(FeatureContract):
    feature = match.Deviation(w.column(video.price), PAST)
    names = ("video_price_deviation_user_watch_video_last4",)


class TestCompany(FeatureContract):
    feature = company.Company(friends, going, by=video, k=5, last=5)
    names = ("user_x_video_befriend_book_company",)


class TestRoom(FeatureContract):
    feature = room.Room(video.price, taken=going)
    names = ("video_price_left", "video_price_left_share")
    empty = -1.0


venue = w.Table("venue", key="venue_id", columns={"lat": w.number, "lon": w.number, "zone": w.text, "offset": w.number})
member = w.Table("member", key="member_id", columns={"lat": w.personal(w.number), "lon": w.personal(w.number)})
event = w.Table("event", key="event_id", columns={
    "venue": w.ref(venue), "starts_at": w.time, "price": w.number, "capacity": w.number, "topic": w.category,
    "host": w.ref(member),
})  # fmt: skip
register, withdraw = (w.Tie(n, refs={"member": member, "event": event}) for n in ("register", "withdraw"))
meet, part = (w.Tie(n, refs={"member": member, "other": member}) for n in ("meet", "part"))
registered, known = w.Bond(register, withdraw), w.Bond(meet, part, mutual=True)
last = w.last(register.event, by=member, k=20)
there, home = w.Place(event.venue.lat, event.venue.lon), w.Place(member.lat, member.lon)


def paper():
    """Ann in Berlin knows bob and cy; events in Paris and, across the date line, in Fiji and Samoa."""
    on = Paper().row(member, "ann", "06:00", lat=52.52, lon=13.405).row(member, "bob", "06:00")
    for key, lat, lon, zone, offset in (
        ("paris", 48.8566, 2.3522, "Europe/Paris", 1), ("fiji", -17.7, 179.9, "Pacific/Fiji", 12),
        ("samoa", -17.7, -179.9, "Pacific/Apia", 13), ("nowhere", None, None, "Neverland/City", None),
    ):  # fmt: skip
        on.row(venue, key, "06:00", lat=lat, lon=lon, zone=zone, offset=offset)
        on.row(event, f"in {key}", "07:00", venue=key, starts_at="2026-03-06T18:30:00", price=10, topic="jazz")
    on.row(event, "dear", "07:00", venue="paris", starts_at="2026-03-07T18:30:00", price=50, capacity=2, host="bob")
    return on.event(meet, "08:00", member="ann", other="bob").event(meet, "08:00", member="cy", other="ann")


def ask(feature, on, at="12:00", who="ann", what="in paris"):
    return on.value(feature, at, member=who, event=what)


def test_kilometres_from_home_and_nothing_where_no_home_is_known():
    far = w.distance(home, there, default=-1)
    assert ask(far, paper()) == pytest.approx(877.5, rel=0.01)
    assert ask(far, paper(), who="bob") == -1
    assert ask(far, paper(), what="in nowhere") == -1


def test_the_way_to_travel_is_a_band_of_the_distance():
    band = w.bucket(w.distance(home, there), edges=place.TRAVEL)
    assert ask(band, paper()) == len(place.TRAVEL)
    assert ask(band, paper(), what="in nowhere") == -1
    at_home = paper().row(venue, "paris", "09:00", lat=52.53, lon=13.41)
    assert ask(band, at_home) == 0


def test_the_centre_of_the_past_stands_in_for_a_home_and_holds_across_the_date_line():
    centre = w.centre(register.event, by=member, k=20, of=there)
    either = w.Whereabouts((home, centre))
    on = paper().event(register, "09:00", member="bob", event="in fiji")
    on.event(register, "09:00", member="bob", event="in samoa").event(
        register, "09:00", member="bob", event="in nowhere"
    )
    between = ask(w.distance(centre, there), on, who="bob", what="in fiji")
    assert between == pytest.approx(ask(w.distance(centre, there), on, who="bob", what="in samoa"))
    assert between == pytest.approx(10.6, rel=0.01)
    assert ask(w.distance(either, there), on, who="bob", what="in fiji") == between
    assert ask(w.distance(either, there), on) == ask(w.distance(home, there), on)
    assert ask(w.distance(centre, there, default=-1), on) == -1


def test_hours_left_are_of_the_moment_and_turn_negative():
    left = w.until(event.starts_at)
    assert ask(left, paper(), at="2026-03-06T17:00:00") == 1.5
    assert ask(left, paper(), at="2026-03-06T20:30:00") == -2


def test_a_start_that_is_moved_later_is_not_seen_before():
    on = paper().row(event, "in paris", "10:00", starts_at="2026-03-09T18:30:00")
    assert ask(w.weekday(event.starts_at), on, at="09:59") == 4
    assert ask(w.weekday(event.starts_at), on, at="10:01") == 0


@pytest.mark.parametrize(("what", "hour", "day"), [("in paris", 19, 4), ("in fiji", 6, 5), ("in samoa", 7, 5)])
def test_local_time_by_the_zone_of_the_venue_or_its_offset(what, hour, day):
    for given_ in ({"zone": event.venue.zone}, {"utc_offset": event.venue.offset}):
        assert ask(w.hour(event.starts_at, **given_), paper(), what=what) == hour
        assert ask(w.weekday(event.starts_at, **given_), paper(), what=what) == day


def test_a_zone_that_nobody_knows_is_no_time():
    for given_ in ({"zone": event.venue.zone}, {"utc_offset": event.venue.offset}):
        assert ask(w.hour(event.starts_at, default=-1, **given_), paper(), what="in nowhere") == -1


@pytest.mark.parametrize(
    ("at", "hour"),
    [("2026-03-29T00:59:59Z", 1), ("2026-03-29T01:00:00Z", 3), ("2026-10-25T00:59:59Z", 2), ("2026-10-25T01:00:00Z", 2),
     ("2026-10-25T02:00:00Z", 3)],
)  # fmt: skip
def test_the_hours_when_clocks_change(at, hour):
    on = paper().row(event, "in paris", "09:00", starts_at=at)
    assert ask(w.hour(event.starts_at, zone="Europe/Paris"), on) == hour
    assert ask(w.hour(event.starts_at, zone=event.venue.zone), on) == hour


ZONES = [
    "America/Denver",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
]


@given(st.sampled_from(ZONES), st.datetimes(datetime(1971, 1, 1), datetime(2098, 12, 31)))
def test_offsets_are_those_of_the_time_zone_database(zone, at):
    """Two changes within a month (Casablanca), half hours (Lord Howe), a day that was left out (Apia)."""
    moment = at.replace(tzinfo=UTC, microsecond=0)
    us = np.array([int(moment.timestamp()) * MICROS])
    expected = moment.astimezone(ZoneInfo(zone)).utcoffset() // timedelta(microseconds=1)
    assert calendar.offsets(us, zone).tolist() == [expected]


@pytest.mark.parametrize("zone", ["Africa/Casablanca", "Europe/London"])
def test_offsets_hold_on_every_day(zone):
    """Morocco changes its clocks for one month of the moon: two changes some thirty days apart."""
    days_ = [datetime(2012, 1, 1, 12, tzinfo=UTC) + timedelta(days=i) for i in range(20 * 365)]
    expected = [day.astimezone(ZoneInfo(zone)).utcoffset() // timedelta(microseconds=1) for day in days_]
    found = calendar.offsets(np.array([int(d.timestamp()) for d in days_]) * MICROS, zone)
    assert (found != np.array(expected)).sum() == 0


def test_a_match_counts_what_is_alike_among_the_last_ones():
    on = (
        paper()
        .event(register, "09:00", member="ann", event="in fiji")
        .event(register, "09:01", member="ann", event="dear")
    )
    assert ask(w.match(event.topic, last, prior=(0, 1)), on) == 1 / 2  # the dear one has no topic: not known
    assert ask(w.match(w.weekday(event.starts_at), last, prior=(1, 7)), on) == pytest.approx(2 / 9)
    assert ask(w.match(event.venue, last), on) == pytest.approx(1 / 3)
    band = w.match(w.bucket(w.column(event.price), edges=(5, 20)), last)
    assert ask(band, on) == pytest.approx(1 / 3)
    assert ask(w.match(w.weekday(event.starts_at), last, prior=(1, 7)), on, who="bob") == pytest.approx(1 / 7)


def test_a_past_that_is_forgotten_is_not_that_which_is_remembered():
    """Both have the same name, and are asked about in one plan."""
    on = paper().event(register, "09:00", member="ann", event="in fiji")
    brief = w.last(register.event, by=member, k=20, ttl=hours(1))
    moments = Moments(np.array([moment("12:00")]), {t: np.array([on.row_of(t, key)])
                      for t, key in (("member", "ann"), ("event", "in paris"))})  # fmt: skip
    both_ = [w.match(event.topic, which, prior=(0, 1)) for which in (last, brief)]
    for features in (both_, both_[::-1]):
        view = View(moments, HistoryState(on), {"member": "member", "event": "event"})
        assert {f.to.ttl: float(f.compute(view)[0][0]) for f in features} == {None: 0.5, hours(1): 0.0}


def test_a_deviation_is_in_spreads_of_the_past():
    on = (
        paper()
        .event(register, "09:00", member="ann", event="in fiji")
        .event(register, "09:01", member="ann", event="dear")
    )
    apart = w.deviation(w.column(event.price), last, prior=(10, 2))
    expected = (10 - 30) / np.sqrt((2 * 400 + 2 * 100) / 4)
    assert ask(apart, on) == pytest.approx(expected)
    assert ask(apart, on, who="bob") == 0


def test_company_counts_friends_who_are_still_friends_and_still_going():
    on = paper()
    for who in ("bob", "cy", "dan", "ann"):
        on.event(register, "09:00", member=who, event="in paris")
    on.event(register, "09:05", member="bob", event="in paris")
    count = w.company(known, registered, by=event)
    assert ask(count, on, at="08:59") == 0
    assert ask(count, on, at="09:30") == 2
    on.event(withdraw, "10:00", member="cy", event="in paris")
    assert ask(count, on, at="10:30") == 1
    assert ask(w.company(known, register, by=event), on, at="10:30") == 2
    on.event(part, "11:00", member="bob", other="ann")
    assert ask(count, on, at="11:30") == 0
    assert ask(count, on, at="11:30", what="in fiji") == 0


def test_company_is_the_same_whoever_else_is_asked_about():
    """Ann's last ties are cy and zoe; that bob's is dan makes dan no company of hers within one tie each way."""
    on = paper().event(meet, "08:10", member="dan", other="ann").event(meet, "08:20", member="ann", other="cy")
    on.event(meet, "08:30", member="bob", other="dan").event(register, "09:00", member="dan", event="in paris")
    on.event(meet, "08:40", member="zoe", other="ann")
    people, party = (np.array([on.row_of(*one) for one in some]) for some in (
        (("member", "ann"), ("member", "bob")), (("event", "in paris"),)
    ))  # fmt: skip
    moments = Moments(np.array([moment("12:00")]), {"member": people, "event": party})
    plan = Plan((w.company(known, register, by=event, k=1),), {"member": "member", "event": "event"})
    assert plan.compute(moments, HistoryState(on)).numeric.ravel().tolist() == [0, 1]


def test_company_of_a_column_of_the_item():
    on = paper().event(register, "09:00", member="cy", event="dear")
    on.row(event, "in paris", "09:30", host="bob")
    assert ask(w.company(known, register, by=event.host), on) == 1


def test_room_is_taken_and_given_back_and_follows_the_capacity():
    spots = w.room(event.capacity, taken=registered)
    on = paper()
    assert ask(spots, on, what="in paris") == [-1, -1]
    assert ask(spots, on, at="08:30", what="dear") == [2, 1]
    for who in ("bob", "cy", "dan"):
        on.event(register, "09:00", member=who, event="dear")
    assert ask(spots, on, at="09:30", what="dear") == [0, 0]
    on.event(withdraw, "10:00", member="cy", event="dear").event(withdraw, "10:00", member="dan", event="dear")
    assert ask(spots, on, at="10:30", what="dear") == [1, 0.5]
    on.row(event, "dear", "11:00", capacity=5)
    assert ask(spots, on, at="10:59", what="dear") == [1, 0.5]
    assert ask(spots, on, at="11:30", what="dear") == [4, pytest.approx(0.8)]


@pytest.mark.parametrize(
    ("feature", "code"),
    [
        (w.hour(video.price), "bad-column"),
        (w.hour(video.made, zone=video.author), "bad-column"),
        (w.hour(video.made, utc_offset=video.author), "bad-column"),
        (w.weekday(video.made, zone="Europe/Atlantis"), "unknown-zone"),
        (w.weekday(video.made, zone="Europe/Paris", utc_offset=hours(1)), "two-clocks"),
        (w.until(video.price), "bad-column"),
        (w.distance((video.price, video.author), (video.price, video.price)), "not-a-number"),
        (w.match(video.author, w.last(watch.video, by=user), prior=(0, 0)), "bad-prior"),
        (w.match(user.country, w.last(watch.video, by=user)), "uncomparable"),
        (w.match(w.since(watch, by=video), w.last(watch.video, by=user)), "uncomparable"),
        (w.deviation(w.column(video.author), w.last(watch.video, by=user)), "wrong-part"),
        (w.deviation(w.column(video.price), w.last(watch.video, by=user), prior=(0, 1)), "bad-prior"),
        (w.company(going, click, by=video), "unlike-ends"),
        (w.company(friends, click, by=video.tags), "last-by-set"),
        (w.room(video.author, taken=going), "bad-column"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_mistake_has_its_code(feature, code):
    assert code in {problem.code for problem in feature.problems(_System([feature]))}


@pytest.mark.parametrize(
    "spot",
    [w.centre(watch.video, by=user, of=w.Place(seen.position, seen.position)),
     w.Whereabouts((w.Place(video.price, video.price),))],
)  # fmt: skip
def test_a_place_that_is_none_is_refused(spot):
    assert {problem.code for problem in spot.problems(None)} == {"bad-place"}


class _System:
    """As much of a system as features ask for."""

    def __init__(self, features):
        self.labels, self.features = labels, features
