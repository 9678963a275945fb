"""What every feature type does; a subclass of four lines tests a new one."""

import json
from typing import Any

import numpy as np
import pytest
from features_oracle import OracleState
from features_shop import START, labels, seen, user, video, watch

from winnow.core.declare import Declared, canonical, plain
from winnow.core.errors import InputError
from winnow.core.time import days, hours
from winnow.features import across, calendar, past, place, recent
from winnow.features import declare as d
from winnow.features.batch import Recent
from winnow.features.leaks import leaks
from winnow.features.plan import Plan
from winnow.features.view import Moments


class FeatureContract:
    """A subclass gives a declaration and the names that must follow from it."""

    feature: d.Feature
    names: tuple[str, ...]
    empty: Any = 0.0  # the value where nothing is known

    def compute(self, users: Any, videos: Any, **context: Any) -> Any:
        moments = Moments(np.array([START]), {"user": np.array(users), "video": np.array(videos)}, context)
        return Plan.of([self.feature], labels).compute(moments, OracleState([]), training=True)

    def test_names_follow_from_the_declaration(self) -> None:
        assert self.feature.names == self.names

    def test_what_it_reads_is_allowed(self) -> None:
        assert leaks(labels, [self.feature]) == []

    def test_it_survives_json(self) -> None:
        assert json.loads(canonical(self.feature)) == json.loads(json.dumps(plain(self.feature)))
        assert Declared.known()[type(self.feature).__name__] is type(self.feature)
        assert Plan.of([self.feature], labels).hash == Plan.of([self.feature], labels).hash

    def test_missing_rows_give_the_default_and_never_nan(self) -> None:
        batch = self.compute([-1, 99], [-1, 99])
        if self.feature.type == "numeric":
            assert batch.numeric.tolist() == [[np.float32(self.empty)] * len(self.names)] * 2
        elif self.feature.type == "categorical":
            assert (batch.categorical[self.names[0]] == -1).all()
        elif self.feature.type == "sequence":
            assert (batch.sequences[self.names[0]].rows == -1).all()
            assert (batch.sequences[self.names[0]].age_s == 0).all()

    def test_one_row_for_all_equals_the_same_row_many_times(self) -> None:
        one, many = self.compute([1], [0, 1, 2]), self.compute([1, 1, 1], [0, 1, 2])
        np.testing.assert_array_equal(one.numeric, many.numeric, strict=True)
        for name, values in one.categorical.items():
            np.testing.assert_array_equal(values, many.categorical[name], strict=True)
        for name, sequence in one.sequences.items():
            spread = np.broadcast_to(sequence.rows, many.sequences[name].rows.shape)
            np.testing.assert_array_equal(spread, many.sequences[name].rows)

    def test_a_request_without_the_rows_it_needs_is_refused(self) -> None:
        if self.feature.paths:
            with pytest.raises(InputError, match="missing-role"):
                Plan((self.feature,), {}).compute(Moments(np.array([START]), {}), OracleState([]))


class TestColumn(FeatureContract):
    feature = d.Column(of=video.price)
    names = ("video_price",)


class TestCategory(FeatureContract):
    feature = d.Column(of=video.tags)
    names = ("video_tags",)


class TestRequestField(FeatureContract):
    feature = d.Column(of=seen.surface)
    names = ("request_surface",)


class TestPosition(FeatureContract):
    feature = d.Position(of=seen.position)
    names = ("request_position",)

    def test_it_is_for_training_only(self) -> None:
        moments = Moments(
            np.array([START]), {"user": np.array([1]), "video": np.array([1])}, {"position": np.array([3.0])}
        )
        plan = Plan.of([self.feature], labels)
        assert plan.compute(moments, OracleState([])).training_only == {}
        assert plan.compute(moments, OracleState([]), training=True).training_only["request_position"].tolist() == [3.0]


class TestAge(FeatureContract):
    feature = d.Age(of=video.made, default=-1.0)
    names = ("video_made_age_d",)
    empty = -1.0


