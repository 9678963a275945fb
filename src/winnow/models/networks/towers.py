"""User and item towers. Shapes: N rows, I items, K steps newest first, M values, E embedding size, D = E + 1.

The last value of an item vector is its own appeal, that of a user vector is 1: an inner product adds the two.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from winnow.models.networks.layers import Categories, perceptron, table

_FAR = -1e9
_START = 0.05


class ItemTower(nn.Module):
    """Items → vectors [I, D].

    Args:
        ids: ids, 0 (unknown) included.
        attributes: categorical feature → (ids, values per item or 0).
        numerics: F.
        size: E.
        id_dropout: how often an id is hidden in training.
        dropout: of the hidden layer.
    """

    def __init__(
        self, ids: int, attributes: Mapping[str, tuple[int, int]], *, numerics: int, size: int, id_dropout: float,
        dropout: float,
    ):  # fmt: skip
        super().__init__()
        self.id, self.id_dropout, self.names = table(ids, size, start=_START), id_dropout, list(attributes)
        self.widths = {name: width for name, (_, width) in attributes.items()}
        self.attributes = nn.ModuleList(table(n, size, start=_START, padded=True) for n, _ in attributes.values())
        self.numeric = nn.Linear(numerics, size) if numerics else None
        self.mix = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Dropout(dropout), nn.Linear(size, size))
        self.appeal = nn.Linear(size, 1)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        x = self.embed(batch["id"], {n: batch[f"cat|{n}"] for n in self.names})
        x = x if self.numeric is None else x + self.numeric(batch["numeric"])
        x = x + self.mix(x)
        return torch.cat([x, self.appeal(x)], -1)

    def embed(self, ids: Tensor, attributes: Mapping[str, Tensor]) -> Tensor:
        """Sum of the embeddings of the id and of the given attributes, [..., E]."""
        if self.training:
            ids = ids.masked_fill(torch.rand(ids.shape) < self.id_dropout, 0)
        x: Tensor = self.id(ids)
        for name, rows in zip(self.names, self.attributes, strict=True):
            if name in attributes:
                vectors = rows(attributes[name])
                x = x + (vectors.sum(-2) if self.widths[name] else vectors)
        return x


class UserTower(nn.Module):
    """Users → vectors [N, D]; subclasses say how the history is read.

    Args:
        items: the item tower, whose embeddings the history shares.
        categories: embeddings of user and request features.
        width: their total size.
        numerics: F.
        columns: history column → categorical feature of the item tower.
        size: E.
        marks: J.
        dropout: of the hidden layer.
    """

    def __init__(
        self, items: ItemTower, categories: Categories, *, width: int, numerics: int, columns: Mapping[str, str],
        size: int, marks: int, dropout: float,
    ):  # fmt: skip
        super().__init__()
        self.categories, self.columns = categories, dict(columns)
        self.shared: list[ItemTower] = [items]  # in a list: its weights belong to the item tower alone
        self.mark = nn.Linear(max(marks, 1), size, bias=False)
        self.drop = nn.Dropout(dropout)
        self.side = perceptron((numerics + width, 2 * size), dropout)
        self.out = nn.Linear(3 * size, size)
        nn.init.zeros_(self.out.weight[:, size:])
        self.start = nn.Parameter(torch.zeros(size))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Vectors of users as they are now."""
        side = self.side(torch.cat([batch["numeric"], *self.categories(batch)], -1))
        x = self.out(torch.cat([self.summary(batch), side], -1))
        return with_one(x)

    def alone(self, history: Tensor) -> Tensor:
        """Vectors from the summary of the history only, [..., E] → [..., D]."""
        size = history.shape[-1]
        return with_one(nn.functional.linear(history, self.out.weight[:, :size], self.out.bias))

    def steps(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The history's items as vectors, [N, K, E]; items without an id of their own share one."""
        ids = (batch["seq|row"] - 1).clamp(min=0)
        return self.shared[0].embed(ids, {f: batch[f"seq|{c}"] for c, f in self.columns.items()})

    def summary(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The history in one vector, [N, E]."""
        raise NotImplementedError


def with_one(x: Tensor) -> Tensor:
    """[..., E] → [..., E + 1], the last value 1."""
    return torch.cat([x, torch.ones_like(x[..., :1])], -1)


class MeanUser(UserTower):
    """The history as the mean of its items; the start vector where there is none."""

    def summary(self, batch: Mapping[str, Tensor]) -> Tensor:
        if "seq|row" not in batch:
            return batch["numeric"].sum(-1, keepdim=True) * 0 + self.start
        mask = (batch["seq|row"] > 0).float()[..., None]
        steps = self.drop(self.steps(batch) + self.mark(batch["seq|marks"])) * mask
        return self.start + steps.sum(1) / mask.sum(1).clamp(min=1)  # type: ignore[no-any-return]


class SequenceUser(UserTower):
    """The history through a causal transformer; position 0 is a learned start, so that an empty history works too.

    Args:
        steps: K.
        layers: how many.
        heads: attention heads per layer.
    """

    def __init__(self, items: ItemTower, categories: Categories, *, steps: int, layers: int, heads: int, size: int,
                 dropout: float, **others: object):  # fmt: skip
        super().__init__(items, categories, size=size, dropout=dropout, **others)  # type: ignore[arg-type]
        self.place = nn.Parameter(torch.randn(steps + 1, size) * 0.02)
        self.blocks = nn.ModuleList(Block(size, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(size)

    def summary(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self.states(batch)[:, 0]

    def states(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[N, K + 1, E], newest first: entry i knows steps i and older, the last one nothing."""
        mask = batch["seq|row"] > 0
        steps = self.drop(self.steps(batch) + self.mark(batch["seq|marks"]))
        x = torch.cat([steps, steps[:, :1] * 0 + self.start], 1) + self.place
        seen = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
        count = x.shape[1]
        older = torch.ones(count, count, dtype=torch.bool).triu()  # entry i attends to j >= i
        allowed = (older & seen[:, None])[:, None]
        for block in self.blocks:
            x = block(x, allowed)
        return self.norm(x)  # type: ignore[no-any-return]


class Block(nn.Module):
    """A transformer layer, normalised before each part."""

    def __init__(self, size: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(size), nn.LayerNorm(size)
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.feed = nn.Sequential(nn.Linear(size, 2 * size), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2 * size, size))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        """x [N, K, E]; allowed [N, 1, K, K]: which steps each may read."""
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in self.qkv(self.first(x)).chunk(3, -1))
        scores = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).masked_fill(~allowed, _FAR)
        x = x + self.drop(self.out((torch.softmax(scores, -1) @ v).transpose(1, 2).flatten(-2)))
        return x + self.drop(self.feed(self.second(x)))  # type: ignore[no-any-return]
