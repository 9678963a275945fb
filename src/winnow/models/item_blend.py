"""Several spaces of items as one: side by side, with the weights that find what visitors chose."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.artefact import META, Artefact
from winnow.models.base import ItemEncoder, Run, load_item_encoder
from winnow.models.examples import Catalogue
from winnow.models.item_retrieval import ItemRetriever, normalised, places, ranks
from winnow.models.retrieval import ROWS, VECTORS, write_items
from winnow.models.sessions import Journeys, Sessions

_SHARES = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 1.0)
_QUESTIONS = 2_000


@dataclass(frozen=True)
class ItemBlend(ItemRetriever):
    """The likeness of two items is the weighted sum of their likeness in each space.

    Weights are chosen one space after the other, each as a share of what it has with those before it: the share that
    ranks what later sessions chose best (mean reciprocal rank). Where there are none to choose by, all count the same.

    Args:
        members: retrievers between items, fitted one after the other.
    """

    members: tuple[ItemRetriever, ...] = field()

    @property
    def learns_from(self) -> Sessions | None:
        return next((m.learns_from for m in self.members if m.learns_from is not None), None)

    def learn(self, train: Journeys, valid: Journeys, catalogue: Catalogue, run: Run) -> None:
        share, spaces = 1 / len(self.members), list[Floats]()
        for place, member in enumerate(self.members):
            part = run.part(_name(place, member), place * share, (place + 1) * share)
            if not (part.folder / META).exists():  # a run that was killed goes on with what is finished
                member.learn(train, valid, catalogue, part)
            spaces.append(normalised(np.load(part.folder / VECTORS)))
        weights = _weights(spaces, catalogue.rows, valid)
        write_items(run.folder, catalogue.rows, _beside(spaces, weights))
        names = [_name(place, member) for place, member in enumerate(self.members)]
        files = [VECTORS, ROWS, *(f"{name}/{META}" for name in names)]
        facts = {"members": names, "weights": weights, "size": sum(s.shape[1] for s in spaces)}
        Artefact.write(run.folder, model="ItemBlend", files=files, **facts)

    @classmethod
    def item_encoder(cls, artefact: Artefact, threads: int) -> ItemEncoder:
        encoders = [load_item_encoder(artefact.folder / name, threads=threads) for name in artefact.fact("members")]
        weights = [float(w) for w in artefact.fact("weights")]

        def encode(batch: FeatureBatch, rows: Ints) -> Floats:
            return _beside([normalised(encoder(batch, rows)) for encoder in encoders], weights)

        return encode


def _beside(spaces: list[Floats], weights: list[float]) -> Floats:
    """Vectors side by side, so that their inner product is the weighted sum of those of the spaces."""
    return np.hstack([s * np.float32(np.sqrt(w)) for s, w in zip(spaces, weights, strict=True)])


def _weights(spaces: list[Floats], rows: Ints, valid: Journeys) -> list[float]:
    """Weights of the spaces, adding up to 1."""
    asked, wanted, _ = valid.questions() if len(valid) else (rows[:0],) * 3
    one, two = places(rows, asked), places(rows, wanted)
    known = np.flatnonzero((one >= 0) & (two >= 0))
    known = np.sort(np.random.default_rng(0).permutation(known)[:_QUESTIONS])
    if not len(known):
        return [1 / len(spaces)] * len(spaces)
    weights = [1.0]
    for place in range(1, len(spaces)):
        tried = [[w * (1 - share) for w in weights] + [share] for share in _SHARES]
        found = list(_tried(spaces[: place + 1], tried, one[known], two[known]))
        weights = tried[int(np.argmax(found))]
    return weights


def _tried(spaces: list[Floats], tried: list[list[float]], asked: Ints, wanted: Ints) -> Iterator[float]:
    for weights in tried:
        yield float((1 / ranks(_beside(spaces, weights), asked, wanted)).mean())


def _name(place: int, member: ItemRetriever) -> str:
    return f"{place}-{type(member).__name__}"
