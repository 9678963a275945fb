"""Attention over what a user did, with the candidate as the query.

The history is encoded once; all candidates of a request attend to it together. Shapes: B histories, C candidates for
each (1 request: B = 1, C = N; training rows: B = N, C = 1), K steps newest first, J marks per step, E embedding size,
H attention heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winnow.models.networks.layers import perceptron, table

_FAR = -1e9
_HIDDEN = (64, 32)


class ItemVectors(nn.Module):
    """Items as vectors, those of a history and the candidates from the same tables.

    Args:
        items: ids of items, 0 for padding included.
        columns: attribute → (ids, values per item or 0).
        size: E.
        dropout: share of embedding values dropped in training.
    """

    def __init__(self, items: int, columns: Mapping[str, tuple[int, int]], *, size: int, dropout: float):
        super().__init__()
        self.size, self.columns, self.drop = size, dict(columns), nn.Dropout(dropout)
        self.item = table(items, size, start=0.05, padded=True)
        self.attributes = nn.ModuleList(table(n, size, start=0.05, padded=True) for n, _ in columns.values())

    def vectors(self, rows: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        """Items as vectors, [..., E], from their ids and attributes."""
        out: Tensor = self.drop(self.item(rows))
        for (name, (_, width)), embed in zip(self.columns.items(), self.attributes, strict=True):
            vectors = embed(columns[name])
            out = out + self.drop(vectors.sum(-2) if width else vectors)
        return out


@dataclass(frozen=True)
class Past:
    """The steps of B histories.

    Args:
        steps: their items, [B, K, E].
        marks: which other sequences hold them, 0 or 1, [B, K, J].
        mask: which are no padding, [B, K].
        age: log(1 + seconds) / 10 since each, [B, K].
    """

    steps: Tensor
    marks: Tensor
    mask: Tensor
    age: Tensor


class Memory(ItemVectors):
    """A part that reads histories; `width` is how much it says about a candidate."""

    width: int

    def forward(self, candidates: Tensor, context: Tensor, past: Past) -> Tensor:
        """What the history says about each candidate, [B, C, width].

        Args:
            candidates: their items, [B, C, E].
            context: what else is known of them, [B, C, D].
            past: the history.
        """
        raise NotImplementedError

    def guess(self, past: Past) -> Tensor:
        """Log-odds of the marks of every step from the steps before it, [B, K, J]: what pretraining learns from."""
        raise NotImplementedError


class HistoryNet(Memory):
    """Candidate and history → what the history says about the candidate, [B, C, width].

    Args:
        items: ids of items, 0 for padding included.
        columns: attribute → (ids, values per item or 0).
        marks: J.
        size: E.
        steps: K.
        heads: H.
        dropout: share of embedding values dropped in training.
    """

    def __init__(
        self, items: int, columns: Mapping[str, tuple[int, int]], *, marks: int, size: int, steps: int, heads: int,
        dropout: float,
    ):  # fmt: skip
        super().__init__(items, columns, size=size, dropout=dropout)
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.mark = nn.Linear(marks, size, bias=False)
        self.taste = nn.Linear(marks, 1)
        self.recency = nn.Parameter(torch.zeros(heads, steps))
        self.hidden = perceptron((4 * size + heads * (marks + 1), *_HIDDEN), dropout)
        self.out = nn.Linear(_HIDDEN[-1], marks)
        self.width = 4 * size + heads * (marks + 1) + _HIDDEN[-1] + marks

    def attend(self, candidates: Tensor, steps: Tensor, marks: Tensor, *, mask: Tensor, bias: Tensor) -> Tensor:
        """What the history says about each candidate, [B, C, 4 E + H (J + 1)].

        Args:
            candidates: [B, C, E].
            steps: [B, K, E].
            marks: [B, K, J].
            mask: which steps a candidate may see, [B, C or 1, K].
            bias: added to the attention scores by how far back a step is, [H, C or 1, K].
        """
        q, k = self._split(self.query(candidates)), self._split(self.key(steps))
        scores = q @ k.transpose(-1, -2) * (self.size // self.heads) ** -0.5 + bias
        weights = torch.softmax(scores.masked_fill(~mask[:, None], _FAR), -1) * mask[:, None]  # [B, H, C, K]
        marked = steps + self.mark(marks)
        read = weights @ self._split(self.value(steps) + self.mark(marks))
        seen = weights @ marks[:, None]
        share = mask / mask.sum(-1, keepdim=True).clamp(min=1)  # [B, C or 1, K]
        mean, taste = share @ marked, share @ (self.taste(marks) * steps)
        parts = [
            candidates,
            read.transpose(1, 2).flatten(-2),
            mean.expand_as(candidates),
            taste * candidates,
            seen.transpose(1, 2).flatten(-2),
            weights.amax(-1).transpose(1, 2),
        ]
        return torch.cat(parts, -1)

    def forward(self, candidates: Tensor, context: Tensor, past: Past) -> Tensor:
        """What the history says, with the learned summary and its guess at the marks, [B, C, width]."""
        bias = self.recency[:, None]
        read = self.attend(candidates, past.steps, past.marks, mask=past.mask[:, None], bias=bias)
        hidden = self.hidden(read)
        return torch.cat([read, hidden, self.out(hidden)], -1)

    def guess(self, past: Past) -> Tensor:
        count = past.steps.shape[1]
        back = torch.arange(count)[None, :] - torch.arange(count)[:, None] - 1  # how far back step j is from step i
        earlier = past.mask[:, None] & (back >= 0)
        bias = self.recency[:, back.clamp(min=0)]
        return self.out(self.hidden(self.attend(past.steps, past.steps, past.marks, mask=earlier, bias=bias)))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        out: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # type: ignore[no-untyped-call]
        return out
