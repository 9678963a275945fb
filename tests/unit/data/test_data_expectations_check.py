"""What is learned from a training period, and what is said of data that came later, with and without faults."""

import numpy as np
import polars as pl
import pytest
from expectations_world import DAY, EVENTS, HOUR, SECOND, START, TABLES, Shop, event, people, videos

from winnow.core.errors import InputError
from winnow.data.expectations.file import Schema, read
from winnow.data.expectations.infer import infer
from winnow.data.expectations.measure import measure
from winnow.data.expectations.profile import learn
from winnow.data.expectations.sample import Sample
from winnow.data.expectations.write import to_toml
from winnow.data.schema import category, personal


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A training period of eight days, and what was learned from it."""
    shop = Shop(tmp_path_factory.mktemp("world"))
    rng = np.random.default_rng(1)
    shop.take({"video": videos(rng), **people(rng, 120, days=8)})
    expected, notes = infer(shop.data(), until=START + 8 * DAY)
    yield shop, expected, notes
    shop.log.close()


@pytest.fixture
def later(world, tmp_path):
    """Checks another eight days that some function spoils."""
    _, expected, _ = world
    new = Shop(tmp_path)

    def later(spoil=lambda frames: None):
        rng = np.random.default_rng(2)
        frames = people(rng, 120, days=8, first=8)
        spoil(frames)
        new.take({"video": videos(np.random.default_rng(1)), **frames})
        tally = new.edge._tally.rows()
        return measure(new.data(), expected, tally, since=START + 8 * DAY)

    yield later
    new.log.close()


def bad(check):
    return {(f.subject, f.measure): f.verdict for f in check.findings if f.verdict != "ok"}


def test_more_of_the_same_is_as_expected(later):
    check = later()
    assert bad(check) == {}
    assert check.verdict == "ok"
    assert len(check.findings) > 25
    assert check.flags.bots == frozenset()


def test_the_training_period_meets_its_own_expectations(world):
    shop, expected, _ = world
    check = measure(shop.data(), expected, shop.edge._tally.rows(), since=0)
    assert bad(check) == {}
    assert {f.kind for f in check.findings} == {"event", "table"}


def test_the_file_says_what_was_observed_and_reads_the_same(world, tmp_path):
    _, expected, notes = world
    text = to_toml(expected, notes)
    (tmp_path / "e.toml").write_text(text)
    assert read(tmp_path / "e.toml", Schema.of(TABLES, EVENTS)) == expected
    assert 'values = ["home", "search", "related"]  # 3 different values' in text
    assert "others = 0.0  # a closed list" in text
    assert "# observed 2." in text or "# observed 1." in text
    columns = expected.event["watch"].columns
    assert 0 < columns["seconds"].missing < 0.06
    assert columns["seconds"].never_above > 50 * columns["seconds"].at_most
    assert expected.event["impression"].columns["position"].missing == 1.0
    assert expected.table["video"].columns["tags"].others == 0.03  # too few rows to close the list
    assert expected.event["watch"].late_s is None  # an import does not tell how late events are known


def spoil(name, **columns):
    def spoil(frames):
        frames[name] = frames[name].with_columns(**columns)

    return spoil


first = pl.int_range(pl.len()) % 10 < 2

FAULTS = {
    "shift": (spoil("watch", seconds=pl.col("seconds") * 3), "watch.seconds", "psi"),
    "unit": (spoil("watch", seconds=pl.when(first).then(pl.col("seconds") * 1000).otherwise("seconds")),
             "watch.seconds", "outside"),
    "missing": (spoil("watch", seconds=pl.when(first).then(None).otherwise("seconds")), "watch.seconds", "missing"),
    "never missing": (spoil("impression", surface=pl.when(first).then(None).otherwise("surface")),
                      "impression.surface", "missing"),
    "new category": (spoil("impression", surface=pl.when(first).then(pl.lit("tv")).otherwise("surface")),
                     "impression.surface", "others"),
    "mix": (spoil("impression", surface=pl.when(first).then(pl.lit("related")).otherwise("surface")),
            "impression.surface", "psi"),
    "flag": (spoil("watch", long=pl.lit(True)), "watch.long", "psi"),
    "silence": (lambda frames: frames.update(click=frames["click"].filter(pl.col("at") < START + 12 * DAY)),
                "click", "per_day"),
    "flood": (lambda frames: frames.update(click=pl.concat(
        [frames["click"].with_columns(event_id=pl.format("{}-{}", "event_id", pl.lit(i))) for i in range(6)])),
        "click", "per_day"),
    "storms": (lambda frames: frames.update(click=pl.concat(
        [frames["click"].with_columns(event_id=pl.format("{}-{}", "event_id", pl.lit(i))) for i in range(6)])),
        "click", "copies"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_reported(later, name):
    spoil, subject, measured = FAULTS[name]
    check = later(spoil)
    found = bad(check)
    assert found.get((subject, measured)) in ("warn", "broken"), found
    if name != "mix":
        assert check.verdict == "broken"
    assert {s.partition(".")[0] for s, _ in found} == {subject.partition(".")[0]}


def test_findings_tell_what_moved(later):
    def spoil(frames):
        tv = pl.when(first).then(pl.lit("tv")).otherwise("surface")
        frames["impression"] = frames["impression"].with_columns(surface=tv)

    what = {(f.subject, f.measure): f.what for f in later(spoil).findings}
    assert what["impression.surface", "others"].startswith("20.00% of the values are not in the list")
    assert "other values 0.0% → 20.0%" in what["impression.surface", "psi"]


# Times --------------------------------------------------------------------------------------------------------------


def send(shop, n, *, late_s, key, surface="home", step=HOUR // 100):
    """Events sent just now about some time ago."""
    rng = np.random.default_rng(len(key))
    for i in range(n // 100):
        shop.now += step
        rows = [{"type": "impression", "event_id": f"{key}{i}-{j}", "user": f"u{j}", "video": "v", "surface": surface,
                 "at": shop.now - round(float(s) * SECOND)} for j, s in enumerate(late_s(rng, 100))]  # fmt: skip
        shop.intake.events(rows)


def test_lateness_is_learned_from_what_was_sent_and_late_producers_are_told(tmp_path):
    shop = Shop(tmp_path)
    send(shop, 3000, late_s=lambda rng, n: rng.exponential(2, n), key="a")
    expected, _ = infer(shop.data())
    assert 5 < expected.event["impression"].late_s < 60
    (tmp_path / "expectations.toml").write_text(to_toml(expected).replace(
        "[event.impression]", '[event.impression]\nproducer = "surface"'))  # fmt: skip
    shop.open()
    expected = read(tmp_path / "expectations.toml", Schema.of(TABLES, EVENTS))
    since = shop.now
    send(shop, 2000, late_s=lambda rng, n: rng.exponential(2, n), key="b")
    send(shop, 1000, late_s=lambda rng, n: rng.exponential(400, n), key="c", surface="search")
    found = [f for f in measure(shop.data(), expected, shop.edge._tally.rows(), since=since).findings
             if f.measure == "late_s"]  # fmt: skip
    assert {f.column: f.verdict for f in found} == {"home": "ok", "search": "broken"}
    shop.log.close()


def test_silence_lasts_until_now_where_events_are_sent_and_to_the_end_of_a_data_set(tmp_path, monkeypatch):
    shop = Shop(tmp_path)
    send(shop, 3000, late_s=lambda rng, n: rng.exponential(2, n), key="a", step=HOUR)
    expected, _ = infer(shop.data())
    since, last = shop.now - 2 * HOUR, shop.now
    monkeypatch.setattr("winnow.data.expectations.measure.now_us", lambda: last + 9 * HOUR)
    check = measure(shop.data(), expected, shop.edge._tally.rows(), since=since)
    assert (check.until, bad(check)["impression", "per_hour"]) == (last + 9 * HOUR, "broken")
    at = last - HOUR // 2
    shop.now += SECOND
    shop.take({"click": event("click", 1, at=[shop.now])})
    check = measure(shop.data(), expected, shop.edge._tally.rows(), since=at)
    assert (check.until, bad(check)) == (shop.now + 1, {})
    shop.log.close()


def test_a_producer_that_is_always_ahead_is_reported(tmp_path):
    shop = Shop(tmp_path)
    send(shop, 1000, late_s=lambda rng, n: rng.exponential(2, n), key="a")
    expected, _ = infer(shop.data())
    text = to_toml(expected).replace("[event.impression]", '[event.impression]\nproducer = "surface"')
    (tmp_path / "expectations.toml").write_text(text)
    expected = read(tmp_path / "expectations.toml", Schema.of(TABLES, EVENTS))
    shop.open()
    send(shop, 500, late_s=lambda rng, n: rng.exponential(2, n), key="b")
    send(shop, 500, late_s=lambda rng, n: rng.uniform(-200, -100, n), key="c", surface="search")
    found = [f for f in measure(shop.data(), expected, shop.edge._tally.rows(), since=0).findings
             if f.measure == "ahead"]  # fmt: skip
    assert {f.column: f.verdict for f in found} == {"search": "broken", "home": "ok"}
    assert "100.0% of the events of producer search are ahead of our clock, by 1" in found[0].what
    assert found[0].subject == "impression.search"
    shop.log.close()


def test_a_clock_in_the_last_century_is_seen_although_its_events_are_old(world, tmp_path):
    _, expected, _ = world
    shop = Shop(tmp_path)
    since = shop.now
    rows = [{"type": "click", "event_id": str(i), "user": "u", "video": f"v{i}", "at": i + 1} for i in range(20)]
    assert shop.intake.events(rows).accepted == 20  # nothing was expected of them yet
    check = measure(shop.data(), expected, shop.edge._tally.rows(), since=since)
    assert (check.rows, bad(check)["click.at", "never"]) == (20, "broken")
    shop.log.close()


def test_an_id_that_two_rows_share_is_broken(world, tmp_path):
    """The log cannot take one twice, so a history that has is a damaged one."""
    _, expected, _ = world
    new = Shop(tmp_path)
    new.take({"click": event("click", 5, at=[START + i * HOUR for i in range(5)])})
    data = new.data()
    path = next((tmp_path / "history" / "event" / "click").glob("*.parquet"))
    frame = pl.read_parquet(path)
    frame.with_columns(event_id=pl.lit("one")).write_parquet(path)
    assert bad(measure(data, expected, new.edge._tally.rows(), since=START))["click.event_id", "unique"] == "broken"
    new.log.close()


# Nothing to learn from ----------------------------------------------------------------------------------------------


def test_an_empty_training_period(world):
    shop, _, _ = world
    with pytest.raises(InputError, match="no events from 2027-01-01") as error:
        infer(shop.data(), start=START + 306 * DAY)
    assert error.value.code == "empty-period"


def test_a_period_the_wrong_way_round(world):
    with pytest.raises(InputError) as error:
        infer(world[0].data(), start=START, until=START)
    assert error.value.code == "bad-period"


def test_a_few_rows_give_few_expectations_and_break_none(tmp_path):
    shop = Shop(tmp_path)
    shop.take({"watch": event("watch", 1, at=[START], seconds=3.0, long=True)})
    expected, _ = infer(shop.data())
    seconds = expected.event["watch"].columns["seconds"]
    assert (seconds.at_most, seconds.shares, expected.event["watch"].per_day) == (None, None, None)
    assert bad(measure(shop.data(), expected, shop.edge._tally.rows(), since=0)) == {}
    shop.log.close()


def test_constant_and_extreme_columns(tmp_path):
    shop = Shop(tmp_path)
    at = [START + i * SECOND for i in range(200)]
    values = pl.Series([7.0] * 100 + [1e9] * 50 + [0.0] * 50)
    one = {"at": at, "video": pl.Series([f"v{i}" for i in range(200)])}
    shop.take(
        {"watch": event("watch", 200, seconds=values, **one), "impression": event("impression", 200, position=3, **one)}
    )
    expected, notes = infer(shop.data())
    seconds = expected.event["watch"].columns["seconds"]
    assert (seconds.at_least, seconds.never_above) == (0.0, None)  # the declared limit is nearer
    assert expected.event["impression"].columns["position"].edges is None
    (tmp_path / "e.toml").write_text(to_toml(expected, notes))
    assert read(tmp_path / "e.toml", Schema.of(TABLES, EVENTS)) == expected
    assert bad(measure(shop.data(), expected, shop.edge._tally.rows(), since=0)) == {}
    shop.log.close()


def test_personal_values_are_not_written_down(tmp_path):
    sample = Sample(500, 0, np.zeros(500, np.int64))
    assert learn(sample, category, lambda rows: ["Ann Smith"])[0].values == ("Ann Smith",)
    found, notes = learn(sample, personal(category), lambda rows: ["Ann Smith"])
    assert (found.values, found.shares, found.missing) == (None, None, 0.039)
    assert "Ann" not in str(notes)
