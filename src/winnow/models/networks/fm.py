"""Factorisation machines, with or without a deep network beside them.

Shapes: B, C rows, F numerics, S categorical features, E embedding size, H heads. Each value has E + H numbers: its
vector and its weight for each head.

Source: Rendle, ICDM 2010; Guo et al., IJCAI 2017.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winnow.models.base import HeadType, Run, chosen_heads
from winnow.models.examples import Examples
from winnow.models.fm import FM
from winnow.models.inputs import Inputs
from winnow.models.networks import ranking
from winnow.models.networks.layers import Categories, answer, perceptron
from winnow.models.networks.loop import Options, declared_key, seeded

_START = 0.02


@dataclass(frozen=True)
class Shape:
    """Sizes of the network.

    Args:
        size: E.
        hidden: widths of the deep layers; none for a plain factorisation machine.
        dropout: share of input and of hidden values dropped in training.
        norm: whether the deep layers have batch norm.
    """

    size: int
    hidden: tuple[int, ...]
    dropout: tuple[float, float]
    norm: bool = False


class FMNet(nn.Module):
    """Features → log-odds (binary heads) or log(1 + amount) (regression heads).

    Args:
        numerics: F.
        categories: E + H numbers for each value of the categorical features.
        shape: sizes.
        types: what each head is.
    """

    def __init__(self, numerics: int, categories: Categories, shape: Shape, *, types: tuple[HeadType, ...]):
        super().__init__()
        self.categories, self.types, self.size = categories, types, shape.size
        self.numbers = nn.Parameter(torch.randn(numerics, shape.size + len(types)) * _START)
        self.bias = nn.Parameter(torch.zeros(len(types)))
        self.pairs = nn.Linear(shape.size, len(types), bias=False)
        nn.init.ones_(self.pairs.weight)  # the plain sum over the vector, to begin with
        self.row_factor, self.row_steady, self.table_reg = 0.0, 0.0, 0.0
        self.drop = nn.Dropout(shape.dropout[0])
        full = numerics + shape.size * len(categories.names)
        self.deep = perceptron((full, *shape.hidden), shape.dropout[1], norm=shape.norm) if shape.hidden else None
        self.out = nn.Linear(shape.hidden[-1], len(types)) if shape.hidden else None

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Predictions, [B, C, H]."""
        return answer(self.logits(batch), self.types)

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Network outputs, [B, C, H]."""
        x, values = batch["numeric"], self.categories(batch)
        vectors, weights = self.numbers[:, : self.size], self.numbers[:, self.size :]
        sums, squares = x @ vectors, x.square() @ vectors.square()
        first = x @ weights + self.bias
        for value in values:
            vector = value[..., : self.size]
            sums, squares, first = sums + vector, squares + vector.square(), first + value[..., self.size :]
        out: Tensor = first + self.pairs(self.drop(0.5 * (sums.square() - squares)))
        if self.deep is None or self.out is None:
            return out
        deep = self.deep(self.drop(torch.cat([x, *(value[..., : self.size] for value in values)], -1)))
        return out + self.out(deep)  # type: ignore[no-any-return]


def fit(declared: FM, train: Examples, valid: Examples, *, run: Run, shape: Shape) -> None:
    """Train, export and write a factorisation machine."""
    heads = chosen_heads(declared.heads, train, run)
    inputs = Inputs.fit(train, least=declared.least, history=(), hashed=declared.hashed)
    arrays, held_out = (ranking.arrays_of(inputs, part, heads) for part in (train, valid))
    options = Options(declared.epochs, declared.batch_size, declared.learning_rate, declared.reg)
    with seeded(run):
        categories = Categories(inputs.sizes, inputs.widths, shape.size + len(heads))
        net = FMNet(len(inputs.numerics.names), categories, shape, types=tuple(heads.values()))
        net.row_factor, net.table_reg = declared.embedding_rate / declared.learning_rate, declared.embedding_reg
        net.row_steady = declared.embedding_steady
        ranking.fit(net, arrays, held_out, options=options, run=run, key=declared_key(declared, train))
        ranking.write(type(declared).__name__, net, inputs, arrays, heads=heads, run=run)
