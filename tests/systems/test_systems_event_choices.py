"""Items that begin and end, in a log of choices without impressions: through train, evaluate, serve and rank."""

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winnow.core.time import MICROS, now_us
from winnow.evaluation.report import pick
from winnow.features.live import LiveReader
from winnow.project import Project
from winnow.serving.desk import Desk
from winnow.serving.gather import Gatherer
from winnow.serving.ingester import LIVE
from winnow.serving.renew import Renewal
from winnow.serving.request import RankRequest

HOUR = 3600 * MICROS
SYSTEM = """
import winnow as w
from winnow import days, hours, labels, policy, sources

member = w.Table("member", key="member_id", columns={"taste": w.category(domain="topic")})
event = w.Table("event", key="event_id", columns={
    "topic": w.category(domain="topic"), "created_at": w.time, "starts_at": w.time})
both = {"member": member, "event": event}
seen, register = (w.Events(n, refs=both) for n in ("impression", "register"))
outcomes = w.Labels(of=seen, within=hours(1), heads={"register": labels.any(register)},
                    against=w.Alternatives(register, k=8))
features = [w.column(member.taste), w.column(event.topic), w.age(event.created_at),
            w.count(register, by=event), w.count(register, by=(member, event.topic)),
            w.last(register.event, by=member, k=5, columns=(event.topic,))]
system = w.System(
    "outings", w.Frame(business="b", predict="p"), outcomes, features,
    retrieval=w.Ladder(L0=w.Popularity(), L1=w.TwoTower(epochs=1, ids=False),
                       L2=w.TwoTower(epochs=25, ids=False, learning_rate=0.01, dropout=0.0)),
    ranking=w.Ladder(L0=w.Formula("event_created_at_age_d"), L1=w.Formula("event_register_count_ever"),
                     L2=w.GradientBoosting(learning_rate=0.1)),
    pipeline=w.Pipeline(sources=[sources.Nearest(limit=50), sources.Fresh(event.created_at, limit=100)],
                        value=w.Weighted(register=1), candidates=200, size=100),
    alive=w.Alive(since=event.created_at, until=event.starts_at),
    retrain=w.Retrain(every=days(1)),
)
"""
TOPICS, EVENTS, MEMBERS, CHOICES = 4, 400, 60, 1_500


@pytest.fixture(scope="module")
def outings(tmp_path_factory):
    """Members choose an event of their own topic four times in five; events live for two days."""
    folder, now, random = tmp_path_factory.mktemp("outings"), now_us(), np.random.default_rng(0)
    (folder / "systems").mkdir()
    (folder / "systems" / "outings.py").write_text(SYSTEM)
    created = now - np.sort(random.integers(HOUR, 20 * 24 * HOUR, EVENTS))[::-1]
    created[-1] = now + 5 * HOUR  # not yet
    starts = created + 48 * HOUR
    topic, taste = random.integers(0, TOPICS, EVENTS), random.integers(0, TOPICS, MEMBERS)
    rows = []
    for at in np.sort(random.integers(created[60], now - 2 * HOUR, CHOICES)):
        who = int(random.integers(MEMBERS))
        there = np.flatnonzero((created <= at) & (at < starts))
        own = there[topic[there] == taste[who]] if random.random() < 0.8 else there
        if len(own):
            rows.append((int(at), f"m{who}", f"e{random.choice(own)}"))
    with Project(folder) as project:
        ids, known = [f"e{i}" for i in range(EVENTS)], np.minimum(created, now - HOUR)
        times = {"changed_at": known, "created_at": created, "starts_at": starts}
        project.intake.frame("member", pl.DataFrame({
            "member_id": [f"m{i}" for i in range(MEMBERS)], "taste": [f"t{t}" for t in taste],
            "changed_at": [int(created[0]) - HOUR] * MEMBERS}), backfill=True)  # fmt: skip
        frame = pl.DataFrame({"event_id": ids, "topic": [f"t{t}" for t in topic], **times})
        assert project.intake.frame("event", frame, backfill=True).quarantined == 0
        made = pl.DataFrame(rows, schema=["at", "member", "event"], orient="row")
        made = made.with_columns(event_id=pl.format("r{}", pl.int_range(pl.len())))
        assert project.intake.frame("register", made, backfill=True).accepted == len(rows)
        outcome = project.train("outings", threads=1)
        yield project, outcome, dict(zip(ids, starts, strict=True))


def value(records, stage, rung, metric, part="all"):
    (record,) = pick(records, stage=stage, rung=rung, metric=metric, slice=part)
    return record["value"]


def test_models_that_know_tastes_beat_those_that_do_not_on_replays(outings):
    _, outcome, _ = outings
    for stage in ("ranking", "retrieval"):
        assert value(outcome.records, stage, "L2", "map") > value(outcome.records, stage, "L0", "map") + 0.05
    assert {"map", "mrr", "recall@10"} <= {r["metric"] for r in pick(outcome.records, stage="ranking", head="register")}
    assert 0.1 < value(outcome.records, "ranking", "L2", "recall@10") <= 1


def test_items_that_came_after_training_are_judged_as_well(outings):
    _, outcome, _ = outings
    (new,) = pick(outcome.records, stage="retrieval", rung="L2", metric="map", slice="new item")
    assert new["n"] > 50


def test_nothing_is_calibrated_on_rows_whose_number_was_made_up(outings):
    project, outcome, _ = outings
    folder = project.registry.root / "outings" / outcome.verdict.candidate / "ranking"
    assert not list(folder.glob("*/calibration*"))


def test_only_living_items_are_shown(outings):
    project, _, starts = outings
    shown = project.rank("outings", user="m1", size=100)["items"]
    ids = [item["id"] for item in shown]
    now = now_us()
    assert len(ids) > 20
    assert all(starts[one] - 48 * HOUR <= now < starts[one] for one in ids)
    living = {one for one, at in starts.items() if at - 48 * HOUR <= now < at}
    assert set(ids) == living


@given(hours=st.floats(0, 60), more=st.sampled_from([0.0, 0.5, 9.0]))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_time_goes_on_where_nothing_happens(outings, hours, more):
    """Nothing is logged any more, and still what has begun by the clock is not shown, and what has come is: at once
    what has begun since the background last looked, what has come with its next look."""
    project, _, starts = outings
    at = now_us() + int(hours * HOUR)
    system, ids, gatherer = project.system("outings"), project.log.ids, Gatherer()
    project.rank("outings", user="m1")  # live state follows the log
    live = LiveReader(project.folder / LIVE, encodings=project.encodings)
    renewal = Renewal(system, registry=project.registry, live=live, ids=ids, clock=lambda: at)
    then = at + int(more * HOUR)
    desk = Desk(system, renewal, ids, gatherer=gatherer, clock=lambda: then)
    desk.refresh()
    shown = {item.id for item in desk.rank(RankRequest(user="m2", size=100)).items}
    gatherer.close()
    assert shown == {one for one, begins in starts.items() if begins - 48 * HOUR <= at and then < begins}
