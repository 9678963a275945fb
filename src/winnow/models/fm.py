"""L1: a factorisation machine, one product for every pair of features."""

from dataclasses import dataclass

from winnow.models.artefact import Artefact
from winnow.models.base import Ranker, Run, Scorer
from winnow.models.examples import Examples
from winnow.models.network_scorer import NetworkScorer
from winnow.models.vocabulary import Hashing


@dataclass(frozen=True)
class FM(Ranker):
    """A weight for each feature value, and for each pair of them the product of two short vectors.

    Pairs that were never seen together get a sensible product all the same, as each side has learned its vector
    from other pairs: what linear models on crosses lack. Time is linear in the number of features.

    Args:
        embedding_size: of each categorical feature and number.
        least: how often a category must occur in training to be told apart.
        hashed: what ids beyond the vocabulary share; None for one place for all of them.
        input_dropout: share of the values of the products dropped in training.
        embedding_rate: learning rate of the embeddings, which are then learned by row-wise Adagrad: far above that of
            the network where most ids are rare; 0 to learn them as the network.
        embedding_steady: rows move at an even pace until they were touched about so often, then ever less; with many
            rows to learn from, 100 or so is better than 0, at a tenfold `embedding_rate`.
        embedding_reg: L2 penalty on the embeddings instead of `reg`: it draws rare ids to 0.
        epochs, batch_size, learning_rate, reg: as in every model; `reg` is decoupled weight decay.

    Source: Rendle, ICDM 2010.
    """

    embedding_size: int = 8
    least: int = 20
    hashed: Hashing | None = None
    input_dropout: float = 0.0
    embedding_rate: float = 0.1
    embedding_steady: float = 0.0
    embedding_reg: float = 0.0
    epochs: int = 6
    batch_size: int = 512
    learning_rate: float = 2e-3
    reg: float = 0.3

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        from winnow.models.networks.fm import Shape, fit

        fit(self, train, valid, run=run, shape=Shape(self.embedding_size, (), (self.input_dropout, 0.0)))

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        return NetworkScorer.open(artefact, threads)
