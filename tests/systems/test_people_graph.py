"""A network of people whose ladders learn from the graph itself: trained, opened again, and asked."""

import re

import numpy as np
import pytest
from acquaint_fixtures import FILE, NAME, SIZE, AcquaintImporter, AcquaintWorld, People, quick_people
from staged import opened

from winnow.core.time import now_us
from winnow.data.importers import load
from winnow.models.artefact import Artefact
from winnow.models.base import load_scorer
from winnow.project import Project
from winnow.training.dataset import build

pytestmark = pytest.mark.heavy


def learning_from_the_graph():
    """The quick system, with models of the graph at the top of both ladders."""
    text = quick_people()
    rungs = {
        "retrieval": "L0=w.Popularity(), L1=w.Popularity(), L2=w.GraphVectors(bond=friends, epochs=2)",
        "ranking": "L0=mutual, L1=mutual, L2=w.GraphSage(bond=friends, epochs=2)",
    }
    for name, ladder in rungs.items():
        text, times = re.subn(rf"{name} = w\.Ladder\(.*\)\n", f"{name} = w.Ladder({ladder})\n", text)
        assert times == 1
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph") / "people"
    Project.init(folder, NAME).system_files[0].write_text(learning_from_the_graph())
    with Project(folder) as project:
        AcquaintWorld.make(SIZE, until=now_us() - 60_000_000, seed=5).write(folder / FILE)
        assert load(AcquaintImporter(), folder, project.intake, progress=False).total.quarantined == 0
        project.train(NAME, threads=1)
    return folder


def test_the_graph_of_training_holds_what_was_known_when_it_ended(folder):
    with Project(folder) as project:
        system = project.system(NAME)
        data = build(project, system, as_of=now_us())
        made, ended = (project.history.events(e).collect() for e in ("connect", "disconnect"))
        before = data.train.web.graph.as_of
        held = {}
        for frame, standing in ((made, True), (ended, False)):
            known = frame.filter(frame["known_at"] < before)
            for one, two, at in known.select("person", "candidate", "at").iter_rows():
                pair = min(one, two), max(one, two)
                held[pair] = max(held.get(pair, (-1, True)), (at, not standing))
        expected = {pair: at for pair, (at, gone) in held.items() if not gone}
        low, high, at = (a.tolist() for a in data.train.web.graph.pairs())
        assert len(expected) > 100
        assert dict(zip(zip(low, high, strict=True), at, strict=True)) == expected
        assert data.test.web is data.train.web


def test_people_are_told_by_their_columns_and_ties_and_by_nothing_else(folder):
    (made,) = folder.glob("releases/*/*/ranking/L2-GraphSage")
    artefact = Artefact.open(made)
    assert artefact.fact("sides")["ids"] == ["person", "candidate"]
    read = set(artefact.fact("inputs")["widths"]) | set(artefact.fact("item_inputs")["widths"])
    assert not {"person", "candidate"} & read
    assert {"school", "work", "town"} <= set(artefact.fact("item_inputs")["widths"])
    assert load_scorer(made).heads


def test_it_serves(folder):
    with opened(People, folder) as people:
        (who,) = people.ids.ids("person", np.array([3]))
        shown = people.shown(who, size=10)
        assert len(shown) == 10
        assert who not in shown
        (vectors,) = folder.glob("releases/*/*/retrieval/L2-GraphVectors/item_vectors.npy")
        assert np.isfinite(np.load(vectors)).all()
        people.post(person=[{"person_id": "newcomer"}])
        assert len(people.shown("newcomer", size=5)) == 5
