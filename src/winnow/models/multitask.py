"""L2: one network for all outcomes, with attention over the user's history."""

from dataclasses import dataclass

from winnow.models.artefact import Artefact
from winnow.models.base import Ranker, Run, Scorer
from winnow.models.examples import Examples
from winnow.models.network_scorer import NetworkScorer


@dataclass(frozen=True)
class MultiTask(Ranker):
    """A multi-gate mixture of experts with a tower per head, reading features, embeddings and the attended history.

    The first sequence among the features is the history; the others mark its steps (watched, and liked). Where there
    are marks, attention is first trained to guess them from what came before, on the histories as they stood at each
    user's first training row: far more data than the impressions. The position of logged impressions is a separate
    term that explains clicks in training and is left out when serving. Labels that are NaN teach nothing.

    Args:
        history: sequences to read, the attended one first; None for all, empty for none.
        history_size: embedding size of the items of the history.
        attention_heads: of the attention over the history.
        history_epochs: passes over the histories before the main training; 0 trains both together.
        experts: how many networks are mixed.
        hidden: width of their layers.
        embedding_size: of each categorical feature.
        least: how often a category must occur in training to be told apart.
        input_dropout, dropout: share of input and of hidden values dropped in training.
        epochs, batch_size, learning_rate, reg: as in every model; `reg` is decoupled weight decay.

    Source: Ma et al., KDD 2018 (mixture); Zhou et al., KDD 2018 (attention); Zhao et al., RecSys 2019 (position).
    """

    history: tuple[str, ...] | None = None
    history_size: int = 32
    attention_heads: int = 4
    history_epochs: int = 4
    experts: int = 4
    hidden: int = 64
    embedding_size: int = 8
    least: int = 20
    input_dropout: float = 0.3
    dropout: float = 0.5
    epochs: int = 6
    batch_size: int = 512
    learning_rate: float = 1e-3
    reg: float = 0.5

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        from winnow.models.networks.multitask import fit

        fit(self, train, valid, run)

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        return NetworkScorer.open(artefact, threads)
