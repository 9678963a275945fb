"""DCN-v2: crosses of features beside a deep network. Shapes: N rows, F numerics, D width of the input, H heads.

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


class DCNNet(nn.Module):
    """Features → log-odds (binary heads) or log(1 + amount) (regression heads).

    Args:
        numerics: F.
        categories: embeddings of the categorical features.
        width: total size of those embeddings.
        types: what each head is.
        crosses: how many cross layers; x ← x0 · (W x + b) + x each, with W of low rank.
        rank: of W.
        hidden: widths of the deep layers.
        dropout: share of input and of hidden values dropped in training: (input, hidden).
    """

    def __init__(
        self, numerics: int, categories: Categories, *, width: int, types: tuple[HeadType, ...], crosses: int,
        rank: int, hidden: tuple[int, ...], dropout: tuple[float, float],
    ):  # fmt: skip
        super().__init__()
        self.categories, self.types = categories, types
        full = numerics + width
        self.drop = nn.Dropout(dropout[0])
        self.down = nn.ModuleList(nn.Linear(full, rank, bias=False) for _ in range(crosses))
        self.up = nn.ModuleList(nn.Linear(rank, full) for _ in range(crosses))
        self.deep = perceptron((full, *hidden), dropout[1])
        self.out = nn.Linear(full + hidden[-1], len(types))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Predictions, [N, H]."""
        return answer(self.logits(batch), self.types)

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Network outputs, [N, H]."""
        x0 = self.drop(torch.cat([batch["numeric"], *self.categories(batch)], -1))
        x = x0
        for down, up in zip(self.down, self.up, strict=True):
            x = x0 * up(down(x)) + x
        return self.out(torch.cat([x, self.deep(x0)], -1))  # type: ignore[no-any-return]


def fit(declared: DCN, train: Examples, valid: Examples, run: Run) -> None:
    """Train, export and write a DCN."""
    heads = chosen_heads(declared.heads, train, run)
    inputs = Inputs.fit(train, least=declared.least, history=())
    arrays, held_out = (ranking.arrays_of(inputs, part, heads) for part in (train, valid))
    options = Options(declared.epochs, declared.batch_size, declared.learning_rate, declared.reg)
    with seeded(run):
        categories = Categories(inputs.sizes, inputs.widths, declared.embedding_size)
        net = DCNNet(
            len(inputs.numerics.names), categories, width=declared.embedding_size * len(inputs.sizes),
            types=tuple(heads.values()), crosses=declared.crosses, rank=declared.rank, hidden=declared.hidden,
            dropout=(declared.input_dropout, declared.dropout),
        )  # fmt: skip
        ranking.fit(net, arrays, held_out, options=options, run=run, key=declared_key(declared, train))
        ranking.write("DCN", net, inputs, arrays, heads=heads, run=run)
