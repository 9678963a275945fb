"""Retrieval between items by what they are: those that share categories and lie near in numbers.

I items, F features, D numbers in a vector.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem, did_you_mean
from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.artefact import Artefact
from winnow.models.base import ItemEncoder, Run
from winnow.models.examples import Catalogue
from winnow.models.hashing import keys
from winnow.models.item_retrieval import ItemRetriever, places
from winnow.models.retrieval import ROWS, VECTORS, write_items
from winnow.models.sessions import Journeys, Sessions

_CODE = 24  # numbers by which a category is told from another
_WAVES = (1.0, 2.0, 4.0)
_KNOTS = 257
_FACTS = "knots.npz"
_WINDOW = 5  # steps to either side
_PAIRS, _DRAWN = 5_000, 40
_SCALE = 2.0  # of declared weights, as log-odds
_PULL, _ROUNDS = 0.1, 200


@dataclass(frozen=True)
class Attributes(ItemRetriever):
    """The likeness of two items is a weighted sum over features, each between -1 and 1, written as an inner product.

    A category counts 1 where both have the same value and about 0 otherwise: each value has a random code of unit
    length. Of several values the codes are averaged. A number counts the mean of cos(pi k d) for k = 1, 2, 4, where d
    is how far apart two items are in the order of that number: 1 for the same, 0 for two a quarter of all items apart.
    An embedding counts its cosine. What an item does not say, counts nothing.

    Without sessions the weights are those declared, and there is nothing to fit: L0. With sessions they are where
    learning begins: the weights are found with which what was looked at together, or chosen in the end, stands out
    against items drawn at random, by regression that is held near the declared ones. So few numbers can be learned from
    little, and an item that nobody has seen has its vector at once.

    Args:
        same: categorical feature → weight.
        near: numeric feature → weight.
        like: embedded text, named as its features without their number (`listing_text`) → weight.
        sessions: what the weights are learned from; None keeps them.

    Source: Rahimi and Recht, "Random features for large-scale kernel machines", NIPS 2007, with chosen frequencies.
    """

    same: Mapping[str, float] = field(kw_only=True, default_factory=dict, hash=False)
    near: Mapping[str, float] = field(kw_only=True, default_factory=dict, hash=False)
    like: Mapping[str, float] = field(kw_only=True, default_factory=dict, hash=False)
    sessions: Sessions | None = field(kw_only=True, default=None)

    @property
    def learns_from(self) -> Sessions | None:
        return self.sessions

    def learn(self, train: Journeys, valid: Journeys, catalogue: Catalogue, run: Run) -> None:
        code = Code.fit(self, catalogue.features)
        if self.sessions is not None and len(train):
            code = code.weighted(_learned(code, train, catalogue, run))
        code.save(run)
        write_items(run.folder, catalogue.rows, code.apply(catalogue.features))
        facts = {part: dict(getattr(code, part)) for part in ("same", "near", "like")} | {"size": code.size}
        Artefact.write(run.folder, model="Attributes", files=[_FACTS, VECTORS, ROWS], **facts)

    @classmethod
    def item_encoder(cls, artefact: Artefact, threads: int) -> ItemEncoder:
        code = Code.open(artefact)
        return lambda batch, rows: code.apply(batch)


@dataclass(frozen=True, eq=False)
class Code:
    """Features of items → vectors.

    Args:
        same, near, like: as declared.
        knots: numeric feature → its values at even steps of the order, float64 [K].
        widths: embedding → how many numbers it has.
    """

    same: Mapping[str, float]
    near: Mapping[str, float]
    like: Mapping[str, float]
    knots: Mapping[str, NDArray[np.float64]]
    widths: Mapping[str, int]

    @classmethod
    def fit(cls, declared: Attributes, items: FeatureBatch) -> "Code":
        """Learns the order of the numbers.

        Raises:
            InputError: `unknown-feature`.
        """
        _demand(declared, items)
        steps = np.linspace(0, 1, _KNOTS)
        knots = {n: np.quantile(items.column(n).astype(np.float64), steps) if len(items) else np.zeros(_KNOTS)
                 for n in declared.near}  # fmt: skip
        widths = {name: len(_embedded(items, name)) for name in declared.like}
        same, near, like = (dict(sorted(part.items())) for part in (declared.same, declared.near, declared.like))
        return cls(same, near, like, knots, widths)  # in the order in which `meta.json` keeps them

    @property
    def size(self) -> int:
        """D."""
        return _CODE * len(self.same) + 2 * len(_WAVES) * len(self.near) + sum(self.widths.values())

    def apply(self, items: FeatureBatch) -> Floats:
        """float32 [I, D]."""
        parts = [np.sqrt(w) * part for w, part in zip(self.weights, self.terms(items), strict=True)]
        return np.concatenate([np.empty((len(items), 0)), *parts], axis=1).astype(np.float32)

    @property
    def weights(self) -> list[float]:
        """Of the terms."""
        return [*self.same.values(), *self.near.values(), *self.like.values()]

    def weighted(self, weights: list[float]) -> "Code":
        """The same with other weights."""
        names = iter(weights)
        same, near, like = ({n: next(names) for n in part} for part in (self.same, self.near, self.like))
        return Code(same, near, like, self.knots, self.widths)

    def terms(self, items: FeatureBatch) -> list[NDArray[np.float64]]:
        """The vectors of each term, of length 1 at most: float64 [I, .] each."""
        parts = [_codes(items.categorical[n], n) for n in self.same]
        parts += [self._waves(items.column(n), n) for n in self.near]
        return parts + [_unit(items.numeric[:, _embedded(items, n)]) for n in self.like]

    def _waves(self, values: Floats, name: str) -> NDArray[np.float64]:
        knots = self.knots[name]
        # Many items may have one value: it stands at the middle of the steps that it takes.
        low, high = np.searchsorted(knots, values, side="left"), np.searchsorted(knots, values, side="right")
        place = np.clip((low + high) / 2, 0, _KNOTS) / _KNOTS
        angles = np.pi * place[:, None] * np.array(_WAVES)
        return np.asarray(np.hstack([np.cos(angles), np.sin(angles)]) / np.sqrt(len(_WAVES)))

    def save(self, run: Run) -> None:
        """Writes what was learned."""
        widths = {f"width|{n}": np.array(w) for n, w in self.widths.items()}
        np.savez(run.folder / _FACTS, **{f"knots|{n}": k for n, k in self.knots.items()}, **widths)  # type: ignore[arg-type]

    @classmethod
    def open(cls, artefact: Artefact) -> "Code":
        """What `save` wrote."""
        same, near, like = (dict(artefact.fact(part)) for part in ("same", "near", "like"))
        stored = artefact.arrays(_FACTS)
        knots = {n: stored[f"knots|{n}"] for n in near}
        return cls(same, near, like, knots, {n: int(stored[f"width|{n}"]) for n in like})


def _learned(code: Code, train: Journeys, catalogue: Catalogue, run: Run) -> list[float]:
    """Weights by conditional logistic regression: of each pair against `_DRAWN` items drawn at random."""
    rng = np.random.default_rng([run.seed, 11])
    one, two, weight, _ = train.pairs(_WINDOW)
    one, two = places(catalogue.rows, one), places(catalogue.rows, two)
    known = np.flatnonzero((one >= 0) & (two >= 0))
    known = np.sort(rng.permutation(known)[:_PAIRS])
    drawn = rng.integers(0, len(catalogue.rows), (len(known), _DRAWN))
    against = np.concatenate([two[known, None], drawn], axis=1)
    likeness = np.stack([np.einsum("pd,pnd->pn", term[one[known]], term[against])
                         for term in code.terms(catalogue.features)], axis=-1)  # fmt: skip
    return _regression(likeness, weight[known], np.array(code.weights))


def _regression(likeness: NDArray[np.float64], weight: Floats, start: NDArray[np.float64]) -> list[float]:
    """Weights of T terms at or above 0 that make the first of n items stand out: likeness float64 [P, n, T]."""
    w, pace, past = start * _SCALE, 1.0, np.zeros(len(start))
    total = float(weight.sum())
    for _ in range(_ROUNDS):
        z = likeness @ w
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[:, 0] -= 1
        grad = np.einsum("pn,pnt,p->t", p, likeness, weight) / total + _PULL / np.sqrt(total) * (w - start * _SCALE)
        past += np.square(grad)
        w = np.maximum(w - pace * grad / np.sqrt(past + 1e-9), 0)
    return [float(x) for x in w / max(w.sum(), 1e-9) * start.sum()]


def _demand(declared: Attributes, items: FeatureBatch) -> None:
    known = {"same": list(items.categorical), "near": list(items.numeric_names),
             "like": sorted({n.rpartition("_e")[0] for n in items.numeric_names if "_e" in n})}  # fmt: skip
    for part, names in known.items():
        for name in getattr(declared, part):
            if name not in names:
                what = f"`{part}` names `{name}`, and items have no such feature"
                raise InputError(Problem("unknown-feature", what, declared.where, fix=did_you_mean(name, names)))


def _embedded(items: FeatureBatch, name: str) -> list[int]:
    """Columns of an embedding."""
    return [i for i, n in enumerate(items.numeric_names) if n.rpartition("_e")[0] == name]


def _codes(values: Ints, name: str) -> NDArray[np.float64]:
    """Codes of unit length of one value per item, the mean of several; 0 without any: float64 [I, code]."""
    several = values if values.ndim == 2 else values[:, None]
    salt = int.from_bytes(name.encode()[-4:], "little")
    distinct, place = np.unique(several, return_inverse=True)
    table = np.zeros((len(distinct), _CODE))
    for bit in range(_CODE):
        table[:, bit] = np.where(
            keys(distinct, salt + bit).astype(np.uint64) >> np.uint64(40) & np.uint64(1), 1.0, -1.0
        )
    table[distinct < 0] = 0
    count = np.maximum((several >= 0).sum(axis=1), 1)
    summed = table[place.reshape(several.shape)].sum(axis=1)
    return np.asarray(summed / count[:, None] / np.sqrt(_CODE))


def _unit(values: Floats) -> NDArray[np.float64]:
    length = np.sqrt(np.square(values, dtype=np.float64).sum(axis=1))
    return np.asarray(values / np.maximum(length, 1e-12)[:, None], np.float64)
