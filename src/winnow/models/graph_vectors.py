"""People as vectors from a graph: near are those whom ties suggest, also beyond friends of friends."""

from dataclasses import dataclass, replace

import numpy as np

from winnow.data.ties import Bond
from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.artefact import Artefact
from winnow.models.base import ItemEncoder, QueryEncoder, Retriever, Run
from winnow.models.examples import Catalogue, Examples
from winnow.models.graph_people import People


@dataclass(frozen=True)
class GraphVectors(Retriever):
    """Vectors of `GraphSage` by themselves: trained so that those who are tied have a high inner product.

    Each tie is told from a graph without it, against the other ends of the ties of the batch, each corrected by the
    logarithm of how often it is drawn; those tied to the same person are no negatives. A newcomer has a vector from
    columns and neighbours.

    Args:
        bond: what ties people.
        friends: the sequences of a batch that tell whom who asks, and whom an item, is tied to now.
        embedding_size, state_size, chance, drawn, least: as for `GraphSage`.
        ties: at most so many are learned from.
        log_q: strength of the correction, 0 to 1.
        epochs, batch_size, learning_rate, reg: as in every model.

    Source: Hamilton, Ying and Leskovec, NeurIPS 2017; Yi et al., RecSys 2019 for the correction.
    """

    bond: Bond | None = None
    friends: tuple[str, ...] = ()
    embedding_size: int = 32
    state_size: int = 32
    chance: int = 32
    drawn: tuple[int, int] = (10, 5)
    least: int = 20
    ties: int = 200_000
    log_q: float = 1.0
    epochs: int = 10
    batch_size: int = 512
    learning_rate: float = 5e-3
    reg: float = 0.01

    def fit(self, train: Examples, valid: Examples, catalogue: Catalogue, run: Run) -> None:
        """See `Retriever.fit`.

        Raises:
            InputError: `no-ties` when nobody is tied to anybody.
        """
        from winnow.models.networks.graph_ties import fit

        fit(self, train, catalogue, run)

    @classmethod
    def query_encoder(cls, artefact: Artefact, threads: int) -> QueryEncoder:
        people = People.open(artefact, threads)

        def encode(batch: FeatureBatch) -> Floats:
            return people.vectors(batch, 0)

        return encode

    @classmethod
    def item_encoder(cls, artefact: Artefact, threads: int) -> ItemEncoder:
        people = People.open(artefact, threads)

        def encode(batch: FeatureBatch, rows: Ints) -> Floats:
            known = np.asarray(rows, np.int64)
            return people.vectors(replace(batch, categorical={**batch.categorical, people.sides.ids[1]: known}), 1)

        return encode
