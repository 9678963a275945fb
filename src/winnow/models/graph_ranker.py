"""L2 of people: features of the pair beside vectors of both people from their neighbourhoods in a graph."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from winnow.data.ties import Bond
from winnow.features.batch import FeatureBatch, Floats
from winnow.models.artefact import Artefact
from winnow.models.base import Ranker, Run, Scorer
from winnow.models.examples import Examples
from winnow.models.graph_people import People
from winnow.models.inputs import Inputs
from winnow.models.network_scorer import NetworkScorer
from winnow.models.session import Session


@dataclass(frozen=True)
class GraphSage(Ranker):
    """Two layers over drawn neighbours give every person a vector; a network judges both vectors and the pair features.

    Passing messages cannot count whom two people share: that is for the pair features. Vectors tell what kind of
    neighbourhoods the two are from. They are worked out from columns and neighbours, never from who somebody is: a
    newcomer has one as soon as there are ties. While it learns, neighbours are drawn among ties made before the row,
    and the tie between the two is never seen.

    Args:
        bond: what ties people; without it everybody is alone.
        friends: the sequences of a batch that tell whom who asks and who is suggested are tied to now, for those whom
            the snapshot ties to nobody.
        embedding_size: of a vector.
        state_size: of each part of a state.
        chance: random columns, by which neighbourhoods are told apart.
        drawn: neighbours drawn at the first step and at the second.
        hidden: widths of the network of pairs.
        least: how often a category must occur in training to be told apart.
        dropout: share of hidden values dropped in training.
        epochs, batch_size, learning_rate, reg: as in every model; `reg` is decoupled weight decay.
        patience: epochs without a better validation loss before it stops; what vectors tell is learned late.

    Source: Hamilton, Ying and Leskovec, Inductive representation learning on large graphs, NeurIPS 2017.
    """

    bond: Bond | None = None
    friends: tuple[str, ...] = ()
    embedding_size: int = 16
    state_size: int = 16
    chance: int = 32
    drawn: tuple[int, int] = (10, 5)
    hidden: tuple[int, ...] = (64, 32)
    least: int = 20
    dropout: float = 0.2
    epochs: int = 15
    batch_size: int = 512
    learning_rate: float = 3e-3
    reg: float = 0.01
    patience: int = 4

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        from winnow.models.networks.graph_fit import fit

        fit(self, train, valid, run)

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        return GraphScorer.open(artefact, threads)


@dataclass(frozen=True)
class GraphScorer(NetworkScorer):
    """A fitted `GraphSage`.

    Args:
        people: vectors.
    """

    people: People

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Self:
        """The network of an artefact."""
        session = Session.open(artefact.path("network.onnx"), threads=threads)
        people = People.open(artefact, threads)
        return cls(tuple(artefact.fact("heads")), Inputs.open(artefact), session, people)

    def _score(self, batch: FeatureBatch) -> Floats:
        feeds = self.inputs.shaped(self.inputs.feed(batch))
        one, two = (np.ascontiguousarray(self.people.vectors(batch, side))[None] for side in (0, 1))
        return self.session.run(feeds | {"first": one, "second": two}).reshape(len(batch), len(self.heads))
