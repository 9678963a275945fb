"""Labels: windows, who gets the feedback, late corrections and what is not known yet."""

from datetime import timedelta

import polars as pl
import pytest

from winnow.core.errors import InputError
from winnow.data import declare
from winnow.data.declare import Labels
from winnow.data.labels import join
from winnow.data.schema import Events, Table, category, flag, number

user, video = Table("user", key="u"), Table("video", key="v")
both = {"user": user, "video": video}
seen = Events("impression", refs=both)
click = Events("click", refs=both)
watch = Events("watch", refs=both, fields={"seconds": number, "long": flag, "device": category})
labels = Labels(
    of=seen, within=timedelta(microseconds=100),
    heads={
        "click": declare.any(click), "watch_s": declare.sum(watch.seconds),
        "long": declare.any(watch, watch.seconds >= 5),
    },
)  # fmt: skip
LATER = 10_000
_EVENT = {"seq": pl.Int64, "at": pl.Int64, "known_at": pl.Int64, "event_id": pl.String, "recommendation_id": pl.String,
          "user": pl.Int64, "video": pl.Int64}  # fmt: skip


def rows(*events, **fields):
    """Events as (at, user, video, recommendation_id, *fields); known at once."""
    schema = _EVENT | fields
    values = [(i, e[0], e[0], str(i), e[3], e[1], e[2], *e[4:]) for i, e in enumerate(events)]
    return pl.DataFrame(values, schema=schema, orient="row")


def watches(*events):
    return rows(*events, seconds=pl.Float64, long=pl.Int64, device=pl.Int64)


def clicks(impressions, feedback, **more):
    return join(labels, impressions, {"click": feedback}, as_of=LATER, **more)["click"].to_list()


def test_the_window_is_half_open():
    shown = rows((1000, 1, 1, None))
    assert [clicks(shown, rows((at, 1, 1, None))) for at in (999, 1000, 1099, 1100)] == [[0], [1], [1], [0]]


def test_the_latest_impression_at_or_before_gets_it():
    shown = rows((1000, 1, 1, None), (1010, 1, 1, None), (1020, 1, 1, None), (1005, 2, 1, None), (1005, 1, 2, None))
    assert clicks(shown, rows((1015, 1, 1, None))) == [0, 1, 0, 0, 0]


def test_of_two_at_one_moment_the_later_sent_gets_it():
    assert clicks(rows((1000, 1, 1, None), (1000, 1, 1, None)), rows((1001, 1, 1, None))) == [0, 1]


def test_an_echoed_recommendation_id_decides():
    shown = rows((1000, 1, 1, "a"), (1010, 1, 1, "b"), (1010, 1, 2, "a"))
    assert clicks(shown, rows((1015, 1, 1, "a"))) == [1, 0, 0]
    assert clicks(shown, rows((1015, 1, 1, "other"))) == [0, 0, 0]
    assert clicks(shown, rows((1015, 1, 1, None))) == [0, 1, 0]


def test_sums_and_conditions_ignore_what_is_missing():
    shown = rows((1000, 1, 1, None), (1000, 2, 1, None))
    feedback = watches(
        (1001, 1, 1, None, 4.0, 1, -1), (1002, 1, 1, None, float("nan"), -1, 0), (1003, 1, 1, None, 2.5, 0, 0)
    )
    joined = join(labels, shown, {"watch": feedback}, as_of=LATER)
    assert joined["watch_s"].to_list() == [6.5, 0.0]
    assert joined["long"].to_list() == [0.0, 0.0]
    assert joined["watch_s"].dtype == pl.Float32


def test_a_missing_flag_passes_no_condition():
    heads = {"short": declare.any(watch, watch.long <= 0), "device": declare.any(watch, watch.device < 3)}
    asked = Labels(of=seen, within=timedelta(microseconds=100), heads=heads)
    feedback = watches((1001, 1, 1, None, 4.0, -1, -1))
    joined = join(asked, rows((1000, 1, 1, None)), {"watch": feedback}, as_of=LATER)
    assert joined.select("short", "device").row(0) == (0.0, 0.0)


