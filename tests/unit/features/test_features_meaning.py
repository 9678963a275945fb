"""What features mean, what they are made of, and what they are on paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import winnow as w
from winnow.core.errors import InputError
from winnow.core.time import days, hours, minutes
from winnow.data.ties import Bond, Tie
from winnow.features.back import Back
from winnow.features.closeness import Closeness, Common, Degree
from winnow.features.declare import Feature
from winnow.features.lineage import Node, lineage, state
from winnow.features.meaning import alone, sentence, windows
from winnow.features.paper import Paper, moment
from winnow.features.past import Count
from winnow.features.ties import Mutual, Tenure, Tied
from winnow.features.view import View

place = {"lat": w.number, "lon": w.number}
user = w.Table("user", key="user_id", columns={"country": w.category, "likes": w.categories(domain="topic"), **place})
video = w.Table(
    "video",
    key="video_id",
    columns={"author": w.category, "topics": w.categories(domain="topic"), "title": w.text, "made": w.time}
    | {"price": w.number, **place},
)
both = {"user": user, "video": video}
seen = w.Events("impression", refs=both, fields={"surface": w.category, "position": w.number})
watch = w.Events("watch", refs=both, fields={"seconds": w.number, "long": w.flag})
reply = w.Events("reply", refs=both)

follow, unfollow = (Tie(name, refs={"user": user, "other": user}) for name in ("follow", "unfollow"))
following = Bond(follow, unfollow)
BOTH_USERS = (user, user)

AT, LAST = w.Place(video.lat, video.lon), w.last(watch.video, by=user, k=5)
PLACE_AND_TIME = [
    (w.distance((seen.position, seen.position), w.Whereabouts((AT, w.centre(watch.video, by=user, of=AT))), default=-1),
     "kilometres from (the position of the request and the position of the request) to ((the lat of the video and the "
     "lon of the video), or else (the centre of the last 20 videos of the watches of the user)); -1 where that is not "
     "known"),
    (w.hour(video.made, zone="Asia/Tokyo"),
     "hour of the day of the made of the video, in the local time of Asia/Tokyo; 0 where that is not known"),
    (w.weekday(video.made, utc_offset=video.price),
     "day of the week of the made of the video, 0 is Monday, in the local time that the price of the video tells; 0 "
     "where that is not known"),
    (w.until(video.made), "hours left until the made of the video, negative when it has passed; 0 where that is not "
     "known"),
    (w.match(video.author, LAST, prior=(1, 4)),
     "share of the last 5 videos of the watches of the user that have the same as the item (the author of the video, "
     "as it stood then), smoothed as if 4 more with 1 alike were among them; 0 where that is not known"),
    (w.deviation(w.column(video.price), LAST),
     "spreads by which the price of the video, as it stood then, lies above the mean of the last 5 videos of the "
     "watches of the user, smoothed as if 1 more with a spread of 1 were among them; 0 where that is not known"),
    (w.company(following, watch, by=video),
     "number of those behind the last 100 watches of the video to whom `follow` ties the user; 0 where that is not "
     "known"),
    (w.room(video.price, taken=reply),
     "the price of the video less replies so far, not below 0; -1 where that is not known"),
]  # fmt: skip
SENTENCES = [
    (w.score_of("Lexical"), "score that the source Lexical gave it"),
    (w.rank_of("Lexical"), "place of it in the list of the source Lexical"),
    (Tied(following, by=BOTH_USERS),
     "1 where `follow` stands between the user and the user; 0 where that is not known"),
    (Tenure(following, by=BOTH_USERS),
     "days for which `follow` has stood between the user and the user; -1 where that is not known"),
    (Back(w.count(watch, by=user), between=(user, user.playing("other"))),
     "with user and other exchanged: number of watches of the user so far; 0 where that is not known"),
    (Degree(following, by=user),
     "number of times that `follow` tied the user, less those that it ended; 0 where that is not known"),
    (Closeness(following, by=BOTH_USERS),
     "number of those to whom `follow` ties both the user and the user now; 0 where that is not known"),
    (Common(video.topics, video.topics),
     "number of values in common of each of the topics of the video and each of the topics of the video; 0 where that "
     "is not known"),
    (Mutual(following, by=BOTH_USERS),
     "number of those that `follow` has tied to both the user and the user, among the last 50 of each; 0 where that "
     "is not known"),
    *PLACE_AND_TIME,
    (w.rate(reply, over=seen, by=video, window=days(1), prior=(9, 20)),
     "replies over impressions of the video in the last day, smoothed as if 20 impressions with 9 replies had been "
     "seen before"),
    (w.count(watch, (watch.seconds >= 18, watch.long.equals(1)), by=(user, video.author), window=hours(36)),
     "number of watches with seconds ≥ 18 and long = 1 of the user and the author of the video in the last 36 hours"),
    (w.count(watch, by=video.topics), "number of watches of each of the topics of the video so far"),
    (w.mean(watch.seconds, by=user, prior=(20, 1)),
     "mean of seconds over the watches of the user so far, smoothed as if 1 watch with 20 had been seen before"),
    (w.sum(watch.seconds, by=user, window=minutes(1), ttl=days(7)),
     "sum of seconds over the watches of the user in the last minute; 0 where that is not known; not known either "
     "when it rests on nothing younger than 7 days"),
    (w.min(watch.seconds, by=user), "smallest seconds of the watches of the user so far; 0 where that is not known"),
    (w.distinct(watch.video, by=user, window=days(1)),
     "number of different videos in the watches of the user in the last day"),
    (w.decayed(watch, by=user, half_life=days(3)),
     "number of watches of the user, each weighing half as much after 3 days"),
    (w.since(watch, by=user), "days since the last watch of the user; -1 where that is not known"),
    (w.latest(watch.seconds, by=user), "seconds of the latest of the watches of the user; 0 where that is not known"),
    (w.last(watch.video, by=user, k=5, columns=(video.author,)),
     "last 5 videos of the watches of the user, newest first, with their ages, with their author"),
    (w.column(video), "which video it is"),
    (w.column(video.author), "the author of the video, as it stood then"),
    (w.column(seen.surface), "the surface of the request"),
    (w.position(seen.position), "the position of the request: known in training only"),
    (w.age(video.made), "days since the made of the video; 0 where that is not known"),
    (w.missing(video.price), "1 where the price of the video is not known, otherwise 0"),
    (w.hour(utc_offset=hours(8)), "hour of the day of the request, UTC+8"),
    (w.bucket(w.age(video.made), edges=(1, 7)),
     "which range (below 1, 1 to 7, from 7) this falls into: days since the made of the video"),
    (w.ratio(w.count(watch, by=user), w.count(seen, by=user)),
     "(number of watches of the user so far) over (number of impressions of the user so far); 0 where that is not "
     "known"),
    (w.cross((w.column(user.country), w.column(video.author)), buckets=1000),
     "user_country and video_author together as one category, hashed to 1,000 values"),
    (w.overlap(user.likes, video.topics),
     "how much the likes of the user and the topics of the video have in common, 0 to 1; 0 where that is not known"),
    (w.embed(video.title, size=8),
     "number 1 of 8 of the vector of the title of the video, by hashedwords; 0 where that is not known"),
    (w.similarity(w.embed(video.title), w.last(watch.video, by=user, k=5)),
     "mean cosine of the vector of the title of the video with those of the last 5 videos of the watches of the user, "
     "newest first, with their ages, by hashedwords; 0 where that is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("feature", "told"), SENTENCES, ids=lambda v: v.names[0] if isinstance(v, Feature) else "")
def test_a_declaration_becomes_a_sentence(feature, told):
    assert sentence(feature, feature.names[0]) == told


def test_every_class_of_feature_in_the_box_has_a_sentence_of_its_own():
    """The general case is for classes that others add."""
    boxed = {
        k for n, k in Feature.known().items() if k.__module__.startswith("winnow.features.") and "names" in vars(k)
    }
    told = {type(feature) for feature, _ in SENTENCES}
    missing = {kind.__name__ for kind in boxed} - {c.__name__ for kind in told for c in kind.__mro__}
    assert missing <= {"Weekday", "Sum", "Max", "Difference", "Distance"}


def test_a_class_that_nobody_has_told_about_is_told_by_its_docstring_and_its_state():
    @dataclass(frozen=True)
    class Twice(Feature):
        """Twice the watches.

        More about it.
        """

        @property
        def names(self) -> tuple[str, ...]:
            return ("twice",)

        def aggregates(self) -> Any:
            return Count(watch, by=user, window=days(1)).aggregates()

        def compute(self, view: View) -> Sequence[Any]:
            return [2 * view.window(a) for a in self.aggregates()]

    told = sentence(Twice(), "twice")
    assert told.startswith("twice the watches (number of watches, by the user, in the last day)")


def names(node: Node) -> list[str]:
    return [node.name, *(n for inner in node.of for n in names(inner))]


def test_lineage_goes_down_to_fields_and_columns():
    rate = w.rate(watch, watch.long.equals(1), over=seen, by=(user, video.author), window=days(1))
    found = names(lineage(rate))
    assert {"watch", "watch.long", "impression", "watch.user", "impression.video", "video.author"} <= set(found)
    shares = w.ratio(w.sum(watch.seconds, by=video), w.count(seen, by=video))
    tree = lineage(shares)
    assert [inner.name for inner in tree.of] == [shares.of.names[0], shares.over.names[0]]
    assert "watch.seconds" in names(tree)
    assert names(lineage(w.column(video.price))) == ["video_price", "video.price"]
    assert names(lineage(w.column(seen.surface)))[1:] == ["impression.surface"]


def test_state_tells_hops_and_buckets():
    daily, ever = (state(w.count(watch, by=user, window=size))[0] for size in (days(1), w.FOREVER))
    assert (daily["window"], daily["hop"], daily["buckets"]) == ("1d", "1h", 24)
    assert (ever["window"], ever["hop"], ever["buckets"]) == ("ever", "", 1)


def test_one_of_several_windows_is_told_alone():
    several = w.count(watch, by=user, window=[days(1), days(7)])
    one = alone(several, "user_watch_count_7d")
    assert one.names == ("user_watch_count_7d",)
    assert windows(several, "user_watch_count_7d") == (days(7),)
    assert len(one.aggregates()) == 1
    halves = w.decayed(watch, by=user, half_life=[days(1), days(2)])
    assert alone(halves, halves.names[1]).half_life == days(2)


def test_paper_refuses_what_could_not_have_happened():
    paper = Paper().event(watch, "10:00", known_at="10:30", user="ann", video="v")
    with pytest.raises(InputError, match="out-of-order"):
        paper.event(watch, "10:10", known_at="10:20", user="ann", video="v")
    with pytest.raises(InputError, match="out-of-order"):
        paper.event(watch, "10:40", known_at="10:35", user="ann", video="v")


def test_paper_gives_what_is_late_without_a_time_the_time_of_what_stands_above():
    paper = Paper().event(watch, "10:30", user="ann", video="v").event(watch, "10:00", user="ann", video="v")
    assert np.array_equal(paper.events("watch")["known_at"], [moment("10:30")] * 2)
    assert paper.value(w.count(watch, by=user), "10:15", user="ann") == 0
