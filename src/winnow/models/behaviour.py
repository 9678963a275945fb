"""L2: what a person did, weighed by the item in question."""

from dataclasses import dataclass

from winnow.models.artefact import Artefact
from winnow.models.base import Ranker, Run, Scorer
from winnow.models.examples import Examples
from winnow.models.network_scorer import NetworkScorer


@dataclass(frozen=True)
class BehaviourAttention(Ranker):
    """A deep interest network: each step of the history counts as far as it says something about this candidate.

    A small network gives each step its weight, from the step, the candidate, their product and how long ago it was;
    weights are not made to sum to 1, so that much evidence says more than little. A deep network reads their sum with
    all other features. Other sequences mark the steps (watched, and liked).

    Args:
        history: sequences to read, the attended one first; None for all.
        history_size: embedding size of the items of the history.
        attention: width of the network that weighs the steps.
        embedding_size: of each other categorical feature.
        least: how often a category must occur in training to be told apart.
        hidden: widths of the deep layers.
        input_dropout, dropout: share of input and of hidden values dropped in training.
        epochs, batch_size, learning_rate, reg: as in every model; `reg` is decoupled weight decay.

    Source: Zhou et al., KDD 2018.
    """

    history: tuple[str, ...] | None = None
    history_size: int = 16
    attention: int = 32
    embedding_size: int = 8
    least: int = 20
    hidden: tuple[int, ...] = (128, 64)
    input_dropout: float = 0.2
    dropout: float = 0.4
    epochs: int = 6
    batch_size: int = 512
    learning_rate: float = 1e-3
    reg: float = 0.3

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        from winnow.models.networks.behaviour import fit

        fit(self, train, valid, run)

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        return NetworkScorer.open(artefact, threads)
