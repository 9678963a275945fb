"""L0 of retrieval: what many wanted lately, the same for everyone."""

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from winnow.core.errors import InputError, Problem
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
    """

    half_life: timedelta = field(default_factory=lambda: days(2))
    heads: tuple[str, ...] = ()

    def fit(self, train: Examples, valid: Examples, catalogue: Catalogue, run: Run) -> None:
        if not len(train):
            raise InputError(Problem("no-examples", "there are no rows to learn from", fix="import or collect a log"))
        chosen = positives(train, self.heads, run)
        age = (train.at.max() - train.at[chosen]) / to_us(self.half_life)
        size = int(max(catalogue.rows.max(initial=0), train.item.max())) + 1
        counts = np.bincount(train.item[chosen], weights=train.weight[chosen] * 0.5**age, minlength=size)
        np.save(run.folder / "counts.npy", counts.astype(np.float32))
        write_items(run.folder, catalogue.rows, counts[catalogue.rows].astype(np.float32)[:, None])
        Artefact.write(run.folder, model="Popularity", files=["counts.npy", VECTORS, ROWS], size=1)

    @classmethod
    def query_encoder(cls, artefact: Artefact, threads: int) -> QueryEncoder:
        return lambda batch: np.ones((len(batch), 1), np.float32)

    @classmethod
    def item_encoder(cls, artefact: Artefact, threads: int) -> ItemEncoder:
        counts: Floats = np.load(artefact.path("counts.npy"), allow_pickle=False)

        def encode(batch: FeatureBatch, rows: Ints) -> Floats:
            known = (rows >= 0) & (rows < len(counts))
            return np.where(known, counts[np.where(known, rows, 0)], 0)[:, None].astype(np.float32)

        return encode
