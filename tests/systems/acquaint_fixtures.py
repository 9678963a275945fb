"""A trained network of people, made once per test run, and a desk over a copy of it."""

import shutil
from itertools import count

import pytest
from staged import Staged, opened, with_rungs

from winnow import systems
from winnow.core.time import now_us
from winnow.data.importers import load
from winnow.project import Project
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
    return with_rungs(text, rungs)


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


class People(Staged):
    """A network that is served."""

    system_name = NAME

    def __init__(self, folder, **options):
        super().__init__(folder, rows=1 << 12, **options)

    def told(self, name, user, *others):
        rows = self.ids.rows("person", list(others))
        return [t.text for t in self.source(name).tell(rows, self.query(user), self.desk.kit)]


@pytest.fixture(scope="module")
def people(people_template, tmp_path_factory):
    """One network for the tests of a module: whom they write about has a name of their own."""
    folder = tmp_path_factory.mktemp("people") / "people"
    shutil.copytree(people_template, folder)
    with opened(People, folder) as found:
        yield found


def names(many):
    """Ids that no other test knows."""
    number = next(_numbers)
    return [f"p{number}-{i}" for i in range(many)]


def a_person(name, **more):
    return {"person_id": name, "joined_at": now_us() - 86_400_000_000, "hidden": False, "private_ties": False} | more


def tie(kind, one, other, **more):
    return {"type": kind, "person": one, "candidate": other, **more}
