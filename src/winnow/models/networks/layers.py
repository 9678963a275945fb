"""Layers that several networks share. Shapes: B histories, C candidates each, K steps, M values, E embedding size."""

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from winnow.models.base import HeadType

_START = 0.02  # spread of new embeddings
_SPARSE_FROM = 100_000  # ids: from here on only the rows that a batch touches are updated
_MOST = 15.0  # of log(1 + amount)


class Categories(nn.Module):
    """One embedding per categorical feature, the values of a multi-valued one summed; `cat|<name>` → [..., S · E]."""

    def __init__(self, sizes: Mapping[str, int], widths: Mapping[str, int], size: int):
        super().__init__()
        self.names, self.widths = list(sizes), dict(widths)
        self.tables = nn.ModuleList(table(n, size) for n in sizes.values())

    def forward(self, batch: Mapping[str, Tensor]) -> list[Tensor]:
        parts = []
        for name, rows in zip(self.names, self.tables, strict=True):
            vectors = rows(batch[f"cat|{name}"])
            parts.append(vectors.sum(-2) if self.widths[name] else vectors)
        return parts


def table(n: int, size: int, *, start: float = _START, padded: bool = False) -> nn.Embedding:
    """An embedding table with small first values; row 0 stays zero when padded. Large ones have sparse gradients."""
    made = nn.Embedding(n, size, padding_idx=0 if padded else None, sparse=n >= _SPARSE_FROM)
    nn.init.normal_(made.weight, 0, start)
    if padded:
        with torch.no_grad():
            made.weight[0] = 0
    return made


def perceptron(sizes: tuple[int, ...], dropout: float, *, norm: bool = False) -> nn.Sequential:
    """Linear, batch norm if wished, ReLU and dropout, once per step of `sizes`."""
    layers: list[nn.Module] = []
    for low, high in itertools.pairwise(sizes):
        layers += [nn.Linear(low, high), *([RowNorm(high)] if norm else []), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


class RowNorm(nn.BatchNorm1d):
    """Batch norm of the last axis, whatever stands before it."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape. A batch of one row has no spread: it is normed as in serving."""
        rows = x.flatten(0, -2)
        if self.training and len(rows) == 1:
            rows = nn.functional.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias)
            return rows.view(x.shape)
        return super().forward(rows).view(x.shape)


def answer(logits: Tensor, types: tuple[HeadType, ...]) -> Tensor:
    """Predictions from network outputs [..., H]: probabilities, and amounts from log(1 + amount)."""
    parts, binary = logits.unbind(-1), [t == "binary" for t in types]
    columns = [x.sigmoid() if b else x.clamp(0, _MOST).exp() - 1 for x, b in zip(parts, binary, strict=True)]
    return torch.stack(columns, dim=-1)


def head_losses(logits: Tensor, labels: Tensor, types: tuple[HeadType, ...]) -> Tensor:
    """Loss of each row and head, [N, H]; 0 where the label is NaN."""
    known = ~labels.isnan()
    y = labels.nan_to_num(0.0)
    columns = [
        nn.functional.binary_cross_entropy_with_logits(logits[:, i], y[:, i], reduction="none")
        if t == "binary"
        else 0.5 * (logits[:, i] - y[:, i].clamp(min=0).log1p()).square()
        for i, t in enumerate(types)
    ]
    return torch.stack(columns, dim=1) * known
