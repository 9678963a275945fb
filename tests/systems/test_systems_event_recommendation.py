"""Event recommendation through train, serve and rank, on a world whose truth is known."""

import re
import time

import numpy as np
import pytest

from winnow import systems
from winnow.core.errors import InputError
from winnow.core.time import days, now_us, to_us
from winnow.data.importers import load
from winnow.evaluation.report import pick
from winnow.features.declare import Column
from winnow.features.live import LiveReader
from winnow.project import Project
from winnow.serving.desk import Desk
from winnow.serving.gather import Gatherer
from winnow.serving.ingester import LIVE
from winnow.serving.renew import Renewal
from winnow.serving.request import RankRequest
from winnow.simulation.event_history import event_log
from winnow.simulation.event_world import EventSize, EventWorld
from winnow.simulation.importer import FILE, EventsImporter
from winnow.simulation.policies import best
from winnow.simulation.visiting import interval

NAME, SIZE = "event_recommendation", 10
WORLD = EventSize(members=250, groups=40, events=900, topics=8, days=9, impressions=18_000)
PEOPLE = 60


def quick_system():
    """The system in the box with models that train in seconds, and a deadline that a busy machine meets."""
    text = systems.source(NAME).replace("p99=ms(200)", "p99=ms(5000)")
    rungs = {
        "retrieval": 'L0=w.Popularity(by="event_group"), L1=w.Popularity(), L2=w.TwoTower(ids=False, epochs=2)',
        "ranking": 'L0=w.Formula("event_group_register_rate_ever"), L1=w.Formula("event_register_rate_ever"), '
        "L2=w.GradientBoosting(epochs=80, learning_rate=0.1)",
    }
    for name, ladder in rungs.items():
        text, times = re.subn(rf"{name} = w\.Ladder\((?:.|\n)*?\)\n(?=\w|\n)", f"{name} = w.Ladder({ladder})\n", text)
        assert times == 1
    return text


@pytest.fixture(scope="module")
def fair(tmp_path_factory):
    """A trained project, its world, and who is going to what."""
    folder = tmp_path_factory.mktemp("fair") / "fair"
    Project.init(folder, NAME).system_files[0].write_text(quick_system())
    world = EventWorld.make(WORLD, until=now_us() - 30_000_000, seed=2)
    world.write(folder / FILE)
    with Project(folder) as project:
        assert load(EventsImporter(), folder, project.intake, progress=False).total.quarantined == 0
        outcome = project.train(NAME, threads=1)
        yield project, world, event_log(world)[1], outcome.records


def ranked(project, world, people, **options):
    lists = np.full((len(people), SIZE), -1)
    for row, person in zip(lists, people, strict=True):
        reply = project.rank(NAME, user=world.members.ids[person], size=SIZE, **options)
        assert not reply["degraded"]
        row[: len(reply["items"])] = [world.event_rows[item["id"]] for item in reply["items"]]
    return lists


def test_its_file_is_short_and_learns_no_single_event():
    text = systems.source(NAME)
    assert len(text.splitlines()) <= 120
    assert "w.column(event)" not in text


def test_lists_are_worth_more_than_what_is_popular_or_near(fair):
    project, world, going, _ = fair
    people = world.rng(70).permutation(len(world.members))[:PEOPLE]
    lists, at = ranked(project, world, people), np.full(PEOPLE, now_us())
    free = world.open(people, at, going)

    def worth(score):
        return world.list_value(people, best(np.where(free, score, -np.inf), SIZE, None), going)

    truth = world.chances(people, going)
    popular, near = worth(going.sum(axis=0) * np.ones((PEOPLE, 1))), worth(-world.km[people])
    value, low, _ = interval(world.list_value(people, lists, going))
    print(value, low, popular.mean(), near.mean(), worth(truth).mean())
    assert low > 1.3 * max(popular.mean(), near.mean())
    assert value < worth(truth).mean()
    assert (np.take_along_axis(free, np.maximum(lists, 0), axis=1) | (lists < 0)).all()
    assert (lists >= 0).all()


def test_the_ladder_rises_on_impressions_and_is_judged_among_living_events(fair):
    *_, records = fair
    auc = {r["rung"]: r["value"] for r in pick(records, stage="ranking", head="register", metric="auc", slice="all")}
    assert auc["L2"] > auc["L0"] + 0.05
    assert {r["rung"] for r in pick(records, stage="retrieval", metric="recall@10")} == {"L0", "L1", "L2"}


def test_what_changes_about_an_event_counts_at_once(fair):
    """Cancelled, full, begun: gone from the list; the rest of the row stays as it was."""
    project, world, *_ = fair
    person = world.members.ids[3]
    first = [item["id"] for item in project.rank(NAME, user=person, size=SIZE)["items"]]
    changes = [{"cancelled": True}, {"capacity": 0}, {"starts_at": now_us() - 1}]
    for one, change in zip(first, changes, strict=False):
        project.intake.rows("event", [{"event_id": one, **change}])
    deadline = time.monotonic() + 30
    while shown := {i["id"] for i in project.rank(NAME, user=person, size=SIZE)["items"]} & set(first[:3]):
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)


def test_when_everything_is_over_lists_are_empty_and_nothing_breaks(fair):
    project, world, *_ = fair
    project.rank(NAME, user=world.members.ids[0])  # live state follows the log
    later, system, ids, gatherer = now_us() + to_us(days(365)), project.system(NAME), project.log.ids, Gatherer()
    live = LiveReader(project.folder / LIVE, encodings=project.encodings)
    renewal = Renewal(system, registry=project.registry, live=live, ids=ids, clock=lambda: later)
    desk = Desk(system, renewal, ids, gatherer=gatherer, clock=lambda: later)
    desk.refresh()
    reply = desk.rank(RankRequest(user=world.members.ids[0], size=SIZE))
    gatherer.close()
    assert reply.items == []
    assert not reply.degraded


def test_somebody_new_gets_a_list_and_a_traveller_what_is_near_there(fair):
    project, world, *_ = fair
    assert len(project.rank(NAME, user="nobody-yet", size=SIZE)["items"]) == SIZE
    hall = world.events.venues[world.events.alive(np.array([now_us()]))[0].argmax()]
    lat, lon = float(world.hosts.lat[hall]), float(world.hosts.lon[hall])
    there = project.rank(NAME, user="nobody-yet", size=SIZE, context={"lat": lat, "lon": lon})["items"]
    apart = np.hypot(world.hosts.lat - lat, world.hosts.lon - lon)
    halls = [world.events.venues[world.event_rows[item["id"]]] for item in there]
    assert np.median(apart[halls]) < np.median(apart)
    with pytest.raises(InputError, match="unknown-context"):
        project.rank(NAME, user="nobody-yet", context={"town": "x"})


def test_no_feature_is_an_events_own_id(fair):
    project, *_ = fair
    columns = [f for f in project.system(NAME).features if isinstance(f, Column)]
    assert columns
    assert not [f for f in columns if f.names == ("event",)]


def test_explanations_say_how_far_and_when(fair):
    project, world, *_ = fair
    reply = project.explain(NAME, user=world.members.ids[5], size=3)
    told = str(reply["explanation"])
    assert "event_starts_at_until_h" in told
    assert "RoomLeft" in told
