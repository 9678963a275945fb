"""Event recommendation on real registrations: the groups of a state on Meetup, replayed in time order.

At the moment of each registration everything that was announced and had not begun, and that the member had not
registered for, is put in order; right is what they register for within six hours of that moment. Until October 2014
the log trains, until April 2015 it tunes, what follows judges: mAP, MRR and recall@10 are means over choices with 95 %
intervals by resampling members. All rungs order the same lists; equal scores are put in an order drawn by a seed.

Three ways to look at them: every choice; the first of a member in a day, which what was just done says nothing about
(`opening`); and each member counting as one (`by member`), however often they registered.

What the files cannot tell is said by the importer (`winnow.data.importers.meetup`): announcements are taken from first
answers, so first answers are no choices here.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from winnow.core.system import System
from winnow.core.time import days, now_us, to_us
from winnow.data.split import TimeSplit
from winnow.evaluation.bootstrap import Resamples, difference, interval
from winnow.evaluation.replay import measured
from winnow.features.batch import FeatureBatch
from winnow.models.base import Ranker, Retriever, Run, load_scorer
from winnow.models.blend import Blend
from winnow.models.boosting import GradientBoosting
from winnow.models.dcn import DCN
from winnow.models.examples import Examples
from winnow.models.popularity import Popularity
from winnow.models.sequence_tower import SequenceTower
from winnow.models.two_tower import TwoTower
from winnow.project import Project
from winnow.training import dataset, replaying
from winnow.training.dataset import Dataset
from winnow.training.fit import user_side, wanted
from winnow.training.replaying import Replay

DATA = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "meetup_montana"
RESULTS = Path(__file__).parent / "results"
NAME, HEAD = "event_recommendation", "register"
SPLIT = TimeSplit(train_until="2014-10-01T00:00:00Z", valid_until="2015-04-01T00:00:00Z")
TREES, NET = GradientBoosting(learning_rate=0.05, heads=(HEAD,)), DCN(heads=(HEAD,))
RANKERS: dict[str, Ranker] = {"trees": TREES, "dcn": NET, "blend": Blend((NET, TREES), heads=(HEAD,))}
RETRIEVERS: dict[str, Retriever] = {
    "hosts by popularity": Popularity(half_life=days(30), by="event_group"),
    "two-tower, no ids": TwoTower(ids=False, epochs=10), "sequence tower, no ids": SequenceTower(ids=False, epochs=10),
}  # fmt: skip
WITHOUT: dict[str, tuple[str, ...]] = {
    "membership": ("_join_",), "the member's past": ("member_x_", "_match_", "_similarity_", "_deviation_"),
    "social proof": ("event_register_", "event_group_register", "event_venue_register"), "place": ("_km", "venue"),
    "time": ("starts_at", "created_at"), "content": ("event_text", "topics"),
}  # fmt: skip
Floats = NDArray[np.float64]
METRICS = ("map", "mrr", "recall@10")


@dataclass(frozen=True)
class Judged:
    """The test part as choices, and the features of every pair."""

    system: System
    data: Dataset
    found: Replay
    parts: list[FeatureBatch]

    def column(self, name: str) -> Floats:
        """A numeric feature of every pair."""
        return np.concatenate([part.column(name) for part in self.parts]).astype(np.float64)

    @cached_property
    def slices(self) -> dict[str, NDArray[np.bool_]]:
        """Name → bool by choice."""
        rows, train = self.found.rows, self.data.train
        group = self.data.state.column(self.system.labels.item, "group", rows.item, rows.at)
        known = self.data.state.column(self.system.labels.item, "group", train.item, train.at)
        opening = np.array([_opens(rows, place) for place in range(len(rows))])
        new = ~np.isin(rows.user, train.user)
        return {"all": np.ones(len(rows), np.bool_), "opening": opening, "new member": new, "known member": ~new,
                "new group": ~np.isin(group, known[train.labels[HEAD] > 0])}  # fmt: skip


def main(*arguments: str) -> None:
    """Imports, trains, judges; prints tables and one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks meetup")
    parser.add_argument("--seeds", type=int, default=3, help="of the models that draw; their scores are averaged")
    chosen = parser.parse_args(arguments)
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="winnow-") as temporary,
        Project.init(Path(temporary) / "p", NAME) as project,
    ):
        judged = built(project)
        scores = heuristics(judged) | retrieved(judged, Path(temporary)) | ranked(judged, Path(temporary), chosen.seeds)
        ablated = dict(ablations(judged, Path(temporary)))
    told = {name: figures(judged, s) for name, s in scores.items()}
    best = max((name for name in heuristics(judged)), key=lambda name: told[name]["all"]["map"][0])
    result = {
        "name": "meetup", "rungs": told, "sizes": sizes(judged), "best heuristic": best,
        "less the best heuristic": {n: apart(judged, scores[n], scores[best]) for n in RANKERS},
        "less the trees": {name: apart(judged, scores[name], scores["trees"]) for name in ("dcn", "blend")},
        "trees without": {n: {"figures": figures(judged, s)["all"], "less": apart(judged, s, scores["trees"])}
                          for n, s in ablated.items()},
        "seconds": round(time.perf_counter() - began, 1), "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "at": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip
    show(result)
    (RESULTS / f"meetup-{result['at']}.json").write_text(json.dumps(result, indent=1) + "\n")
    ours, peer = told["blend"]["all"]["map"][0], told[best]["all"]["map"][0]
    print(json.dumps({"name": "meetup", "ours": ours, "peer": peer, "ratio": round(ours / peer, 3),
                      "unit": f"mAP of a choice; peer: {best}", "sizes": result["sizes"]}))  # fmt: skip


def built(project: Project) -> Judged:
    """The imported log, cut in time, and every pair of the test part."""
    project.import_data("meetup", DATA, progress=False)
    project.history.sync(project.log)
    system, parts = project.system(NAME), list[FeatureBatch]()
    data = dataset.build(project, system, as_of=now_us(), split=SPLIT)
    chose = ~data.test.shown & (data.test.labels[HEAD] > 0)
    found = replaying.replayed(system, data, data.test.take(chose))

    def keep(batch: FeatureBatch) -> Any:
        parts.append(batch)
        return batch.numeric[:, :1]

    replaying.over(system, data, found, keep)
    return Judged(system, data, found, parts)


def _opens(rows: Examples, place: int) -> bool:
    """Whether a choice is the first of its member in a day."""
    before = (rows.user == rows.user[place]) & (rows.at < rows.at[place])
    return not bool((before & (rows.at >= rows.at[place] - to_us(days(1)))).any())


def heuristics(judged: Judged) -> dict[str, Floats]:
    """What can be said without learning."""
    column = judged.column
    there, soon, many = column("member_x_event_group_join_tied"), -column("event_starts_at_until_h"), column(
        "event_register_count_ever"
    )  # fmt: skip
    km = next(n for n in judged.data.plan.numeric_names if n.endswith("_km"))
    far = column(km)
    return {
        "chance": np.zeros(len(soon)), "popularity": many, "popularity, 30 days": column("event_register_count_30d"),
        "soonest": soon, "nearest": -np.where(far < 0, 1e5, far),
        "texts like those gone to": column("event_text_similarity_member_register_event_last20_mean"),
        "same group": there, "same group, nearest": there * 1e6 - np.where(far < 0, 1e5, far),
        "same group, soonest": there * 1e6 + soon, "same group, popular": there * 1e6 + many,
    }  # fmt: skip


def retrieved(judged: Judged, folder: Path) -> dict[str, Floats]:
    """What retrievers without ids find among what was alive."""
    system, data, scores = judged.system, judged.data, {}
    train, valid = (user_side(system, data, wanted(part)) for part in (data.train, data.valid))
    found = Replay(user_side(system, data, judged.found.rows), judged.found.asked)
    for name, model in RETRIEVERS.items():
        place = _folder(folder)
        model.fit(train, valid, data.catalogue, Run(place, threads=1, types={HEAD: "binary"}))
        scores[name] = replaying.products(system, data, found, place, threads=1).astype(np.float64)
    return scores


def ranked(judged: Judged, folder: Path, seeds: int) -> dict[str, Floats]:
    """What the rankers predict; nets draw their start, so theirs is the mean of several."""
    return {name: np.mean([_predicted(judged, model, folder, seed=seed)
                           for seed in range(1 if name == "trees" else seeds)], axis=0)
            for name, model in RANKERS.items()}  # fmt: skip


def ablations(judged: Judged, folder: Path) -> Iterator[tuple[str, Floats]]:
    """The trees without some of the features."""
    for name, parts in WITHOUT.items():
        kept = {n for n in judged.data.plan.names if not any(part in n for part in parts)}
        yield name, _predicted(judged, TREES, folder, only=lambda batch, kept=kept: batch.only(kept))


def _predicted(
    judged: Judged, model: Ranker, folder: Path, *, seed: int = 0,
    only: Callable[[FeatureBatch], FeatureBatch] = lambda batch: batch,
) -> Floats:  # fmt: skip
    place = _folder(folder)
    train, valid = (replace(part, features=only(part.features)) for part in (judged.data.train, judged.data.valid))
    model.fit(train, valid, Run(place, seed=seed, threads=1, types={HEAD: "binary"}))
    scorer = load_scorer(place, threads=1)
    return np.concatenate([scorer.score(only(part))[:, 0] for part in judged.parts]).astype(np.float64)


def _folder(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def figures(judged: Judged, scores: Floats) -> dict[str, dict[str, list[float]]]:
    """Slice → metric → mean over choices, low, high; `by member` is the mean over members of theirs."""
    values = measured(judged.found.asked, scores)
    users = judged.found.rows.user
    each = 1 / np.bincount(users)[users]
    drawn, even = Resamples.of(users), Resamples.of(users, each)
    told = {part: {m: _rounded(interval(drawn.means(np.where(mask, values[m], np.nan)))) for m in METRICS}
            for part, mask in judged.slices.items()}  # fmt: skip
    return told | {"by member": {m: _rounded(interval(even.means(values[m]))) for m in METRICS}}


def apart(judged: Judged, new: Floats, old: Floats) -> dict[str, dict[str, list[float]]]:
    """Slice → metric → paired difference, low, high."""
    drawn = Resamples.of(judged.found.rows.user)
    after, before = measured(judged.found.asked, new), measured(judged.found.asked, old)
    return {part: {m: _rounded(difference(*(drawn.means(np.where(mask, v[m], np.nan)) for v in (after, before))))
                   for m in METRICS} for part, mask in judged.slices.items()}  # fmt: skip


def sizes(judged: Judged) -> dict[str, Any]:
    """How much there is of everything."""
    asked, data = judged.found.asked, judged.data
    middle = [int(q) for q in np.quantile(asked.sizes, [0.1, 0.5, 0.9])]
    return {"choices": {part: int(mask.sum()) for part, mask in judged.slices.items()},
            "members": len(np.unique(asked.users)), "events to choose from, 10/50/90 %": middle,
            "rows": {"train": len(data.train), "valid": len(data.valid)},
            "choices that train": int((data.train.labels[HEAD] > 0).sum())}  # fmt: skip


def _rounded(values: Any) -> list[float]:
    return [round(float(v), 4) for v in values]


def show(result: Mapping[str, Any]) -> None:
    """The tables, for people."""
    console = Console(width=150)
    parts = ("all", "opening", "by member", "new member", "new group")
    for metric in METRICS:
        table = Table("rung", *parts, title=metric)
        for name, told in result["rungs"].items():
            table.add_row(name, *("{:.3f} [{:.3f}, {:.3f}]".format(*told[part][metric]) for part in parts))
        console.print(table)
    table = Table("trees without", *METRICS, title="less than with everything")
    for name, told in result["trees without"].items():
        table.add_row(name, *("{:+.3f} [{:+.3f}, {:+.3f}]".format(*told["less"]["all"][m]) for m in METRICS))
    console.print(table)
    console.print_json(json.dumps({k: result[k] for k in ("sizes", "seconds")}))
