"""What happens to a request when a part of the pipeline is slow, fails, or is damaged on disk."""

import shutil
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
from benchmarks import shop

from winnow.core.errors import Conflict, Problem, Unavailable
from winnow.features.live import LiveReader
from winnow.features.recent import Since
from winnow.serving import filters, policy, slate, sources
from winnow.serving.desk import Desk
from winnow.serving.effects import ServedLog
from winnow.serving.gather import STUCK, Gatherer
from winnow.serving.ingester import LIVE, Ingester
from winnow.serving.renew import Renewal
from winnow.serving.request import RankRequest

NAME = "video_recommendation"


@dataclass(frozen=True)
class Slow(sources.Source):
    seconds: float = 1.0

    def propose(self, query, kit):
        time.sleep(self.seconds)
        return np.array([1]), np.array([1.0], np.float32)


@dataclass(frozen=True)
class Raising(sources.Source):
    def propose(self, query, kit):
        raise RuntimeError("broken")


@dataclass(frozen=True)
class RaisingFilter(filters.Filter):
    def keep(self, candidates, query, kit):
        raise RuntimeError("broken")


@dataclass(frozen=True)
class RaisingRule(policy.Rule):
    def admit(self, candidates, query, kit):
        raise RuntimeError("broken")


@dataclass(frozen=True)
class Smuggler(slate.Step):
    """Puts rows into the list that no source proposed and nobody may see."""

    def arrange(self, candidates, query, kit):
        return replace(candidates, rows=np.full(len(candidates), 10**6))


@pytest.fixture
def gatherer():
    gatherer = Gatherer()
    yield gatherer
    gatherer.close()


@pytest.fixture
def open_desk(project, gatherer):
    """Makes a desk whose pipeline is changed."""
    ingester = Ingester(
        project.log, project.folder / LIVE, project.systems.values(), tables=project.tables.values(), rows=50_000
    )
    while ingester.step():
        pass

    def make(served=None, **changes):
        system = project.system(NAME)
        renewal = Renewal(
            system, registry=project.registry, live=LiveReader(project.folder / LIVE), ids=project.log.ids
        )
        desk = Desk(system, renewal, project.log.ids, gatherer=gatherer, served=served)
        desk.refresh()
        if changes:  # a release serves with the declaration it carries, so the change goes into the kit
            own = desk.kit.system
            desk._kit = replace(desk.kit, system=replace(own, pipeline=replace(own.pipeline, **changes)))
        return desk

    yield make
    ingester.close()


def ranked(desk, **given):
    return desk.rank(RankRequest(user="u3", **given))


def parts(reply):
    return {d["part"] for d in reply.degraded}


@pytest.mark.parametrize("bad", [Slow(), Raising()])
def test_a_source_that_fails_or_is_late_is_left_out(open_desk, project, bad):
    desk = open_desk(sources=[bad, *project.system(NAME).pipeline.sources])
    start = time.perf_counter()
    reply = ranked(desk)
    assert time.perf_counter() - start < 0.9
    assert parts(reply) == {bad.name}
    assert len(reply.items) == 20
    assert not any(bad.name in i.sources for i in reply.items)


def test_a_source_that_hangs_is_no_longer_asked(open_desk, project):
    desk = open_desk(sources=[Slow(seconds=3), *project.system(NAME).pipeline.sources])
    for _ in range(STUCK):
        ranked(desk)
    start = time.perf_counter()
    reply = ranked(desk, explain=True)
    assert time.perf_counter() - start < 0.35
    stage = next(s for s in reply.explanation["stages"] if s["name"] == "Slow")
    assert "hang" in stage["error"]


def test_filters_fail_open_and_say_so(open_desk):
    reply = ranked(open_desk(filters=[RaisingFilter()]))
    assert len(reply.items) == 20
    assert reply.degraded == [{"stage": "filter", "part": "RaisingFilter",
                               "effect": "what it would have dropped may be in the list"}]  # fmt: skip


def test_policy_fails_closed_and_says_so(open_desk):
    reply = ranked(open_desk(policy=[RaisingRule()]))
    assert reply.items == []
    assert parts(reply) == {"RaisingRule"}


def test_policy_has_the_last_word_after_the_slate(open_desk):
    assert ranked(open_desk(slate=[Smuggler()])).items == []


def test_a_failing_scorer_gives_way_to_the_heuristic(open_desk, monkeypatch):
    desk = open_desk()
    first, second = desk.kit.bundle.rungs
    for bad in (
        lambda features: 1 / 0,
        lambda features: np.full((len(features), len(first.heads)), np.nan, np.float32),
    ):
        monkeypatch.setattr(type(first.scorer), "score", lambda self, features, bad=bad: bad(features))
        reply = ranked(desk, explain=True)
        assert parts(reply) == {first.name}
        assert set(reply.explanation["items"][0]["heads"]) == set(second.heads)


def test_failing_features_leave_the_order_of_popularity(open_desk, monkeypatch):
    desk = open_desk(slate=[])
    monkeypatch.setattr(type(desk.kit.bundle.plan), "compute", lambda *given, **more: 1 / 0)
    reply = ranked(desk, size=50)
    assert "plan" in parts(reply)
    counts = desk.kit.catalogue.popularity
    rows = desk._ids.rows("video", [i.id for i in reply.items])
    assert (np.diff(counts[rows]) <= 0).all()


