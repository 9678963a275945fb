"""DCN-v2: crosses of features beside a deep network. Shapes: N rows, F numerics, D width of the input, H heads,
X experts of a cross, R their rank.

Source: Wang et al., WWW 2021.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from winnow.models.base import HeadType, Run, chosen_heads
from winnow.models.dcn import DCN
from winnow.models.examples import Examples
from winnow.models.inputs import Inputs
from winnow.models.networks import ranking
from winnow.models.networks.layers import Categories, answer, perceptron
from winnow.models.networks.loop import Options, declared_key, seeded


class Cross(nn.Module):
    """x ← x0 · (W x + b) + x, with W of low rank.

    Args:
        down, up: the two factors of W.
    """

    def __init__(self, down: nn.Linear, up: nn.Linear):
        super().__init__()
        self.down, self.up = down, up

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """The next x, [..., D]."""
        return x0 * self.up(self.down(x)) + x  # type: ignore[no-any-return]


class MixedCross(nn.Module):
    """x ← x0 · (Σ g(x) U tanh(C tanh(V x)) + b) + x: crosses in several subspaces, weighed by a gate.

    Args:
        full: D.
        rank: R.
        experts: X.
    """

    def __init__(self, full: int, rank: int, experts: int):
        super().__init__()
        self.experts = experts
        self.down, self.up = nn.Linear(full, rank * experts, bias=False), nn.Linear(rank * experts, full)
        self.inner = nn.Parameter(torch.randn(experts, rank, rank) * rank**-0.5)
        self.gate = nn.Linear(full, experts, bias=False)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """The next x, [..., D]."""
        split = self.down(x).tanh().unflatten(-1, (self.experts, -1))  # [..., X, R]
        inner = (split.unsqueeze(-2) @ self.inner).squeeze(-2).tanh()
        weighed = inner * self.gate(x).softmax(-1).unsqueeze(-1)
        return x0 * self.up(weighed.flatten(-2)) + x  # type: ignore[no-any-return]


class DCNNet(nn.Module):
    """Features → log-odds (binary heads) or log(1 + amount) (regression heads).

    Args:
        numerics: F.
        categories: embeddings of the categorical features.
        width: total size of those embeddings.
        types: what each head is.
        crosses: how many cross layers.
        rank: of their matrices.
        experts: subspaces of each cross layer.
        norm: whether the deep layers have batch norm.
        hidden: widths of the deep layers.
        dropout: share of input and of hidden values dropped in training: (input, hidden).
    """

    def __init__(
        self, numerics: int, categories: Categories, *, width: int, types: tuple[HeadType, ...], crosses: int,
        rank: int, hidden: tuple[int, ...], dropout: tuple[float, float], experts: int = 1,
        norm: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.categories, self.types = categories, types
        full = numerics + width
        self.row_factor, self.row_steady, self.table_reg = 0.0, 0.0, 0.0
        self.drop = nn.Dropout(dropout[0])
        self.crosses = crossing(full, rank, crosses=crosses, experts=experts)
        self.deep = perceptron((full, *hidden), dropout[1], norm=norm)
        self.out = nn.Linear(full + hidden[-1], len(types))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Predictions, [N, H]."""
        return answer(self.logits(batch), self.types)

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Network outputs, [N, H]."""
        x0 = self.drop(torch.cat([batch["numeric"], *self.categories(batch)], -1))
        x = x0
        for cross in self.crosses:
            x = cross(x0, x)
        return self.out(torch.cat([x, self.deep(x0)], -1))  # type: ignore[no-any-return]


def crossing(full: int, rank: int, *, crosses: int, experts: int) -> nn.ModuleList:
    """The cross layers."""
    if experts > 1:
        return nn.ModuleList(MixedCross(full, rank, experts) for _ in range(crosses))
    down = [nn.Linear(full, rank, bias=False) for _ in range(crosses)]
    return nn.ModuleList(Cross(low, nn.Linear(rank, full)) for low in down)


def fit(declared: DCN, train: Examples, valid: Examples, run: Run) -> None:
    """Train, export and write a DCN."""
    heads = chosen_heads(declared.heads, train, run)
    inputs = Inputs.fit(train, least=declared.least, history=(), hashed=declared.hashed)
    arrays, held_out = (ranking.arrays_of(inputs, part, heads) for part in (train, valid))
    options = Options(declared.epochs, declared.batch_size, declared.learning_rate, declared.reg)
    with seeded(run):
        net = built(declared, inputs, tuple(heads.values()))
        ranking.fit(net, arrays, held_out, options=options, run=run, key=declared_key(declared, train))
        ranking.write("DCN", net, inputs, arrays, heads=heads, run=run)


def built(declared: DCN, inputs: Inputs, types: tuple[HeadType, ...]) -> DCNNet:
    """The network of a declaration, with first weights."""
    net = DCNNet(
        len(inputs.numerics.names), Categories(inputs.sizes, inputs.widths, declared.embedding_size),
        width=declared.embedding_size * len(inputs.sizes), types=types, crosses=declared.crosses, rank=declared.rank,
        hidden=declared.hidden, dropout=(declared.input_dropout, declared.dropout), experts=declared.experts,
        norm=declared.norm,
    )  # fmt: skip
    net.row_factor, net.table_reg = declared.embedding_rate / declared.learning_rate, declared.embedding_reg
    net.row_steady = declared.embedding_steady
    return net
