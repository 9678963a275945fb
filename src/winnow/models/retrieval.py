"""What retrievers have in common: which rows are positive, the files of the encoded catalogue, the encoders."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.artefact import Artefact
from winnow.models.base import ItemEncoder, QueryEncoder, Run, chosen_heads
from winnow.models.examples import Examples
from winnow.models.inputs import FILE, Inputs, Numerics, Vocabulary
from winnow.models.session import Session

VECTORS, ROWS = "item_vectors.npy", "item_rows.npy"
USER, ITEM = "user_tower.onnx", "item_tower.onnx"
ITEM_INPUTS = "item_inputs.npz"
_AT_ONCE = 2_048


def positives(examples: Examples, heads: tuple[str, ...], run: Run) -> Ints:
    """Rows in which any of the outcomes happened (every binary head when none is named), int64 [P]."""
    types = chosen_heads(heads, examples, run)
    happened = [examples.labels[h] > 0 for h, t in types.items() if heads or t == "binary"]
    return np.flatnonzero(np.any(happened, axis=0)) if happened else np.empty(0, np.int64)


def write_items(folder: Path, rows: Ints, vectors: Floats) -> None:
    """The encoded catalogue: float32 [I, D] and int64 [I]."""
    np.save(folder / VECTORS, np.ascontiguousarray(vectors, np.float32))
    np.save(folder / ROWS, rows.astype(np.int64))


class ItemInputs:
    """How the item tower reads items: `id` int64 [I] (0 for unknown ones), `numeric` [I, F], `cat|<name>`."""

    def __init__(self, ids: Vocabulary, inputs: Inputs):
        self.ids, self.inputs = ids, inputs

    def feed(self, batch: FeatureBatch, rows: Ints) -> dict[str, NDArray[Any]]:
        """Arrays of I items."""
        return self.inputs.feed(batch) | {"id": self.ids.apply(rows)}

    def save(self, folder: Path) -> dict[str, object]:
        """Write `item_inputs.npz`; returns the facts for `meta.json`."""
        tables = {f"vocabulary|{n}": v.table for n, v in self.inputs.vocabularies.items()}
        numerics = self.inputs.numerics
        np.savez(folder / ITEM_INPUTS, x=numerics.x, z=numerics.z, ids=self.ids.table, **tables)  # type: ignore[arg-type]
        return {"numeric": list(numerics.names), "widths": dict(self.inputs.widths)}

    @classmethod
    def open(cls, artefact: Artefact) -> "ItemInputs":
        """What `save` wrote."""
        facts, stored = artefact.fact("item_inputs"), artefact.arrays(ITEM_INPUTS)
        tables = {k.partition("|")[2]: Vocabulary(v) for k, v in stored.items() if k.startswith("vocabulary|")}
        numerics = Numerics(tuple(facts["numeric"]), stored["x"], stored["z"])
        return cls(Vocabulary(stored["ids"]), Inputs(numerics, tables, facts["widths"]))


def open_query(artefact: Artefact, threads: int) -> QueryEncoder:
    """The user tower of an artefact."""
    inputs, session = Inputs.open(artefact), Session.open(artefact.path(USER), threads=threads)
    size = int(artefact.fact("size"))

    def encode(batch: FeatureBatch) -> Floats:
        parts = [batch.take(slice(i, i + _AT_ONCE)) for i in range(0, len(batch), _AT_ONCE)]
        vectors = [session.run(query_feed(inputs, p)) for p in parts]
        return np.concatenate(vectors) if vectors else np.zeros((0, size), np.float32)

    return encode


def open_items(artefact: Artefact, threads: int) -> ItemEncoder:
    """The item tower of an artefact."""
    inputs, session = ItemInputs.open(artefact), Session.open(artefact.path(ITEM), threads=threads)
    size = int(artefact.fact("size"))

    def encode(batch: FeatureBatch, rows: Ints) -> Floats:
        return session.run(inputs.feed(batch, rows)) if len(rows) else np.zeros((0, size), np.float32)

    return encode


def query_feed(inputs: Inputs, batch: FeatureBatch) -> dict[str, NDArray[Any]]:
    """Arrays of N users, each with a history of its own."""
    feeds = inputs.feed(batch)
    rows = len(batch)
    return {k: np.broadcast_to(a, (rows, *a.shape[1:])) if k.startswith("seq|") else a for k, a in feeds.items()}


FILES = [USER, ITEM, FILE, ITEM_INPUTS, VECTORS, ROWS]
