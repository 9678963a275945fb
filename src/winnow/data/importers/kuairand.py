"""KuaiRand-Pure: short videos shown in an app in April 2022, with twelve kinds of feedback.

Download: https://kuairand.com (https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz); the authors publish
an MD5 sum on that page. Licence CC BY-SA 4.0. Source: Gao et al., "KuaiRand: An Unbiased Sequential Recommendation
Dataset with Randomly Exposed Videos", CIKM 2022.

The folder holds `user_features_pure.csv`, `video_features_basic_pure.csv`, one or more standard-policy logs
(`log_standard*.csv`, or `impressions*.parquet` with the same columns) and optionally `user_histories*.parquet`
(`user_id, last_time_ms, watch_seq, like_seq, long_watch_seq`: the last watches before the log begins, oldest first).

The log has one moment per impression and no moment of the feedback, so all feedback gets the impression's moment. A
watch is really known only when it ends; what is as-of must not rely on the order within one impression. The position
in the list is not in the data. Durations come in milliseconds and are kept in seconds. `event_id`s begin with the
time, so that the log's index grows at its end.

Forwards become `share` and hates `hide`. `is_profile_enter` becomes `profile_visit`, a stay among the comments
`read_comments`, and an impression that played for less than half a second (most often not at all) `skip`. The stay on
a profile is left out: six days of the log know it for five impressions.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from winnow.core.time import parse_time
from winnow.data.importers.base import Importer, Part, file

_OPENED = parse_time("2022-04-08T00:00:00+08:00")  # the first day of the collection; users are known from then on
_FEEDBACK = {"click": "is_click", "like": "is_like", "follow": "is_follow", "comment": "is_comment",
             "share": "is_forward", "hide": "is_hate"}  # fmt: skip
_MORE = ["is_profile_enter", "comment_stay_time"]  # not in every edition of the files
_SKIPPED_MS = 500
_NEEDED = ["user_id", "video_id", "time_ms", "tab", "play_time_ms", "long_view", *_FEEDBACK.values()]


class KuaiRand(Importer):
    """Users, videos, impressions and what people made of them: clicks, watches, likes, follows, comments, shares,
    hides, visits to the author's profile, stays among the comments, and skips."""

    name = "kuairand"

    def tables(self, path: Path) -> Iterator[Part]:
        yield "user", _users(pl.read_csv(file(path, "user_features*.csv"), infer_schema_length=None))
        yield "video", _videos(pl.read_csv(file(path, "video_features_basic*.csv"), infer_schema_length=None))

    def events(self, path: Path) -> Iterator[Part]:
        for histories in sorted(path.glob("user_histories*.parquet")):
            yield from _histories(pl.read_parquet(histories))
        for log in _logs(path):
            names = log.collect_schema().names()
            yield from _impressions(log.select(*_NEEDED, *(c for c in _MORE if c in names)).collect())


def _users(raw: pl.DataFrame) -> pl.DataFrame:
    return raw.select(
        "user_id",
        "register_days",
        changed_at=pl.lit(_OPENED),
        activity="user_active_degree",
        follows="follow_user_num_range",
        fans="fans_user_num_range",
        friends="friend_user_num_range",
        creator=pl.col("is_video_author") == 1,
    )


def _videos(raw: pl.DataFrame) -> pl.DataFrame:
    uploaded = pl.col("upload_dt").str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="Asia/Shanghai")
    return raw.select(
        "video_id",
        changed_at=uploaded,
        uploaded_at=uploaded,
        author="author_id",
        tags=pl.col("tag").cast(pl.String).str.split(","),
        duration_s=pl.col("video_duration") / 1000,
        kind="video_type",
        music="music_id",
        available=pl.col("visible_status") == 0,
    )


def _logs(path: Path) -> Iterator[pl.LazyFrame]:
    parquet, csv = sorted(path.glob("impressions*.parquet")), sorted(path.glob("log_standard*.csv"))
    if not parquet and not csv:
        file(path, "log_standard*.csv")
    yield from (pl.scan_parquet(p) for p in parquet)
    yield from (pl.scan_csv(p) for p in csv)


def _impressions(log: pl.DataFrame) -> Iterator[Part]:
    log = log.sort("time_ms")
    yield "impression", _event(log, "impression", surface=pl.col("tab"))
    for name, column in _FEEDBACK.items():
        yield name, _event(log.filter(pl.col(column) == 1), name)
    watched = log.filter((pl.col("play_time_ms") > 0) | (pl.col("long_view") == 1))
    yield "watch", _event(watched, "watch", seconds=pl.col("play_time_ms") / 1000, long=pl.col("long_view") == 1)
    yield "skip", _event(log.filter(pl.col("play_time_ms") < _SKIPPED_MS), "skip")
    if "is_profile_enter" in log.columns:
        yield "profile_visit", _event(log.filter(pl.col("is_profile_enter") == 1), "profile_visit")
    if "comment_stay_time" in log.columns:
        read = log.filter(pl.col("comment_stay_time") > 0)
        yield "read_comments", _event(read, "read_comments", seconds=pl.col("comment_stay_time") / 1000)


def _event(rows: pl.DataFrame, name: str, **fields: pl.Expr) -> pl.DataFrame:
    event_id = pl.format("{}-{}-{}-{}", "time_ms", "user_id", "video_id", pl.lit(name))
    return rows.select(event_id=event_id, at=pl.col("time_ms") * 1000, user="user_id", video="video_id", **fields)


def _histories(raw: pl.DataFrame) -> Iterator[Part]:
    """Watches and likes before the log: only the last moment is known, so the others are set one second apart."""
    long = pl.col("video_id").is_in(pl.col("long_watch_seq"))
    watches = _steps(raw, "watch_seq").with_columns(long=long).sort("time_ms")
    yield "watch", _event(watches, "watch-before", long=pl.col("long"))
    yield "like", _event(_steps(raw, "like_seq").sort("time_ms"), "like-before")


def _steps(raw: pl.DataFrame, sequence: str) -> pl.DataFrame:
    steps = raw.filter(pl.col(sequence).list.len() > 0).with_columns(
        video_id=sequence, step=pl.int_ranges(pl.col(sequence).list.len(), 0, step=-1)
    )
    rows = steps.explode("video_id", "step")
    return rows.with_columns(time_ms=pl.col("last_time_ms") - (pl.col("step") - 1) * 1000)