def damage(project, part):
    folder = project.registry.root / NAME / project.registry.champion(NAME)
    path = next(p for p in sorted((folder / part).rglob("*")) if p.is_file() and p.name != "meta.json")
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    return path


def test_a_damaged_model_is_not_served_but_the_heuristic_is(project, open_desk):
    path = damage(project, "ranking/L2-GradientBoosting")
    desk = open_desk()
    reply = ranked(desk)
    assert len(reply.items) == 20
    assert reply.degraded[0]["part"] == "ranking/L2-GradientBoosting"
    assert path.name in str(desk.trouble)
    assert desk.kit.bundle.rungs[0].name == "L0-Formula"


def test_damaged_neighbours_cost_one_source(project, open_desk):
    damage(project, "sources/CoWatched")
    reply = ranked(open_desk())
    assert len(reply.items) == 20
    assert {"sources/CoWatched", "CoWatched"} <= parts(reply)


def test_a_damaged_new_release_leaves_the_old_one_serving(project, open_desk):
    desk = open_desk()
    before = desk.kit.bundle.release
    after = shop.release(project, seed=1)
    damage(project, "ranking/L2-GradientBoosting")
    desk.refresh()
    assert ranked(desk).release == before
    assert desk.trouble.code in ("release-corrupt", "model-corrupt")
    project.registry.rollback(NAME, at=1, who="test")
    desk.refresh()
    assert before != after


def test_a_missing_release_folder_is_told(project, open_desk):
    shutil.rmtree(project.registry.root / NAME)
    desk = open_desk()
    with pytest.raises(Unavailable) as told:
        ranked(desk)
    assert told.value.code == "release-missing"


def test_without_a_release_the_error_names_the_command(project, gatherer):
    live = LiveReader(project.folder / LIVE)
    system = replace(project.system(NAME), name="another")
    desk = Desk(
        system,
        Renewal(system, registry=project.registry, live=live, ids=project.log.ids),
        project.log.ids,
        gatherer=gatherer,
    )
    desk.refresh()
    with pytest.raises(Unavailable) as told:
        ranked(desk)
    assert told.value.code == "no-release"
    assert "winnow train another" in told.value.problems[0].fix


def test_a_release_is_not_served_before_its_live_state_is_built(project, open_desk):
    system = project.system(NAME)
    feature = Since(project.events["like"], by=project.tables["user"])
    release = project.registry.open(NAME)
    ahead = replace(system, features=[*system.features, feature])
    renewal = Renewal(ahead, registry=project.registry, live=LiveReader(project.folder / LIVE), ids=project.log.ids)
    renewal._demand_live(release.system())
    with pytest.raises(Conflict, match="live-not-ready"):
        renewal._demand_live(ahead)


class BrokenLog:
    """A log on a disk that is full, or slow."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def append(self, batch):
        time.sleep(self.seconds)
        raise Unavailable(Problem("log-full", "no room"))


def test_a_full_disk_costs_served_rows_but_no_request(open_desk):
    served = ServedLog(BrokenLog())
    assert len(ranked(open_desk(served=served)).items) == 20
    served.flush()
    assert (served.written, served.dropped) == (0, 1)
    served.close()


class Kept:
    """Takes replies as a served log does."""

    def __init__(self):
        self.replies = []

    def put(self, served):
        self.replies.append(served)


def test_a_slow_disk_delays_no_request_and_the_queue_is_bounded(open_desk):
    kept = Kept()
    ranked(open_desk(served=kept))
    served = ServedLog(BrokenLog(seconds=0.3), limit=10)
    start = time.perf_counter()
    for _ in range(500):
        served.put(kept.replies[0])
    assert time.perf_counter() - start < 0.2
    assert served.dropped >= 400
    served.close()
    assert served.dropped == 500


def test_what_was_served_is_in_the_log_with_its_features(project, open_desk):
    served, after = ServedLog(project.log), project.log.last_seq()
    desk = open_desk(served=served)
    reply = ranked(desk, explain=True)
    served.close()
    chunk = next(c for c in project.log.read(after) if c.name == f"{NAME}_served")
    assert chunk.texts("recommendation_id") == [reply.recommendation_id] * 20
    assert project.log.ids.ids("video", chunk.ints("video")) == [i.id for i in reply.items]
    told = reply.explanation["items"]
    for name in ("video_click_rate_ever", "request_hour"):
        np.testing.assert_allclose(chunk.floats(f"feature_{name}"), [i["features"][name] for i in told], rtol=1e-6)
    np.testing.assert_allclose(chunk.floats("propensity"), [i["propensity"] for i in told])
    np.testing.assert_allclose(chunk.floats("head_click"), [i["heads"]["click"] for i in told], rtol=1e-6)
    assert set(chunk.texts("release")) == {reply.release}
    project.history.sync(project.log)


def test_when_every_source_is_late_the_lists_of_the_background_stand_in(open_desk, monkeypatch):
    monkeypatch.setattr(Gatherer, "ask", lambda self, asks, **given: [None] * len(asks))
    reply = ranked(open_desk())
    assert reply.items
    assert {name for item in reply.items for name in item.sources} <= {"Popular", "Fresh"}