def test_states():
    shown = rows((1000, 1, 1, None), (1050, 1, 1, None), (1200, 1, 1, None))
    assert join(labels, shown, {}, as_of=1150)["state"].to_list() == ["final", "final"]
    assert join(labels, shown, {}, as_of=1149)["state"].to_list() == ["final", "provisional"]
    cut = join(labels, shown, {}, as_of=1301, data_until=1120)
    assert cut["state"].to_list() == ["final", "censored", "censored"]


def test_late_feedback_corrects_the_next_join():
    shown = rows((1000, 1, 1, None))
    late = rows((1050, 1, 1, None)).with_columns(known_at=pl.lit(2000, dtype=pl.Int64))
    assert join(labels, shown, {"click": late}, as_of=1500).select("click", "state").row(0) == (0.0, "final")
    assert join(labels, shown, {"click": late}, as_of=2000)["click"].to_list() == [0.0]
    assert join(labels, shown, {"click": late}, as_of=2001)["click"].to_list() == [1.0]


def test_what_is_not_known_yet_is_not_there():
    shown = rows((1000, 1, 1, None), (1500, 1, 1, None))
    assert len(join(labels, shown, {}, as_of=1500)) == 1


def test_a_head_named_like_a_column_is_refused():
    clash = Labels(of=seen, within=timedelta(1), heads={"user": declare.any(click)})
    with pytest.raises(InputError, match="label-conflict"):
        join(clash, rows(), {}, as_of=LATER)


def test_nothing_at_all():
    joined = join(labels, rows(), {"click": rows()}, as_of=LATER)
    assert joined.columns[-4:] == ["click", "watch_s", "long", "state"]
    assert joined.is_empty()


reviewer = Table("reviewer", key="reviewer_id")
review = Events(
    "review", refs={"reviewer": reviewer, "video": seen.refs["video"]}, fields={"rude": flag, "cruel": flag}
)
found = Labels(
    of=seen,
    within=timedelta(microseconds=100),
    heads={"rude": declare.finding(review.rude), "cruel": declare.finding(review.cruel)},
)


def reviews(*events):
    """Findings as (at, reviewer, video, rude, cruel)."""
    plain = rows(*((at, who, video, None) for at, who, video, *_ in events))
    flags = {name: pl.Series([e[i] for e in events], dtype=pl.Int64) for name, i in (("rude", 3), ("cruel", 4))}
    return plain.rename({"user": "reviewer"}).with_columns(**flags)


def judged(*events, shown=((1000, 1, 1, None), (1000, 2, 2, None)), as_of=1090):
    joined = join(found, rows(*shown), {"review": reviews(*events)}, as_of=as_of)
    values = joined.select("rude", "cruel").fill_nan(None).rows()
    return values, joined["state"].to_list()


def test_a_finding_is_about_the_item_whoever_made_it_and_unknown_without_one():
    values, states = judged((1010, 77, 1, 1, -1))
    assert values == [(1.0, None), (None, None)]
    assert states == ["final", "provisional"]  # nobody has to wait for what has been said


def test_the_last_finding_that_says_anything_counts():
    assert judged((1010, 7, 1, 1, 0), (1020, 8, 1, 0, -1))[0][0] == (0.0, 0.0)
    assert judged((1020, 8, 1, 0, -1), (1010, 7, 1, 1, 0))[0][0] == (0.0, 0.0)
    assert judged((1010, 7, 1, 1, 0), (1010, 8, 1, 0, 1))[0][0] == (0.0, 1.0)


def test_a_finding_before_the_post_or_after_its_window_is_none():
    assert judged((999, 7, 1, 1, 1), (1100, 7, 2, 1, 1), as_of=5000)[0] == [(None, None), (None, None)]


def test_a_head_may_not_count_what_cannot_be_paired():
    class System:
        labels = Labels(of=seen, within=timedelta(1), heads={"rude": declare.any(review)})

    assert [p.code for p in System.labels.heads["rude"].problems(System)] == ["unjoinable-label"]
    System.labels = found
    assert not list(found.heads["rude"].problems(System))
    System.labels = Labels(of=seen, within=timedelta(1), heads={"rude": declare.finding(review.video)})
    assert [p.code for p in System.labels.heads["rude"].problems(System)] == ["bad-column"]
