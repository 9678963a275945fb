"""Changes of capacity reach the next request within seconds, what is near follows the traveller, homes stay private."""

import json
import logging
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from evening_fixtures import HOUR, NAME

import winnow as w
from winnow.core.time import now_us
from winnow.features.plan import Plan
from winnow.project import Project
from winnow.retrieval.cells import Spots
from winnow.serving.request import RankRequest
from winnow.serving.runtime import Runtime

MOST_S = 30  # within which a change of capacity must be seen; as a rule it takes a fraction of a second


@pytest.fixture
def running(evening_template, tmp_path):
    """A project with its own ingester and refresh, as a notebook or a server has them."""
    shutil.copytree(evening_template, tmp_path / "town")
    with Project(tmp_path / "town") as project:
        runtime = Runtime.open(project)
        yield project, runtime.desk(NAME)
        runtime.close()


def shown(desk, user, **options):
    reply = desk.rank(RankRequest(user=user, size=100, **options))
    assert reply.degraded == []
    return [item.id for item in reply.items]


def waited(desk, key, there, user="somebody"):
    """Seconds until an event is, or is no longer, shown."""
    start = time.monotonic()
    while (key in shown(desk, user)) != there:
        assert time.monotonic() - start < MOST_S
        time.sleep(0.01)
    return time.monotonic() - start


def taking(kind, who, what):
    return {"type": kind, "event_id": f"{kind}-{who}-{what}", "member": who, "event": what}


def test_capacity_and_registrations_are_seen_at_once(running):
    project, desk = running
    starts = now_us() + HOUR // 2
    row = {"event_id": "gig", "venue": "v1", "starts_at": starts, "ends_at": starts + HOUR}
    project.intake.rows("event", [row | {"capacity": 2}])
    took = {"new": waited(desk, "gig", True)}
    project.intake.events([taking("register", "m7", "gig"), taking("register", "m8", "gig")])
    took["full"] = waited(desk, "gig", False)
    project.intake.rows("event", [row | {"capacity": 3}])
    took["raised"] = waited(desk, "gig", True)
    project.intake.rows("event", [row | {"capacity": 2}])
    took["lowered"] = waited(desk, "gig", False)
    project.intake.events([taking("cancel", "m8", "gig")])
    took["given back"] = waited(desk, "gig", True)
    project.intake.events([taking("register", "somebody", "gig")])
    took["going"] = waited(desk, "gig", False)
    print(json.dumps({k: round(v, 3) for k, v in took.items()}))
    assert max(took.values()) < MOST_S


def test_near_follows_home_the_past_and_the_traveller(town):
    source = next(s for s in town.system.pipeline.sources if s.name == "Near")
    berlin, tokyo = {"lat": 52.5, "lon": 13.4}, {"lat": 35.68, "lon": 139.7}
    starts = town.now() + 50 * HOUR
    town.post(venue=[{"venue_id": "far", **tokyo}])
    town.post(event=[{"event_id": f"far{i}", "venue": "far", "starts_at": starts + 3 * i * HOUR} for i in range(3)])
    town.desk.refresh()

    def near(user="m1", **context):
        reply = town.rank(user, context=context, size=100, explain=True)
        assert reply.degraded == []
        return [item.id for item in reply.items if source.name in item.sources]

    assert set(near(**tokyo)) == {"far0", "far1", "far2"}
    assert not set(near(**berlin)) & {"far0", "far1", "far2"}
    assert near() != []
    assert near("stranger") == []
    assert near("stranger", **tokyo) != []
    town.post(member=[{"member_id": "new"}])
    town.post({"type": "register", "member": "new", "event": "far0"})
    assert set(near("new")) == {"far1", "far2"}
    assert set(near("new", lat=91.0, lon=0.0)) == {"far1", "far2"}


def test_what_is_near_and_soon_stands_first(town):
    reply = town.rank("m1", explain=True, size=100).explanation
    found = [(i["sources"]["Near"], i["features"]) for i in reply["items"] if "Near" in i["sources"]]
    assert len(found) > 5
    for score, features in found:
        km = next(v for name, v in features.items() if name.endswith("_km"))
        assert score == pytest.approx(-(km + 2 * features["event_starts_at_until_h"] / 24), abs=0.01)
        assert km <= 50


def test_nothing_that_is_told_names_the_home_of_a_person(town, caplog, monkeypatch):
    """Neither replies and explanations, nor log lines, nor what fails."""
    lat, lon = 52.514_321, 13.398_765
    town.post(member=[{"member_id": "m1", "lat": lat, "lon": lon}])
    with caplog.at_level(logging.DEBUG):
        told = [
            town.rank("m1", explain=True, reasons=True, size=100),
            town.rank("m1", explain=True, reasons=True, context={"lat": lat, "lon": lon}),
        ]
        monkeypatch.setattr(Spots, "around", lambda self, lat, lon, **given: 1 / 0)
        failed = town.rank("m1", explain=True)
        told.append(failed)
    assert [d["part"] for d in failed.degraded] == ["Near"]
    assert "ZeroDivisionError" in caplog.text
    text = repr(told) + caplog.text
    assert "_km" in text
    for coordinate in (lat, lon):
        for digits in range(3, 7):
            assert f"{coordinate:.{digits}f}"[: 3 + digits] not in text.replace("-", "")


def test_a_personal_column_is_kept_back_from_explanations(town):
    member = town.project.tables["member"]
    kit = town.desk.kit
    plan = Plan((*kit.bundle.plan.features, w.column(member.lat)), kit.bundle.plan.roles)
    town.desk._kit = replace(kit, bundle=replace(kit.bundle, plan=plan))
    features = town.rank("m1", explain=True).explanation["items"][0]["features"]
    assert features["member_lat"] == "personal"


def test_people_are_told_roughly_how_far_it_is(town):
    reasons = {
        r.text for item in town.rank("m1", reasons=True, size=100).items for r in item.reasons if r.kind == "near"
    }
    assert reasons
    for text in reasons - {"near you"}:
        assert int(text.split()[1]) % 5 == 0
    assert {r.text for i in town.rank("m1", reasons=True).items for r in i.reasons if r.kind == "soon"} <= {"soon"}


def test_rows_of_the_background_are_only_of_what_is_to_come(town):
    spots = town.desk.kit.catalogue.indexes["Near"]
    scores = town.desk.kit.catalogue.lists["Upcoming"][1]
    assert (spots.times > town.now() - HOUR).all()
    assert (np.diff(scores) <= 0).all()
    assert (scores < 0).all()
