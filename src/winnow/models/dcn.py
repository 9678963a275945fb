"""L1: DCN-v2, crosses of features beside a deep network."""

from dataclasses import dataclass

from winnow.models.artefact import Artefact
from winnow.models.base import Ranker, Run, Scorer
from winnow.models.examples import Examples
from winnow.models.network_scorer import NetworkScorer


@dataclass(frozen=True)
class DCN(Ranker):
    """Learns products of features explicitly, layer by layer, and everything else with a deep network.

    Args:
        embedding_size: of each categorical feature.
        least: how often a category must occur in training to be told apart.
        crosses: cross layers.
        rank: of the matrix of a cross layer.
        hidden: widths of the deep layers.
        input_dropout, dropout: share of input and of hidden values dropped in training.
        epochs, batch_size, learning_rate, reg: as in every model; `reg` is decoupled weight decay.

    Source: Wang et al., WWW 2021.
    """

    embedding_size: int = 8
    least: int = 20
    crosses: int = 2
    rank: int = 32
    hidden: tuple[int, ...] = (128, 64)
    input_dropout: float = 0.2
    dropout: float = 0.4
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
