"""L0 of retrieval: what many wanted lately, the same for everyone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np

from winnow.core.errors import InputError, Problem, did_you_mean
from winnow.core.time import days, to_us
from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.artefact import Artefact
from winnow.models.base import ItemEncoder, QueryEncoder, Retriever, Run
from winnow.models.examples import Catalogue, Examples
from winnow.models.retrieval import ROWS, VECTORS, positives, write_items


@dataclass(frozen=True)
class Popularity(Retriever):
    """Positive outcomes that count half as much after every half-life, as a space of one dimension.

    Args:
        half_life: time in which an outcome loses half its weight.
        heads: a row is positive when any of these outcomes happened; empty for every binary head.
        by: name of an item-side category (`event_group`) whose values share what they earn, for items that do not live
            long enough to earn anything themselves; empty for each item alone.
    """

    half_life: timedelta = field(default_factory=lambda: days(2))
    heads: tuple[str, ...] = ()
    by: str = ""

    def to_data(self) -> dict[str, Any]:
        data = super().to_data()
        return {k: v for k, v in data.items() if k != "by" or v}

    def problems(self, system: Any) -> Iterator[Problem]:
        known = [n for f in system.features if f.type == "categorical" and f.static for n in f.names]
        if self.by and self.by not in known:
            what, why = f"no category of items `{self.by}`", "training would fail after everything before it"
            yield Problem("unknown-feature", what, self.where, why, did_you_mean(self.by, known))

    def fit(self, train: Examples, valid: Examples, catalogue: Catalogue, run: Run) -> None:
        if not len(train):
            raise InputError(Problem("no-examples", "there are no rows to learn from", fix="import or collect a log"))
        chosen = positives(train, self.heads, run)
        age = (train.at.max() - train.at[chosen]) / to_us(self.half_life)
        places = _places(self.by, catalogue.features, catalogue.rows)
        of = np.full(int(max(catalogue.rows.max(initial=0), train.item.max())) + 1, -1)
        of[catalogue.rows] = places
        chose = of[train.item[chosen]] if self.by else train.item[chosen]
        weight = (train.weight[chosen] * 0.5**age)[chose >= 0]
        size = int(max(places.max(initial=0), chose.max(initial=0))) + 1
        counts = np.bincount(chose[chose >= 0], weights=weight, minlength=size).astype(np.float32)
        np.save(run.folder / "counts.npy", counts)
        write_items(run.folder, catalogue.rows, _standing(counts, places))
        Artefact.write(run.folder, model="Popularity", files=["counts.npy", VECTORS, ROWS], size=1, by=self.by)

    @classmethod
    def query_encoder(cls, artefact: Artefact, threads: int) -> QueryEncoder:
        return lambda batch: np.ones((len(batch), 1), np.float32)

    @classmethod
    def item_encoder(cls, artefact: Artefact, threads: int) -> ItemEncoder:
        counts: Floats = np.load(artefact.path("counts.npy"), allow_pickle=False)
        by = str(artefact.meta.get("by", ""))
        return lambda batch, rows: _standing(counts, _places(by, batch, rows))


def _places(by: str, batch: FeatureBatch, rows: Ints) -> Ints:
    """What items earn under, int64 [I]: their own row, or the value of a category."""
    return batch.categorical[by] if by else rows


def _standing(counts: Floats, places: Ints) -> Floats:
    """Vectors of one number, float32 [I, 1]; 0 for places that earned nothing."""
    known = (places >= 0) & (places < len(counts))
    return np.where(known, counts[np.where(known, places, 0)], 0)[:, None].astype(np.float32)
