"""The story of a value: the moments at which it changes, and the events that are said to make it."""

import numpy as np
import pytest

import winnow as w
from winnow.core.errors import InputError
from winnow.core.time import days, hours
from winnow.features.paper import Paper, moment
from winnow.features.state import NEVER
from winnow.project.features import picture

user = w.Table("user", key="user_id")
video = w.Table("video", key="video_id", columns={"author": w.category, "tags": w.categories, "length_s": w.number})
watch = w.Events("watch", refs={"user": user, "video": video}, fields={"seconds": w.number})
daily = w.count(watch, by=user, window=days(1))


def changes(story):
    """The last moment before each change, and the moment after it."""
    place = np.flatnonzero(np.diff(story.values))
    return list(zip(story.at[place].tolist(), story.at[place + 1].tolist(), strict=True))


def test_a_count_changes_in_one_microsecond_when_an_event_comes_and_when_its_hop_leaves():
    paper = Paper().event(watch, "10:05", user="ann", video="v")
    story = paper.story(daily, "09:00", "2026-03-03T12:00", user="ann")
    came, left = moment("10:05"), moment("2026-03-03T10:00")
    assert changes(story) == [(came, came + 1), (left - 1, left)]


def test_an_event_at_the_very_edge_counts_until_its_hop_leaves():
    paper = Paper().event(watch, "10:00", user="ann", video="v")
    for end, counts in ((moment("2026-03-03T10:00") - 1, 1), (moment("2026-03-03T10:00"), 0)):
        story = paper.story(daily, "09:00", end, user="ann")
        (lane,) = story.lanes
        assert (story.now, lane.counts.sum()) == (counts, counts)
    assert lane.edge == moment("11:00")


def test_an_event_is_no_part_of_the_story_before_it_is_known():
    paper = Paper().event(watch, "10:00", known_at="11:00", user="ann", video="v")
    for end, known in ((moment("11:00"), 0), (moment("11:00") + 1, 1)):
        story = paper.story(daily, "09:00", end, user="ann")
        assert (len(story.lanes[0].at), story.now) == (known, known)


def test_events_of_a_key_behind_a_table_are_those_that_the_row_led_to_then():
    by_author = w.count(watch, by=video.author)
    paper = Paper().row(video, "v", "09:00", author="ann").event(watch, "10:00", user="eve", video="v")
    paper.row(video, "v", "10:30", deleted=True).event(watch, "11:00", user="eve", video="v")
    paper.row(video, "v", "11:30", author="bob").event(watch, "12:00", user="eve", video="v")
    paper.row(video, "v", "12:30", author="ann").event(watch, "13:00", user="eve", video="v")
    story = paper.story(by_author, "08:00", "14:00", video="v")
    (lane,) = story.lanes
    assert lane.at.tolist() == [moment("10:00"), moment("13:00")]
    assert story.now == lane.counts.sum() == 2


def test_an_event_counts_once_for_each_value_of_a_set_in_common():
    paper = Paper().row(video, "v", "09:00", tags=["a", "b"]).row(video, "other", "09:00", tags=["b", "c"])
    paper.event(watch, "10:00", user="ann", video="v").event(watch, "11:00", user="ann", video="other")
    story = paper.story(w.count(watch, by=video.tags), "08:00", "12:00", video="v")
    (lane,) = story.lanes
    assert lane.times.tolist() == [2, 1]
    assert story.now == 3


def test_only_the_latest_counts_for_what_was_last():
    paper = Paper().event(watch, "10:00", user="ann", video="v").event(watch, "11:00", user="ann", video="v")
    for feature in (w.since(watch, by=user), w.latest(watch.video, by=user)):
        (lane,) = paper.story(feature, "09:00", "12:00", user="ann").lanes
        assert lane.counts.tolist() == [False, True]
        assert lane.edge == NEVER


def test_nothing_counts_once_a_value_has_outlived_its_time():
    fresh = w.count(watch, by=user, ttl=hours(1), default=-1)
    paper = Paper().event(watch, "10:00", user="ann", video="v")
    story = paper.story(fresh, "09:00", "12:00", user="ann")
    gone = moment("11:00")
    assert changes(story)[1] == (gone, gone + 1)
    assert (story.now, story.known[-1], story.lanes[0].counts.any()) == (-1, False, False)


def test_changes_of_a_row_are_its_story():
    paper = Paper().row(video, "v", "09:00", length_s=30).row(video, "v", "10:00", length_s=45)
    story = paper.story(w.column(video.length_s), "08:00", "11:00", video="v")
    assert [b - a for a, b in changes(story)] == [1, 1]
    assert story.known[[0, -1]].tolist() == [False, True]
    (lane,) = story.lanes
    assert (lane.row, lane.counts.tolist()) == (True, [False, True])


def test_a_story_without_a_beginning_begins_before_its_first_event_or_some_windows_back():
    paper = Paper().event(watch, "2026-01-01T10:00", user="ann", video="v").event(watch, "10:00", user="ann", video="v")
    from winnow.features.history import HistoryState
    from winnow.features.story import Asked, told

    asked = Asked({"user": 0}, {"user": "user"}, None, moment("12:00"))
    ever = w.count(watch, by=user)
    stories = [told(f, f.names[0], asked, state=HistoryState(paper), source=paper) for f in (ever, daily)]
    assert stories[0].at[0] < moment("2026-01-01T10:00")
    assert stories[1].at[0] == moment("12:00") - 5 * 86_400_000_000
    with pytest.raises(InputError, match="bad-span"):
        paper.story(ever, "12:00", "11:00", user="ann")


def test_a_picture_of_thousands_of_events_stays_small():
    paper = Paper()
    for second in range(3_000):
        paper.event(watch, moment("10:00") + second * 1_000_000, user="ann", video="v")
    story = paper.story(daily, "09:00", "12:00", user="ann")
    assert story.now == 3_000
    assert len(picture.draw(story, whose="ann")) < 200_000


def test_a_picture_escapes_what_ids_hold():
    paper = Paper().event(watch, "10:00", user="<script>", video="v")
    drawn = picture.draw(paper.story(daily, "09:00", "12:00", user="<script>"), whose="user <script> & co")
    assert "<script>" not in drawn
    assert "user &lt;script&gt; &amp; co" in drawn


def test_a_sparkline_is_as_high_as_the_value():
    paper = Paper().event(watch, "10:00", user="ann", video="v")
    line = picture.sparkline(paper.story(w.count(watch, by=user), "09:00", "11:00", user="ann"), width=4)
    assert line == "▁▁██"
