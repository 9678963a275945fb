"""People you may know in a world whose truth is known: what the lists of every rung bring, and whom each source finds.

`python -m benchmarks acquaintance [FOLDER [PEOPLE]]`: FOLDER is that of `winnow demo FOLDER --system
people_you_may_know --no-serve`, made when it is not there. Everybody asks once, when the log has ended. Printed: the
true chance that a shown person who is looked at becomes a connection (mean over people, places weighted by how surely
they are looked at, 95 % interval over people) for each rung of the ranking ladder, for lists by friends in common, by
popularity, by chance and for the best there are; the same for the quarter of people with the fewest ties; and which
share of everybody's ten best each source has among its first fifty.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from winnow.models.base import load_scorer
from winnow.models.calibration import Calibration
from winnow.project import Project
from winnow.serving.bundle import Rung
from winnow.serving.gather import Gatherer
from winnow.serving.hydrate import hydrate
from winnow.serving.kit import Kit
from winnow.serving.request import RankRequest
from winnow.serving.trace import Trace
from winnow.simulation.acquaint_history import Past, best
from winnow.simulation.acquaint_world import AcquaintWorld
from winnow.simulation.importer import FILE
from winnow.simulation.visiting import interval, padded

SYSTEM = "people_you_may_know"
SIZE, FIRST = 10, 50


def main(folder: str = "", people: str = "400") -> None:
    """Prints one JSON object on its last line."""
    place = Path(folder or tempfile.mkdtemp()) / "network" if not folder else Path(folder)
    if not (place / FILE).exists():
        from winnow.cli.demonstration import run

        run(place, system=SYSTEM, port=0, serve=False, people=int(people), items=0)
    with Project(place) as project:
        print(json.dumps(_measured(project, AcquaintWorld.read(place / FILE))))


def _measured(project: Project, world: AcquaintWorld) -> dict[str, Any]:
    past = Past(world)
    for _ in past.events():
        pass
    ties, kit = past.ties, project.runtime.desk(SYSTEM).kit
    places = _places(project, world)
    lists = {name: _lists(_with(kit, rung), project, world, places=places) for name, rung in _rungs(project, kit)}
    allowed, rng = ties.open() & ~world.persons.hidden, world.rng(60)
    noise, known = rng.random(allowed.shape), ties.friends.sum(axis=1)
    truth = world.chances(np.arange(len(known))[:, None], np.arange(len(known)), ties.mutual)["accept"]
    scores = {"mutual friends": ties.mutual + 0.1 * noise, "popularity": known + noise, "chance": noise, "best": truth}
    lists |= {name: best(score, allowed, SIZE) for name, score in scores.items()}
    few = known <= np.quantile(known, 0.25)
    worth = {name: world.accepted(np.arange(len(known)), rows, ties) for name, rows in lists.items()}
    for name, value in worth.items():
        print(f"{name:24} {_told(value)}   few ties {_told(value[few])}")
    found = _recalls(kit, project, world, places=places, wanted=best(truth, allowed, SIZE), few=few)
    for name, (every, low) in found.items():
        print(f"{name:24} recall@{FIRST} {every:.3f}   few ties {low:.3f}")
    shares = {name: [round(float(v.mean()), 4), round(float(v[few].mean()), 4)] for name, v in worth.items()}
    return {"name": "acquaintance", "people": len(known), "few_ties": int(known[few].max(initial=0)),
            "accepted_and_of_few": shares, f"recall@{FIRST}_and_of_few": found}  # fmt: skip


def _told(values: Any) -> str:
    mean, low, high = interval(values)
    return f"{mean:.4f} [{low:.4f}, {high:.4f}]"


def _places(project: Project, world: AcquaintWorld) -> dict[int, int]:
    """Row of the log → row of the world."""
    rows = project.log.ids.rows("person", world.persons.ids)
    return {int(row): place for place, row in enumerate(rows.tolist())}


def _rungs(project: Project, kit: Kit) -> list[tuple[str, Rung]]:
    folder = project.registry.open(SYSTEM, kit.bundle.release).folder / "ranking"
    return [(p.name, Rung(p.name, load_scorer(p), Calibration.open(p))) for p in sorted(folder.iterdir()) if p.is_dir()]


def _with(kit: Kit, rung: Rung) -> Kit:
    heads = {head: weight if head in rung.heads else 0.0 for head, weight in kit.weights.items()}
    return replace(kit, bundle=replace(kit.bundle, rungs=(rung,)), weights=heads)


def _lists(kit: Kit, project: Project, world: AcquaintWorld, *, places: dict[int, int]) -> Any:
    gatherer, found = Gatherer(), []
    pipeline = replace(kit.system.pipeline, slate=())
    for person in world.persons.ids:
        query = hydrate(RankRequest(user=person, size=SIZE), kit, project.log.ids)
        query = replace(query, deadline=query.deadline + 60)
        shown = pipeline.execute(query, kit, gatherer=gatherer, trace=Trace()).shown
        found.append(np.array([places[int(row)] for row in shown.rows], np.int64))
    gatherer.close()
    return padded(found)


def _recalls(
    kit: Kit, project: Project, world: AcquaintWorld, *, places: dict[int, int], wanted: Any, few: Any
) -> dict[str, list[float]]:
    """Source → which share of everybody's best it has among its first, and of people with few ties."""
    hits = {source.name: np.zeros(len(wanted)) for source in kit.system.pipeline.sources}
    for place, person in enumerate(world.persons.ids):
        query = hydrate(RankRequest(user=person), kit, project.log.ids)
        for source in kit.system.pipeline.sources:
            rows, _ = source.propose(query, kit)
            ours = [places[int(row)] for row in rows[:FIRST]]
            hits[source.name][place] = np.isin(wanted[place], ours).mean()
    return {name: [round(float(v.mean()), 4), round(float(v[few].mean()), 4)] for name, v in hits.items()}
