"""L1 of retrieval: a user tower and an item tower."""

from dataclasses import dataclass
from typing import Any, ClassVar

from winnow.models.artefact import Artefact
from winnow.models.base import ItemEncoder, QueryEncoder, Retriever, Run
from winnow.models.examples import Catalogue, Examples
from winnow.models.retrieval import open_items, open_query


@dataclass(frozen=True)
class TwoTower(Retriever):
    """User features and the mean of the user's history against item features, by inner product.

    Trained by softmax over the items of the batch and uniformly drawn ones, each corrected by the logarithm of how
    often it is drawn; items of the same user in the batch are no negatives. The item tower sees the item's own id, at
    random the one id that stands for all unknown items, so that a new item gets a useful vector from its columns.

    Args:
        embedding_size: of all vectors.
        heads: a row is positive when any of these outcomes happened; empty for every binary head.
        negatives: uniformly drawn items a step.
        log_q: strength of the correction for how often an item is drawn, 0 to 1.
        id_dropout: how often an item's own id is hidden in training.
        ids: whether items have a vector of their own; False where none lives long enough to be learned.
        history_epochs: passes over the histories themselves (what was watched next) before the main training.
        dropout: share of values dropped in training.
        epochs, batch_size, learning_rate, reg: as in every model; `reg` is decoupled weight decay.

    Source: Yi et al., RecSys 2019; Yang et al., WWW 2020 for mixed negatives.
    """

    embedding_size: int = 64
    heads: tuple[str, ...] = ()
    negatives: int = 512
    log_q: float = 1.0
    id_dropout: float = 0.1
    ids: bool = True
    history_epochs: int = 0
    dropout: float = 0.2
    epochs: int = 4
    batch_size: int = 512
    learning_rate: float = 2e-3
    reg: float = 0.05
    user: ClassVar[str] = "mean"

    def to_data(self) -> dict[str, Any]:
        data = super().to_data()
        return {k: v for k, v in data.items() if k != "ids" or not v}

    def fit(self, train: Examples, valid: Examples, catalogue: Catalogue, run: Run) -> None:
        from winnow.models.networks.retrieval import fit

        fit(self, train, valid, catalogue=catalogue, run=run)

    @classmethod
    def query_encoder(cls, artefact: Artefact, threads: int) -> QueryEncoder:
        return open_query(artefact, threads)

    @classmethod
    def item_encoder(cls, artefact: Artefact, threads: int) -> ItemEncoder:
        return open_items(artefact, threads)
