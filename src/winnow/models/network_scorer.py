"""Scores candidates with an exported ranking network."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from winnow.features.batch import FeatureBatch, Floats
from winnow.models.artefact import Artefact
from winnow.models.inputs import Inputs
from winnow.models.session import Session

_AT_ONCE = 2_048  # rows with a history each, so that memory stays small


@dataclass(frozen=True)
class NetworkScorer:
    """A fitted network.

    Args:
        heads: what it predicts.
        inputs: how it reads a batch.
        session: the graph.
    """

    heads: tuple[str, ...]
    inputs: Inputs
    session: Session

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Self:
        """The network of an artefact."""
        session = Session.open(artefact.path("network.onnx"), threads=threads)
        return cls(tuple(artefact.fact("heads")), Inputs.open(artefact), session)

    def score(self, batch: FeatureBatch) -> Floats:
        """Predictions, float32 [N, H]."""
        if not len(batch):
            return np.zeros((0, len(self.heads)), np.float32)
        parts = [self._score(batch.take(slice(i, i + _AT_ONCE))) for i in range(0, len(batch), _AT_ONCE)]
        return np.concatenate(parts)

    def _score(self, batch: FeatureBatch) -> Floats:
        feeds = self.inputs.shaped(self.inputs.feed(batch))
        return self.session.run(feeds).reshape(len(batch), len(self.heads))
