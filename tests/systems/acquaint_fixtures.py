"""A trained network of people, made once per test run, and a desk over a copy of it."""

import re
import shutil
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from winnow import systems
from winnow.core.time import now_us
from winnow.data.importers import load
from winnow.features.live import Caps, LiveReader
from winnow.project import Project
from winnow.serving.desk import Desk
from winnow.serving.gather import Gatherer
from winnow.serving.hydrate import hydrate
from winnow.serving.ingester import LIVE, Ingester
from winnow.serving.renew import Renewal
from winnow.serving.request import RankRequest
from winnow.simulation.acquaint_world import AcquaintSize, AcquaintWorld
from winnow.simulation.importer import FILE, AcquaintImporter

NAME = "people_you_may_know"
SIZE = AcquaintSize(people=220, days=30)
_made, _numbers = {}, count()


def quick_people():
    """The system in the box with models that train in seconds, and a deadline that a busy machine meets."""
    text = systems.source(NAME).replace("p99=ms(200)", "p99=ms(8000)").replace("within=days(7)", "within=days(2)")
    rungs = {
        "retrieval": "L0=w.Popularity(), L1=w.Popularity(), L2=w.TwoTower(epochs=1)",
        "ranking": "L0=mutual, L1=mutual, L2=w.GradientBoosting(epochs=60, learning_rate=0.1)",
    }
    for name, ladder in rungs.items():
        text, times = re.subn(rf"{name} = w\.Ladder\(.*\)\n", f"{name} = w.Ladder({ladder})\n", text)
        assert times == 1
    return text


def build(folder, size=SIZE, seed=5):
    """A trained project over a world."""
    Project.init(folder, NAME).system_files[0].write_text(quick_people())
    with Project(folder) as project:
        AcquaintWorld.make(size, until=now_us() - 60_000_000, seed=seed).write(folder / FILE)
        assert load(AcquaintImporter(), folder, project.intake, progress=False).total.quarantined == 0
        return project.train(NAME, threads=1)


@pytest.fixture(scope="session")
def people_template(tmp_path_factory):
    """A trained project; not to be changed."""
    if "folder" not in _made:
        folder = tmp_path_factory.mktemp("people") / "people"
        _made["outcome"] = build(folder)
        _made["folder"] = folder
    return _made["folder"]


@pytest.fixture
def people_folder(people_template, tmp_path):
    """A trained project of one's own."""
    shutil.copytree(people_template, tmp_path / "people")
    return tmp_path / "people"


@pytest.fixture(scope="session")
def people_outcome(people_template):
    """What training said."""
    return _made["outcome"]


class People:
    """A project with its ingester and a desk; `post` returns when what is posted is in live state."""

    def __init__(self, folder, *, pairs=1 << 16):
        self.project, self.number = Project(folder), 0
        self.gatherer, self.system = Gatherer(), self.project.system(NAME)
        self.ingester = Ingester(
            self.project.log, folder / LIVE, self.project.systems.values(), tables=self.project.tables.values(),
            rows=50_000, caps=Caps(rows=1 << 12, pairs=pairs), encodings=self.project.encodings,
        )  # fmt: skip
        self.post()
        live, self.ids = LiveReader(folder / LIVE, encodings=self.project.encodings), self.project.log.ids
        renewal = Renewal(self.system, registry=self.project.registry, live=live, ids=self.ids, folder=folder)
        self.desk = Desk(self.system, renewal, self.ids, gatherer=self.gatherer)
        self.desk.refresh()

    def post(self, *events, person=()):
        """Puts people and events in, and waits until live state has them."""
        if person:
            self.project.intake.rows("person", list(person))
        if events:
            self.number += 1
            given = [{"event_id": f"t{self.number}-{i}", **e} for i, e in enumerate(events)]
            assert self.project.intake.events(given).accepted == len(given)
        while self.ingester.step():
            pass

    def rank(self, user, **options):
        return self.desk.rank(RankRequest(user=user, **options))

    def shown(self, user, **options):
        """Ids in order; nothing may have failed."""
        reply = self.rank(user, **options)
        assert reply.degraded == []
        return [item.id for item in reply.items]

    def query(self, user, **given):
        return replace(hydrate(RankRequest(user=user), self.desk.kit, self.ids), **given)

    def source(self, name):
        return next(s for s in self.system.pipeline.sources if s.name == name)

    def proposed(self, name, user, **given):
        """Ids that a source proposes, best first."""
        rows, scores = self.source(name).propose(self.query(user, **given), self.desk.kit)
        assert (np.diff(scores.astype(np.float64)) <= 1e-6).all()
        assert len(np.unique(rows)) == len(rows)
        return self.ids.ids("person", rows)

    def told(self, name, user, *others):
        rows = self.ids.rows("person", list(others))
        return [t.text for t in self.source(name).tell(rows, self.query(user), self.desk.kit)]

    def close(self):
        self.gatherer.close()
        self.ingester.close()
        self.project.close()


@contextmanager
def opened(folder, **options):
    people = People(folder, **options)
    try:
        yield people
    finally:
        people.close()


@pytest.fixture(scope="module")
def people(people_template, tmp_path_factory):
    """One network for the tests of a module: whom they write about has a name of their own."""
    folder = tmp_path_factory.mktemp("people") / "people"
    shutil.copytree(people_template, folder)
    with opened(folder) as found:
        yield found


def names(many):
    """Ids that no other test knows."""
    number = next(_numbers)
    return [f"p{number}-{i}" for i in range(many)]


def a_person(name, **more):
    return {"person_id": name, "joined_at": now_us() - 86_400_000_000, "hidden": False, "private_ties": False} | more


def tie(kind, one, other, **more):
    return {"type": kind, "person": one, "candidate": other, **more}