class TestHour(FeatureContract):
    feature = calendar.Hour(utc_offset=hours(2))
    names = ("request_hour",)
    empty = (START // 3_600_000_000 + 2) % 24


class TestWeekday(FeatureContract):
    feature = calendar.Weekday()
    names = ("request_weekday",)
    empty = 1.0  # 14 November 2023 was a Tuesday


class TestCount(FeatureContract):
    feature = past.Count(watch, (watch.seconds >= 18,), by=(user, video.author), window=[hours(1), days(7)])
    names = ("user_x_video_author_watch_seconds_ge_18_count_1h", "user_x_video_author_watch_seconds_ge_18_count_7d")


class TestSum(FeatureContract):
    feature = past.Sum(watch.seconds, by=video, window=days(1))
    names = ("video_watch_seconds_sum_1d",)


class TestMean(FeatureContract):
    feature = past.Mean(watch.seconds, by=video.tags, prior=(20.0, 5.0))
    names = ("video_tags_watch_seconds_mean_ever",)
    empty = 20.0


class TestRate(FeatureContract):
    feature = past.Rate(watch, over=seen, by=video, window=days(1), prior=(1.0, 4.0))
    names = ("video_watch_rate_1d",)
    empty = 0.25


class TestSince(FeatureContract):
    feature = recent.Since(watch, by=(user, video))
    names = ("user_x_video_watch_since_d",)
    empty = -1.0


class TestLast(FeatureContract):
    feature = recent.Last(watch.video, by=user, k=4, columns=(video.author, video.tags))
    names = ("user_watch_video_last4",)

    def test_attributes_come_along(self) -> None:
        sequence: Recent = self.compute([1], [1]).sequences[self.names[0]]
        assert {name: values.shape for name, values in sequence.columns.items()} == {
            "author": (1, 4), "tags": (1, 4, 8)}  # fmt: skip


class TestMissing(FeatureContract):
    feature = d.Missing(video.tags)
    names = ("video_tags_missing",)
    empty = 1.0


class TestMax(FeatureContract):
    feature = past.Max(watch.seconds, by=user, window=[hours(1), days(7)])
    names = ("user_watch_seconds_max_1h", "user_watch_seconds_max_7d")


class TestMin(FeatureContract):
    feature = past.Min(watch.seconds, by=(user, video.tags), default=7.0)
    names = ("user_x_video_tags_watch_seconds_min_ever",)
    empty = 7.0


class TestDistinct(FeatureContract):
    feature = past.Distinct(watch.video, watch.seconds >= 18, by=user, window=days(7))
    names = ("user_watch_seconds_ge_18_video_distinct_7d",)


class TestDecayed(FeatureContract):
    feature = past.Decayed(watch, by=video, half_life=(hours(1), days(1)))
    names = ("video_watch_decayed_1h", "video_watch_decayed_1d")


class TestLatestCategory(FeatureContract):
    feature = recent.Latest(seen.surface, by=user)
    names = ("user_impression_surface_latest",)


class TestLatestNumber(FeatureContract):
    feature = recent.Latest(watch.seconds, by=(user, video), default=-1.0)
    names = ("user_x_video_watch_seconds_latest",)
    empty = -1.0


class TestBucket(FeatureContract):
    feature = across.Bucket(d.Age(of=video.made), (1.0, 7.0))
    names = ("video_made_age_d_bucket",)


class TestRatio(FeatureContract):
    feature = across.Ratio(past.Count(watch, by=user, window=[hours(1), days(1)]), d.Column(of=video.price))
    names = ("user_watch_count_1h_per_video_price", "user_watch_count_1d_per_video_price")


class TestDifference(FeatureContract):
    feature = across.Difference(d.Age(of=video.made), recent.Since(watch, by=user), default=3.0)
    names = ("video_made_age_d_minus_user_watch_since_d",)
    empty = 3.0


class TestCross(FeatureContract):
    feature = across.Cross((d.Column(of=user.country), d.Column(of=video.tags)), buckets=100)
    names = ("user_country_x_video_tags_cross",)


class TestDistance(FeatureContract):
    feature = place.Distance((seen.position, seen.position), (video.price, video.price), default=-1.0)
    names = ("request_to_video_km",)
    empty = -1.0


class TestOverlap(FeatureContract):
    feature = across.Overlap(video.tags, recent.Last(watch.video, by=user, k=4, columns=(video.tags,)), default=-1.0)
    names = ("video_tags_overlap_user_watch_video_last4",)
    empty = -1.0
