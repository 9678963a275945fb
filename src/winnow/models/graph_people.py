"""Vectors of people without torch: looked up, or worked out from neighbours for somebody new.

Shapes: N rows of a batch, P people of the snapshot, K neighbours, E size of a state's parts, D size of a vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.artefact import Artefact
from winnow.models.examples import Catalogue, Examples
from winnow.models.inputs import Inputs, item_feature
from winnow.models.retrieval import ItemInputs
from winnow.models.session import Session

VECTORS, STATES, PEOPLE = "people_vectors.npy", "people_states.npy", "people.npz"
PERSON, LAYERS = "person.onnx", "layers.onnx"


@dataclass(frozen=True)
class Sides:
    """Where a batch tells the two people of a pair.

    Args:
        ids: the categorical features that hold their rows; `` for none.
        friends: the sequences that hold whom they are tied to; `` for none.
    """

    ids: tuple[str, str]
    friends: tuple[str, str]

    @classmethod
    def of(cls, rows: Examples, friends: Sequence[str]) -> Self:
        """The features that hold the rows of who asks and of who is suggested."""
        asks = item_feature(replace(rows, item=rows.user))
        one, two = (*friends, "", "")[:2]
        return cls((asks, item_feature(rows)), (one, two))

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """What `to_data` gave."""
        return cls(tuple(data["ids"]), tuple(data["friends"]))

    def to_data(self) -> dict[str, list[str]]:
        """For `meta.json`."""
        return {"ids": list(self.ids), "friends": list(self.friends)}

    def without(self, rows: Examples) -> Examples:
        """Rows without who the two are: a model of pairs learns nobody by heart."""
        batch = rows.features
        names = {*batch.numeric_names, *batch.categorical, *batch.sequences} - set(self.ids)
        return replace(rows, features=replace(batch.only(names), training_only=batch.training_only))

    def columns(self, people: Catalogue) -> FeatureBatch:
        """What is known of people, without who they are, under names without their role."""
        kept = [n for n, values in people.features.categorical.items() if not np.array_equal(values, people.rows)]
        return self.named(people.features.only({*people.features.numeric_names, *kept}), 1)

    def named(self, batch: FeatureBatch, side: int) -> FeatureBatch:
        """The features that tell of one of the two: those that begin with its role, without it."""
        start = f"{self.ids[side]}_"
        numeric = tuple(n.removeprefix(start) for n in batch.numeric_names)
        return replace(batch, numeric_names=numeric, categorical={
            n.removeprefix(start): v for n, v in batch.categorical.items()
        })  # fmt: skip


@dataclass(frozen=True, eq=False)
class People:
    """Everybody that a release knows.

    Args:
        sides: where a batch tells who is who.
        own: how columns of people are read.
        tables: vectors float32 [P, D] and states float32 [P, 3E], mapped; which of the people were tied, bool [P].
        sessions: from columns to a state's first part, and from that and the mean state of neighbours to vectors.
        sizes: D, E and how many random columns there are.
    """

    sides: Sides
    own: Inputs
    tables: tuple[Floats, Floats, NDArray[np.bool_]]
    sessions: tuple[Session, Session]
    sizes: tuple[int, int, int]

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Self:
        """The people of an artefact."""
        mapped = [np.asarray(np.load(artefact.path(n), mmap_mode="r", allow_pickle=False)) for n in (VECTORS, STATES)]
        tables = (mapped[0], mapped[1], artefact.arrays(PEOPLE)["tied"])
        person, layers = (Session.open(artefact.path(n), threads=threads) for n in (PERSON, LAYERS))
        shape = artefact.fact("people")
        sizes = (int(shape["size"]), int(shape["state"]), int(shape["chance"]))
        sides = Sides.from_data(artefact.fact("sides"))
        return cls(sides, ItemInputs.open(artefact).inputs, tables, (person, layers), sizes)

    def vectors(self, batch: FeatureBatch, side: int) -> Floats:
        """Vectors of who asks (0) or of who is suggested (1), float32 [N, D]; those of people whom the snapshot tied
        to nobody are worked out from what the batch tells of them."""
        told = batch.categorical.get(self.sides.ids[side])
        rows = np.full(len(batch), -1) if told is None else np.broadcast_to(told, len(batch))
        vectors, _, tied = self.tables
        inside = (rows >= 0) & (rows < len(tied))
        known = inside & (tied[np.where(inside, rows, 0)] if len(tied) else False)
        found = np.empty((len(batch), self.sizes[0]), np.float32)
        found[known] = vectors[rows[known]]
        if not known.all():
            found[~known] = self.new(batch.take(~known), side)
        return found

    def new(self, batch: FeatureBatch, side: int) -> Floats:
        """Vectors of people from their columns and the states of those they are tied to, float32 [N, D]."""
        size, _, chance = self.sizes
        near, degree = self._near(batch, self.sides.friends[side])
        feeds = self.own.feed(self.sides.named(batch, side))
        feeds["numeric"] = np.pad(feeds["numeric"], ((0, 0), (0, chance)))
        own = self.sessions[0].run(feeds | {"degree": degree})
        return self.sessions[1].run({"own": own, "near": near})[:, :size]

    def _near(self, batch: FeatureBatch, name: str) -> tuple[Floats, Ints]:
        """The mean state of those whom each row of a batch is tied to, float32 [N, 3E], and how many there are."""
        states, recent = self.tables[1], batch.sequences.get(name)
        if recent is None or not len(states):
            return np.zeros((len(batch), 3 * self.sizes[1]), np.float32), np.zeros(len(batch), np.int64)
        rows = np.broadcast_to(recent.rows, (len(batch), recent.rows.shape[1]))
        there = (rows >= 0) & (rows < len(states))
        total = np.einsum("nke,nk->ne", states[np.where(there, rows, 0)], there.astype(np.float32))
        many = there.sum(axis=1)
        return (total / np.maximum(many, 1)[:, None]).astype(np.float32), many
