"""What features about ties owe, beside what every feature type does: they follow the bond from moment to moment."""

import pytest
from features_shop import user, video
from test_features_feature_contract import FeatureContract

import winnow as w
from winnow.core.time import days
from winnow.data.ties import Bond, Tie
from winnow.features.paper import Paper
from winnow.features.ties import Mutual, Tenure, Tied

follow, unfollow = (Tie(name, refs={"user": user, "other": user}) for name in ("follow", "unfollow"))
like, unlike = (Tie(name, refs={"user": user, "video": video}) for name in ("like", "unlike"))
following, friends = Bond(follow, unfollow), Bond(follow, unfollow, mutual=True)


class TestTied(FeatureContract):
    feature = Tied(Bond(like, unlike), by=(user, video))
    names = ("user_x_video_like_tied",)


class TestTenure(FeatureContract):
    feature = Tenure(Bond(like, unlike), by=(user, video))
    names = ("user_x_video_like_tenure_d",)
    empty = -1.0


class TestMutual(FeatureContract):
    feature = Mutual(friends, by=(user, user), k=5)
    names = ("user_x_user_follow_mutual",)


post = w.Table("post", key="post_id", columns={"author": w.ref(user)})


def paper():
    """Posts p by pia and q by quinn; ann ties and unties."""
    return Paper().row(post, "p", "08:00", author="pia").row(post, "q", "08:00", author="quinn")


def value(feature, on, at, who="ann", what="p"):
    return on.value(feature, at, user=who, post=what)


def test_a_bond_stands_from_the_event_that_makes_it_to_the_one_that_ends_it():
    tied = Tied(following, by=(user, post.author))
    on = paper().event(follow, "10:00", user="ann", other="pia").event(unfollow, "12:00", user="ann", other="pia")
    on.event(follow, "13:00", user="ann", other="pia")
    found = [value(tied, on, at) for at in ("09:59", "10:01", "11:59", "12:01", "13:01")]
    assert found == [0, 1, 1, 0, 1]
    assert value(tied, on, "13:30", what="q") == 0
    assert value(tied, on, "13:30", who="pia") == 0


def test_own_times_count_whatever_the_order_of_arrival():
    """What was sent late does not overrule what was done later."""
    tied = Tied(following, by=(user, post.author))
    on = paper().event(unfollow, "12:00", user="ann", other="pia")
    on.event(follow, "11:00", known_at="12:30", user="ann", other="pia")
    assert value(tied, on, "13:00") == 0


def test_a_mutual_bond_holds_both_ways_and_either_ends_it():
    tied = Tied(friends, by=(user, post.author))
    on = paper().event(follow, "10:00", user="pia", other="ann")
    assert value(tied, on, "10:30") == 1
    on.event(unfollow, "11:00", user="ann", other="pia")
    assert value(tied, on, "11:30") == 0


def test_tenure_is_told_in_days():
    tenure = Tenure(following, by=(user, post.author))
    on = paper().event(follow, "2026-03-02T10:00", user="ann", other="pia")
    assert value(tenure, on, "2026-03-04T22:00") == 2.5
    assert value(tenure, on, "2026-03-04T22:00", what="q") == -1


def test_mutual_counts_each_other_row_once():
    mutual = Mutual(friends, by=(user, post.author), k=10)
    on = paper()
    for one, other in (("ann", "x"), ("x", "ann"), ("pia", "x"), ("y", "ann"), ("pia", "y"), ("ann", "z")):
        on.event(follow, "10:00", user=one, other=other)
    assert value(mutual, on, "11:00") == 2
    assert value(mutual, on, "11:00", what="q") == 0


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (Tied(following, by=(user, video)), "unlike-ends"),
        (Mutual(Bond(like, unlike), by=(user, video)), "unlike-ends"),
        (Bond(like, unfollow), "unlike-ties"),
        (Bond(like, unlike, mutual=True), "unlike-ties"),
    ],
)
def test_what_can_never_stand_is_refused(part, code):
    found = part.problems(_System([part] if isinstance(part, w.Feature) else []))
    assert code in {problem.code for problem in found}


class _System:
    """As much of a system as features ask for."""

    def __init__(self, features):
        from features_shop import labels

        self.labels, self.features = labels, features
        self.frame = w.Frame(business="", predict="", retention=days(365))
