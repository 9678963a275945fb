"""Puts a release together: fitted models, the vector index, what sources need, the plan and the declaration."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from winnow.core.declare import canonical, digest
from winnow.core.system import System
from winnow.core.time import parse_time
from winnow.data.split import TimeSplit
from winnow.evaluation.report import Record, pick
from winnow.models.artefact import Artefact
from winnow.models.picture_retrieval import PictureRetriever, load_picture_encoder
from winnow.releases.manifest import Manifest, Window
from winnow.releases.release import SYSTEM_FILE, Release, build
from winnow.retrieval import kinds
from winnow.training.dataset import Dataset, HistorySource
from winnow.training.fit import serving
from winnow.training.job import Job, copy_files
from winnow.training.stores import Stores

HEADLINE = ("auc", "ne", "map", "precision@10", "recall@20", "recall@100")


def assemble(
    stores: Stores, system: System, data: Dataset, *, job: Job, records: list[Record], seq: int, source: str
) -> Release:
    """A release from the finished steps of a job.

    Args:
        stores: the project.
        system: the declaration.
        data: what the models learned from.
        job: with `ranking/` and `retrieval/`.
        records: the evaluation.
        seq: how far the log was read.
        source: text of the system file.
    """
    with build(stores.registry.root, system.name) as draft:
        for part in ("ranking", "retrieval"):
            for step in sorted((job.folder / part).glob("*-*")):
                copy_files(step, draft.folder / part / step.name)
        chosen = {"ranking": serving(system.ranking), "retrieval": serving(system.retrieval)}
        encoder = _index(draft.folder, chosen["retrieval"])
        _sources(system, stores, draft.folder, before=job.as_of)
        (draft.folder / SYSTEM_FILE).write_text(source)
        (draft.folder / "declaration.json").write_text(canonical(system.to_data()))
        (draft.folder / "plan.json").write_text(canonical(data.plan.to_data()))
        (draft.folder / "evaluation.json").write_text(json.dumps(records))
        start = int(data.train.at.min(initial=0))
        return draft.finish(
            Manifest(
                system.name,
                system.hash,
                job.as_of,
                Window(start, parse_time(data.split.train_until), 0, seq),
                plan=data.plan.to_data(),
                models={"serving": chosen, "encoder": encoder, "split": cuts(data.split), "seconds": job.seconds()},
                metrics=headline(records),
                weights=dict(system.pipeline.value.weights),
            )
        )


def _index(folder: Path, name: str | None) -> str:
    """Builds the index of the serving retriever; returns the version of its encoder."""
    if name is None:
        return ""
    model = folder / "retrieval" / name
    vectors, rows = np.load(model / "item_vectors.npy"), np.load(model / "item_rows.npy")
    version = _version(model)
    kinds.build(vectors, rows, version).save(folder / "retrieval" / "index")
    return version


def _version(model: Path) -> str:
    """What the vectors of a retriever depend on."""
    artefact = Artefact.open(model)
    if artefact.fact("model") in PictureRetriever.known():
        return load_picture_encoder(model).version
    return digest(artefact.meta)


def _sources(system: System, stores: Stores, folder: Path, *, before: int) -> None:
    """Lets every source prepare what it serves with, from all that was known at a moment."""
    events = HistorySource(stores.history).events
    items = stores.log.ids.size(system.labels.item.name)
    for source in system.pipeline.sources:
        place = folder / "sources" / source.name
        place.mkdir(parents=True)
        source.prepare(place, events=events, items=items, before=before)
        if not any(place.iterdir()):
            place.rmdir()


def headline(records: list[Record]) -> dict[str, Any]:
    """The figures that lists of releases show: of the highest rung, over all rows."""
    chosen = [r for r in pick(records, slice="all", rung="L2") if r["metric"] in HEADLINE]
    return {f"{r['head']} {r['metric']}".strip(): round(r["value"], 4) for r in chosen if r["value"] is not None}


def cuts(split: TimeSplit) -> dict[str, int]:
    """Where a split cuts, as JSON data."""
    ends = {"train_until": split.train_until, "valid_until": split.valid_until, "test_until": split.test_until}
    return {name: parse_time(end) for name, end in ends.items() if end is not None}
