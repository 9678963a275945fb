"""L0 of retrieval by text: one encoder reads both sides, and nothing is trained."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.features.declare import Feature
from winnow.features.embedding import Embed
from winnow.models.artefact import Artefact
from winnow.models.base import ItemEncoder, QueryEncoder, Retriever, Run
from winnow.models.examples import Catalogue, Examples
from winnow.models.retrieval import ROWS, VECTORS, write_items


@dataclass(frozen=True)
class SameSpace(Retriever):
    """Items by the cosine of their text with what was asked, both read by the same encoder; needs no examples.

    Args:
        text: the embedding of a text of who asks.
        items: embeddings of columns of the items, as long as `text`; an item's vector is the mean of those it has.
    """

    text: Embed
    items: tuple[Embed, ...] = field(kw_only=True)

    @property
    def reads(self) -> tuple[Feature, ...]:
        return (self.text, *self.items)

    def fit(self, train: Examples, valid: Examples, catalogue: Catalogue, run: Run) -> None:
        facts: dict[str, Any] = {"text": list(self.text.names), "items": [list(e.names) for e in self.items]}
        write_items(run.folder, catalogue.rows, _mean(catalogue.features, facts["items"]))
        Artefact.write(run.folder, model="SameSpace", files=[VECTORS, ROWS], declared=self.to_data(), **facts)

    @classmethod
    def query_encoder(cls, artefact: Artefact, threads: int) -> QueryEncoder:
        names = artefact.fact("text")
        return lambda batch: _known(_mean(batch, [names]))

    @classmethod
    def item_encoder(cls, artefact: Artefact, threads: int) -> ItemEncoder:
        names = artefact.fact("items")

        def encode(batch: FeatureBatch, rows: Ints) -> Floats:
            return _mean(batch, names)

        return encode


def _mean(batch: FeatureBatch, groups: list[list[str]]) -> Floats:
    """The mean of several vectors of each row, of length 1, float32 [N, D]; zeros where there is none."""
    place = {name: column for column, name in enumerate(batch.numeric_names)}
    total = np.zeros((len(batch), len(groups[0])), np.float64)
    for names in groups:
        if all(name in place for name in names):
            total += _unit(batch.numeric[:, [place[name] for name in names]].astype(np.float64))
    return np.asarray(_unit(total), np.float32)


def _unit(vectors: Any) -> Any:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def _known(vectors: Floats) -> Floats:
    """NaN for a query without a vector: nothing is near it."""
    vectors[~vectors.any(axis=1)] = np.nan
    return vectors
