"""Laws of the data layer, on whatever hypothesis thinks of."""

import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.data import declare
from winnow.data.chunk import decode, encode
from winnow.data.declare import Labels
from winnow.data.history import History
from winnow.data.intake import Intake
from winnow.data.labels import join
from winnow.data.log import SqliteLog
from winnow.data.schema import Events, Table, categories, category, number, text

user = Table("user", key="user_id")
video = Table("video", key="video_id", columns={"author": category, "tags": categories, "size": number, "title": text})
both = {"user": user, "video": video}
seen = Events("impression", refs=both)
click = Events("click", refs=both)
watch = Events("watch", refs=both, fields={"seconds": number})
few = settings(max_examples=30, deadline=None)

ints = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@st.composite
def columns(draw):
    n = draw(st.integers(0, 6))
    m = draw(st.integers(0, 3))
    flat = draw(st.lists(ints, min_size=n * m, max_size=n * m))
    return {
        "seq": np.array(draw(st.lists(ints, min_size=n, max_size=n)), dtype=np.int64),
        "x": np.array(draw(st.lists(st.floats(), min_size=n, max_size=n)), dtype=np.float64),
        "tags": np.array(flat, dtype=np.int64).reshape(n, m),
        "name": draw(st.lists(st.none() | texts, min_size=n, max_size=n)),
    }


@given(columns())
def test_chunks_come_back_as_they_were(given_columns):
    back = decode(encode(given_columns))
    assert back.keys() == given_columns.keys()
    for name, column in given_columns.items():
        if isinstance(column, list):
            assert back[name] == column
        else:
            np.testing.assert_array_equal(back[name], column)
            assert back[name].dtype == column.dtype


@few
@given(st.lists(st.lists(st.integers(0, 8), max_size=6), max_size=6))
def test_sending_anything_again_and_again_counts_once(batches):
    with tempfile.TemporaryDirectory() as folder:
        log = SqliteLog(Path(folder) / "truth.db")
        intake = Intake(log, both, {"click": click, "watch": watch})
        sent: dict[str, str] = {}
        for batch in batches:
            rows = [{"event_id": str(i), "type": ("click", "watch")[i % 2], "user": i % 3, "video": i} for i in batch]
            receipt = intake.events(rows)
            new = {str(i) for i in batch} - sent.keys()
            assert (receipt.accepted, receipt.duplicates) == (len(new), len(batch) - len(new))
            sent |= dict.fromkeys(new, "")
        landed = [i for c in log.read() for i in c.texts("event_id")]
        assert sorted(landed) == sorted(sent)
        assert sorted(s for c in log.read() for s in c.ints("seq")) == list(range(1, len(sent) + 1))
        log.close()


row = st.fixed_dictionaries(
    {"video_id": st.sampled_from("ab")},
    optional={
        "author": st.none() | st.sampled_from("xy"), "tags": st.none() | st.lists(st.sampled_from("pq"), max_size=2),
        "size": st.none() | st.integers(0, 3), "title": st.none() | st.sampled_from(["t", "u"]),
        "deleted": st.booleans(),
    },
)  # fmt: skip


def replayed(batches):
    """What the rows are after all that was put, by the rule in plain Python."""
    state = {}
    empty = {"author": None, "tags": [], "size": None, "title": ""}
    for put in (put for batch in batches for put in batch):
        if put.get("deleted"):
            state[put["video_id"]] = None
        else:
            named = {k: (v if v is not None else empty[k]) for k, v in put.items() if k in empty}
            old = state.get(put["video_id"]) or empty
            state[put["video_id"]] = {**old, **named}
    return {k: {**v, "tags": list(dict.fromkeys(v["tags"]))} for k, v in state.items() if v is not None}


@few
@given(st.lists(st.lists(row, max_size=5), max_size=4))
def test_rows_are_what_was_put_last(batches):
    with tempfile.TemporaryDirectory() as folder:
        log = SqliteLog(Path(folder) / "truth.db")
        intake = Intake(log, both, {})
        history = History(Path(folder) / "history", both, {})
        for batch in batches:
            intake.rows("video", batch)
            history.sync(log)
        found = history.decoded("video", log.ids).with_columns(pl.col("size").fill_nan(None))
        want = replayed(batches)
        got = {r["video_id"]: {k: r[k] for k in ("author", "tags", "size", "title")} for r in found.to_dicts()}
        assert got == want
        log.close()


WITHIN = 6
labels = Labels(
    of=seen, within=timedelta(microseconds=WITHIN),
    heads={"click": declare.any(click), "s": declare.sum(watch.seconds), "long": declare.any(watch, watch.seconds > 2)},
)  # fmt: skip
event = st.tuples(
    st.integers(0, 20), st.integers(0, 6), st.integers(0, 1), st.integers(0, 1), st.sampled_from([None, None, "r", "q"])
)
shape = {"at": pl.Int64, "known_at": pl.Int64, "user": pl.Int64, "video": pl.Int64, "recommendation_id": pl.String}


def frame(events, **fields):
    values = [(at, at + late, u, v, r, i + 1, *more) for i, (at, late, u, v, r, *more) in enumerate(events)]
    return pl.DataFrame(values, schema=shape | {"seq": pl.Int64} | fields, orient="row")


def brute(shown, feedback, as_of):
    """For each feedback row known by `as_of` the impression it belongs to, by going through all of them."""
    for f in (f for f in feedback if f["known_at"] < as_of):
        fits = [
            (s["at"], s["seq"], place)
            for place, s in enumerate(shown)
            if s["user"] == f["user"] and s["video"] == f["video"] and s["at"] <= f["at"]
            and (f["recommendation_id"] is None or s["recommendation_id"] == f["recommendation_id"])
        ]  # fmt: skip
        if fits and f["at"] < max(fits)[0] + WITHIN:
            yield max(fits)[2], f


watched = st.tuples(event, st.sampled_from([0.0, 0.5, 2.0, 2.5, float("nan")]))


@settings(max_examples=200, deadline=None)
@given(st.lists(event, max_size=12), st.lists(event, max_size=12), st.lists(watched, max_size=12), st.integers(0, 30))
def test_labels_are_what_a_slow_reader_finds(impressions, clicks, watches, as_of):
    feedback = {"click": frame(clicks), "watch": frame([(*e, s) for e, s in watches], seconds=pl.Float64)}
    joined = join(labels, frame(impressions), feedback, as_of=as_of)
    shown = [s for s in frame(impressions).to_dicts() if s["known_at"] < as_of]
    want = [{"click": 0.0, "s": 0.0, "long": 0.0} for _ in shown]
    for place, _ in brute(shown, feedback["click"].to_dicts(), as_of):
        want[place]["click"] = 1.0
    for place, f in brute(shown, feedback["watch"].to_dicts(), as_of):
        if f["seconds"] == f["seconds"]:
            want[place]["s"] += f["seconds"]
            want[place]["long"] = max(want[place]["long"], float(f["seconds"] > 2))
    for head in ("click", "s", "long"):
        np.testing.assert_allclose(joined[head].to_numpy(), [w[head] for w in want], rtol=1e-6)
    assert joined["state"].to_list() == ["final" if s["at"] + WITHIN <= as_of else "provisional" for s in shown]
