"""L1: DCN-v2, crosses of features beside a deep network."""

from dataclasses import dataclass

from winnow.models.artefact import Artefact
from winnow.models.base import Ranker, Run, Scorer
from winnow.models.examples import Examples
from winnow.models.network_scorer import NetworkScorer
from winnow.models.vocabulary import Hashing


@dataclass(frozen=True)
class DCN(Ranker):
    """Learns products of features explicitly, layer by layer, and everything else with a deep network.

    Args:
        embedding_size: of each categorical feature.
        least: how often a category must occur in training to be told apart.
        crosses: cross layers.
        rank: of the matrix of a cross layer.
        experts: subspaces of a cross layer, mixed by a gate; 1 for a plain cross.
        hashed: what ids beyond the vocabulary share; None for one place for all of them.
        hidden: widths of the deep layers.
        norm: batch norm in the deep layers; it helps where nearly all features are ids.
        input_dropout, dropout: share of input and of hidden values dropped in training.
        embedding_rate: learning rate of the embeddings, which are then learned by row-wise Adagrad: far above that of
            the network where most ids are rare; 0 to learn them as the network.
        embedding_steady: rows move at an even pace until they were touched about so often, then ever less; with many
            rows to learn from, 100 or so is better than 0, at a tenfold `embedding_rate`.
        embedding_reg: L2 penalty on the embeddings instead of `reg`: it draws rare ids to 0.
        epochs, batch_size, learning_rate, reg: as in every model; `reg` is decoupled weight decay.

    Source: Wang et al., WWW 2021.
    """

    embedding_size: int = 8
    least: int = 20
    crosses: int = 2
    rank: int = 32
    experts: int = 1
    hashed: Hashing | None = None
    hidden: tuple[int, ...] = (128, 64)
    norm: bool = False
    input_dropout: float = 0.2
    dropout: float = 0.4
    embedding_rate: float = 0.0
    embedding_steady: float = 0.0
    embedding_reg: float = 0.0
    epochs: int = 6
    batch_size: int = 512
    learning_rate: float = 1e-3
    reg: float = 0.3

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        from winnow.models.networks.dcn import fit

        fit(self, train, valid, run)

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        return NetworkScorer.open(artefact, threads)
