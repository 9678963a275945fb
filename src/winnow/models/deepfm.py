"""L1: DeepFM, a factorisation machine and a deep network on the same vectors."""

from dataclasses import dataclass

from winnow.models.base import Run
from winnow.models.examples import Examples
from winnow.models.fm import FM


@dataclass(frozen=True)
class DeepFM(FM):
    """The products of a factorisation machine for pairs, and a deep network for everything else.

    Args:
        hidden: widths of the deep layers.
        norm: batch norm in the deep layers; it helps where nearly all features are ids.
        dropout: share of hidden values dropped in training; `input_dropout` is that of the input, too.

    The others are those of `FM`. Source: Guo et al., IJCAI 2017.
    """

    hidden: tuple[int, ...] = (128, 64)
    norm: bool = False
    input_dropout: float = 0.2
    dropout: float = 0.4
    learning_rate: float = 1e-3

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        from winnow.models.networks.fm import Shape, fit

        shape = Shape(self.embedding_size, self.hidden, (self.input_dropout, self.dropout), self.norm)
        fit(self, train, valid, run=run, shape=shape)
