"""Declarations that would see the future or cannot work are refused, each with its own code."""

from types import SimpleNamespace
from typing import Any

import pytest
from features_shop import click, features, follow, labels, seen, user, video, watch

from winnow.core.declare import walk
from winnow.core.time import FOREVER, days, hours, minutes, seconds
from winnow.data.declare import Labels
from winnow.data.declare import any as any_of
from winnow.data.declare import sum as sum_of
from winnow.data.schema import Events, Table, category, number, ref, time
from winnow.features import across, calendar, past, place, recent
from winnow.features import declare as d
from winnow.features.leaks import leaks

shop = Table("shop", key="shop_id", columns={"town": category, "size": number})
noted = Events("noted", refs={"user": user, "video": video}, fields={"when": time})
wide = Labels(
    of=seen, within=hours(1), heads={"click": any_of(seen, seen.clicked.equals(1)), "s": sum_of(watch.seconds)}
)


def codes(*features_: d.Feature, of: Labels = labels) -> list[str]:
    return [p.code for p in leaks(of, features_)]


def test_a_sound_system_has_none() -> None:
    assert leaks(labels, features) == []
    assert codes(d.Column(of=seen.surface), d.Position(of=seen.position)) == []


def every_code(feature: d.Feature) -> list[str]:
    """What is wrong with a feature and with what it is made of, in a system with the usual retention."""
    frame = SimpleNamespace(retention=days(365))
    system = SimpleNamespace(labels=labels, features=[feature], frame=frame)
    return [p.code for part in walk([feature]) for p in part.problems(system)]


def counts(windows: int) -> past.Count:
    return past.Count(watch, by=user, window=[days(n + 1) for n in range(windows)])


@pytest.mark.parametrize(
    ("feature", "code"),
    [
        (d.Column(of=watch.seconds), "field-not-in-request"),
        (d.Column(of=shop.town), "missing-role"),
        (past.Count(watch, by=shop), "missing-role"),
        (past.Count(follow, by=video), "missing-role"),
        (past.Count(watch, by=video.price), "not-a-key"),
        (past.Count(watch, by=(video.tags, video.tags)), "two-sets"),
        (past.Count(watch, (seen.position >= 1,), by=user), "unknown-field"),
        (recent.Last(noted.when, by=user), "unfit-field"),
        (past.Sum(watch.video, by=user), "unfit-field"),
        (past.Max(watch.video, by=user), "unfit-field"),
        (past.Distinct(watch.seconds, by=user), "unfit-field"),
        (past.Decayed(watch, by=user, half_life=days(30)), "window-over-retention"),
        (past.Decayed(watch, by=user, half_life=seconds(1)), "window-too-short"),
        (past.Count(watch, by=user, window=days(400)), "window-over-retention"),
        (past.Count(watch, by=user, ttl=-days(1)), "bad-ttl"),
        (calendar.Hour(ttl=days(1)), "bad-ttl"),
        (d.Column(of=seen.surface, ttl=days(1)), "bad-ttl"),
        (across.Bucket(d.Age(of=video.made), (7, 1)), "bad-edges"),
        (across.Bucket(d.Column(of=video.author), (1, 7)), "wrong-part"),
        (across.Ratio(counts(2), counts(3)), "unequal-windows"),
        (across.Difference(counts(3), counts(2)), "unequal-windows"),
        (across.Ratio(counts(2), past.Sum(watch.video, by=user)), "unfit-field"),
        (across.Cross((d.Column(of=video.author),)), "bad-cross"),
        (across.Cross((d.Column(of=video.author), d.Column(of=user.country)), buckets=1), "bad-cross"),
        (across.Cross((d.Column(of=video.tags), d.Column(of=video.tags))), "two-sets"),
        (place.Distance((video.price, video.author), (video.price, video.price)), "not-a-number"),
        (across.Overlap(video.tags, video.author), "different-domains"),
        (across.Overlap(video.tags, recent.Last(watch.video, by=user)), "different-domains"),
        (recent.Last(watch.video, by=video.tags), "last-by-set"),
        (recent.Last(watch.video, by=user, k=0), "bad-k"),
        (past.Count(watch, by=user, window=seconds(100_001)), "uneven-window"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_mistake_has_its_code(feature: d.Feature, code: str) -> None:
    assert code in every_code(feature)


@pytest.mark.parametrize("window", [minutes(1), minutes(90), hours(25), days(90), days(365), FOREVER])
def test_usual_windows_pass(window: Any) -> None:
    assert codes(past.Count(watch, by=user, window=window)) == []


def test_a_feature_that_reads_its_own_label() -> None:
    assert codes(d.Column(of=seen.clicked)) == []
    assert codes(d.Column(of=seen.clicked), of=wide) == ["reads-own-label"]
    assert codes(d.Column(of=watch.seconds), of=wide) == ["reads-own-label"]
    assert codes(past.Count(watch, by=user), of=wide) == []  # from strictly before: allowed


def test_position_is_no_input() -> None:
    assert codes(d.Position(of=seen.position), d.Column(of=seen.position)) == ["position-as-input"]
    assert codes(d.Position(of=watch.seconds)) == ["field-not-in-request"]


def test_problems_say_what_where_and_how() -> None:
    (problem,) = leaks(wide, [d.Column(of=seen.clicked)])
    assert "impression.clicked" in problem.what
    assert problem.where.startswith("test_features_leaks.py:")
    assert problem.why
    assert problem.fix


def test_click_counts_are_features() -> None:
    assert codes(past.Rate(click, over=seen, by=video)) == []


def test_references_in_a_circle_are_refused() -> None:
    columns = {"country": category}
    person = Table("person", key="id", columns=columns)
    firm = Table("firm", key="id", columns={"owner": ref(person)})
    assert list(person.problems(None)) == []
    columns["employer"] = ref(firm)
    (problem,) = person.problems(None)
    assert problem.code == "cyclic-reference"
    assert "person → firm → person" in problem.what
    assert [t.name for t in walk(person)] == ["person", "firm"]  # looking through it comes to an end
