"""A causal transformer over what a member did, whose every layer candidates read without seeing one another.

Steps know what came before them and how long before; how long ago they were is told to the candidates alone, so the
encoded history stays the same until the member acts again. Shapes: B histories, C candidates for each, K steps newest
first, J marks per step, E width, H attention heads, L layers.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from winnow.models.networks.history import Memory, Past
from winnow.models.networks.isolation import IsolatedLayer, Kept

_AGE = 10.0  # ages come as log(1 + seconds) / 10
_KNOTS = 16


class ActionMemory(Memory):
    """History and candidates through the same layers → what the history says about the candidates.

    Args:
        items: ids of items, 0 for padding included.
        columns: attribute → (ids, values per item or 0).
        marks: J.
        context: how much else is known of a candidate that the layers are told; 0 for nothing.
        size: E.
        steps: K.
        layers: L.
        heads: H.
        dropout: share of values dropped in training.
    """

    def __init__(
        self, items: int, columns: Mapping[str, tuple[int, int]], *, marks: int, context: int, size: int, steps: int,
        layers: int, heads: int, dropout: float,
    ):  # fmt: skip
        super().__init__(items, columns, size=size, dropout=dropout)
        self.mark, self.gap = nn.Linear(marks, size, bias=False), nn.Linear(2, size)
        self.context = nn.Linear(context, size) if context else None
        self.asked = nn.Parameter(torch.zeros(size))
        self.layers = nn.ModuleList(IsolatedLayer(size, heads, dropout) for _ in range(layers))
        self.order = nn.Parameter(torch.zeros(layers, heads, steps))  # how far back, from step to step
        self.recency = nn.Parameter(torch.zeros(layers, heads, steps))  # the same, from candidate to step
        self.age = nn.Sequential(nn.Linear(1, _KNOTS), nn.ReLU(), nn.Linear(_KNOTS, layers * heads, bias=False))
        self.norm, self.out = nn.LayerNorm(size), nn.Linear(size, marks)
        for weight in self.context.parameters() if self.context else ():
            nn.init.zeros_(weight)
        self.width = 2 * size + marks

    def forward(self, candidates: Tensor, context: Tensor, past: Past) -> Tensor:
        """The candidate's own vector, what the layers made of it and the guess at its marks, [B, C, 2 E + J]."""
        ages, back = past.age[:, None], torch.arange(past.steps.shape[1])[None]
        asked = candidates + self.context(context) if self.context else candidates
        read = self.read(asked, self.encode(past), past.mask[:, None], ages, back)
        return torch.cat([candidates, read, self.out(read)], -1)

    def guess(self, past: Past) -> Tensor:
        """Every step as a candidate that reads the steps before it, [B, K, J]."""
        back = _back(past.steps.shape[1]) - 1
        seconds = _seconds(past.age)
        ages = _scaled(seconds[:, None, :] - seconds[:, :, None])
        earlier = past.mask[:, None] & (back >= 0)
        return self.out(self.read(past.steps, self.encode(past), earlier, ages, back.clamp(min=0)))  # type: ignore[no-any-return]

    def encode(self, past: Past) -> list[Kept]:
        """What candidates read of the history, layer by layer."""
        back = _back(past.steps.shape[1])
        allowed = past.mask[:, None] & (back >= 0)
        x, kept = past.steps + self.mark(past.marks) + self.gap(_gaps(past)), []
        for layer, order in zip(self.layers, self.order, strict=True):
            x, memory = layer.remember(x, allowed, order[:, back.clamp(min=0)])  # type: ignore[operator]
            kept.append(memory)
        return kept

    def read(self, candidates: Tensor, kept: list[Kept], allowed: Tensor, ages: Tensor, back: Tensor) -> Tensor:
        """The candidates after all layers, [B, C, E].

        Args:
            candidates: [B, C, E].
            kept: of the history.
            allowed: which steps each may read, [B, C or 1, K].
            ages: log(1 + seconds) / 10 since each step, [B, C or 1, K].
            back: the step's number counted from the candidate, [C or 1, K].
        """
        by_age = self.age(ages[..., None]).permute(0, 3, 1, 2).chunk(len(self.layers), 1)  # [B, H, C or 1, K] each
        x = candidates + self.asked
        for layer, memory, age, recency in zip(self.layers, kept, by_age, self.recency, strict=True):
            x = layer.judge(x, memory, allowed, age + recency[:, back])  # type: ignore[operator]
        return self.norm(x)  # type: ignore[no-any-return]


def _back(count: int) -> Tensor:
    """How many steps before step i step j was done, int64 [K, K]; negative for later ones."""
    return torch.arange(count)[None, :] - torch.arange(count)[:, None]


def _seconds(age: Tensor) -> Tensor:
    """Ages as they come → seconds (`expm1` and `log1p` have no counterpart in ONNX)."""
    return (age * _AGE).exp() - 1


def _scaled(seconds: Tensor) -> Tensor:
    """And back; what is negative counts as 0."""
    return (seconds.clamp(min=0) + 1).log() / _AGE


def _gaps(past: Past) -> Tensor:
    """Time since the step before, as log(1 + seconds) / 10, and whether there is one, [B, K, 2]."""
    seconds = _seconds(past.age)
    since = torch.cat([seconds[:, 1:] - seconds[:, :-1], torch.zeros_like(seconds[:, :1])], 1)
    known = torch.cat([past.mask[:, 1:], torch.zeros_like(past.mask[:, :1])], 1).float()
    return torch.stack([_scaled(since) * known, known], -1)
