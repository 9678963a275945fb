"""What features about two people owe, beside what every feature type does."""

from math import log

import pytest
from features_shop import user, video, watch
from test_features_feature_contract import FeatureContract

import winnow as w
from winnow.core.time import days
from winnow.data.ties import Bond, Tie
from winnow.features import past
from winnow.features.back import Back
from winnow.features.closeness import Closeness, Common, Degree
from winnow.features.paper import Paper

follow, unfollow = (Tie(name, refs={"user": user, "other": user}) for name in ("follow", "unfollow"))
following, friends = Bond(follow, unfollow), Bond(follow, unfollow, mutual=True)


class TestCloseness(FeatureContract):
    feature = Closeness(friends, by=(user, user), k=5)
    names = tuple(f"user_x_user_follow_{n}" for n in ("common", "faded_180d", "adamic_adar", "allocation", "jaccard"))


class TestDegree(FeatureContract):
    feature = Degree(friends, by=user)
    names = ("user_follow_degree",)


class TestCommon(FeatureContract):
    feature = Common(video.tags, video.tags, during=((video.price, video.price), (video.price, video.price)))
    names = ("video_tags_common_video_tags", "video_tags_common_video_tags_years")


class TestBack(FeatureContract):
    feature = Back(past.Count(watch, by=user, window=days(1)), between=(user, user.playing("user")))
    names = ("back_user_watch_count_1d",)


person = w.Table("person", key="person_id", people=True, columns={
    "school": w.categories, "first": w.number, "last": w.number, "job": w.category(domain="job"),
})  # fmt: skip
candidate = person.playing("candidate")
both = {"person": person, "candidate": candidate}
connect, part = (Tie(name, refs=both) for name in ("connect", "part"))
visit = w.Events("visit", refs=both)
known = Bond(connect, part, mutual=True)


def value(feature, on, at="2026-03-02T20:00", who="ann", whom="bob"):
    return on.value(feature, at, person=who, candidate=whom)


def circle(*pairs, at="08:00"):
    on = Paper()
    for one, other in pairs:
        on.event(connect, at, person=one, candidate=other)
    return on


COMMON = (("ann", "x"), ("x", "bob"), ("y", "ann"), ("bob", "y"), ("x", "far"), ("ann", "only"))


def test_whom_both_know_is_counted_by_how_many_others_they_know():
    """x has three ties, y two; ann knows x, y and only, bob x and y."""
    on = circle(*COMMON)
    found = value(Closeness(known, by=(person, candidate)), on, "09:00")
    assert found[0] == 2
    assert found[2] == pytest.approx(1 / log(3) + 1 / log(2))
    assert found[3] == pytest.approx(1 / 3 + 1 / 2)
    assert found[4] == pytest.approx(2 / 3)
    assert value(Degree(known, by=candidate), on, "09:00", whom="x") == 3


def test_who_asks_does_not_matter_to_a_mutual_bond():
    on, near = circle(*COMMON), Closeness(known, by=(person, candidate))
    assert value(near, on, "09:00") == pytest.approx(value(near, on, "09:00", who="bob", whom="ann"))


def test_ties_of_the_future_and_ties_that_ended_do_not_count():
    on, near = circle(*COMMON), Closeness(known, by=(person, candidate))
    on.event(part, "10:00", person="bob", candidate="x")
    assert [value(near, on, at)[0] for at in ("07:59", "09:59", "10:01")] == [0, 2, 1]


def test_a_tie_made_again_counts_again():
    on, near = circle(*COMMON), Closeness(known, by=(person, candidate))
    on.event(part, "10:00", person="bob", candidate="x").event(connect, "11:00", person="x", candidate="bob")
    assert value(near, on, "12:00")[0] == 2
    assert value(Degree(known, by=candidate), on, "12:00", whom="x") == 3


def test_the_tie_between_the_two_is_nobody_in_common():
    on = circle(("ann", "bob"))
    assert value(Closeness(known, by=(person, candidate)), on, "09:00")[0] == 0


def test_somebody_in_common_counts_by_the_younger_of_the_ties():
    on = circle(("ann", "x"), at="2026-01-01T08:00").event(connect, "2026-02-20T20:00", person="x", candidate="bob")
    found = value(Closeness(known, by=(person, candidate), half_life=days(10)), on)
    assert found[0] == 1
    assert found[1] == pytest.approx(0.5)


def test_only_the_latest_ties_are_compared():
    on = circle(*COMMON)
    assert value(Closeness(known, by=(person, candidate), k=1), on, "09:00")[0] <= 1


def test_values_in_common_are_counted_and_so_are_the_years():
    on = Paper().row(person, "ann", "08:00", school=["a", "b"], first=2001.0, last=2004.0, job="cook")
    on.row(person, "bob", "08:00", school=["b", "c"], first=2003.0, job="cook").row(person, "eve", "08:00", job="spy")
    school, during = (person.school, candidate.school), ((person.first, person.last), (candidate.first, candidate.last))
    assert value(Common(*school), on, "09:00") == 1
    assert value(Common(*school, during=during), on, "09:00") == pytest.approx([1, 2])
    assert value(Common(*school, during=during), on, "09:00", whom="eve") == pytest.approx([0, 0])
    assert value(Common(person.job, candidate.job), on, "09:00") == 1
    assert value(Common(person.job, candidate.job), on, "09:00", whom="eve") == 0


def test_the_other_side_is_the_same_with_the_roles_exchanged():
    on = Paper().event(visit, "08:00", person="ann", candidate="bob").event(visit, "08:30", person="ann", candidate="x")
    count = past.Count(visit, by=(person, candidate))
    back = Back(count, between=(person, candidate))
    assert value(count, on, "09:00") == value(back, on, "09:00", who="bob", whom="ann") == 1
    assert value(back, on, "09:00") == 0
    sent = Back(past.Count(visit, by=person), between=(person, candidate))
    assert value(sent, on, "09:00", who="bob", whom="ann") == 2
    assert [str(p) for p in sent.paths] == ["candidate"]
    assert sent.aggregates() == past.Count(visit, by=person).aggregates()


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (Closeness(known, by=(person, candidate.job)), "unlike-ends"),
        (Degree(known, by=person.job), "unlike-ends"),
        (Common(person.job, candidate.school), "different-domains"),
        (Common(person.job, candidate.job, during=((person.job, person.last), (candidate.first, candidate.last))),
         "not-a-number"),
        (Back(past.Count(visit, by=person), between=(person, video)), "unlike-ends"),
        (Back(past.Count(visit, by=person), between=(person, person)), "unlike-ends"),
    ],
)  # fmt: skip
def test_what_can_never_be_close_is_refused(part, code):
    assert code in {problem.code for problem in part.problems(_System(part))}


class _System:
    """As much of a system as features ask for."""

    def __init__(self, feature):
        shown = w.Events("impression", refs=both)
        self.labels = w.Labels(of=shown, within=days(1), heads={})
        self.features, self.frame = [feature], w.Frame(business="", predict="", retention=days(365))
