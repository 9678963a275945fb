"""L2 of retrieval: a transformer over the watch sequence as the user tower."""

from dataclasses import dataclass
from typing import ClassVar

from winnow.models.two_tower import TwoTower


@dataclass(frozen=True)
class SequenceTower(TwoTower):
    """The item tower and loss of `TwoTower` with a causal transformer over the history as the user tower.

    It first learns on the histories themselves what was watched next at every step, then on the impressions.

    Args:
        layers: of the transformer.
        attention_heads: of each layer.

    Source: Kang & McAuley, ICDM 2018.
    """

    layers: int = 2
    attention_heads: int = 4
    history_epochs: int = 4
    user: ClassVar[str] = "sequence"
