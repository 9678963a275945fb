"""Attention over what a person did, by a small network for each pair of a step and a candidate.

Shapes: B histories, C candidates each, K steps, J marks, E embedding size, A width of the attention, H heads.

Source: Zhou et al., KDD 2018.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from winnow.core.errors import InputError, Problem
from winnow.models.base import HeadType, Run, chosen_heads
from winnow.models.behaviour import BehaviourAttention
from winnow.models.examples import Examples
from winnow.models.inputs import Inputs, item_feature
from winnow.models.networks import ranking
from winnow.models.networks.layers import Categories, answer, perceptron, table
from winnow.models.networks.loop import Options, declared_key, seeded

_START = 0.05


class Interest(nn.Module):
    """Candidate and history → the steps, each weighed by what it says about the candidate, [B, C, E].

    The first layer would read step, candidate, difference and product side by side; its linear part splits into one
    for steps, one for candidates and one for products, so that only the last is computed for each pair.

    Args:
        size: E.
        width: A.
        marks: J.
    """

    def __init__(self, size: int, width: int, marks: int):
        super().__init__()
        self.candidate, self.step = nn.Linear(size, width), nn.Linear(size, width, bias=False)
        self.product = nn.Linear(size, width, bias=False)
        self.told = nn.Linear(marks + 1, width, bias=False)  # marks and age
        self.weight = nn.Linear(width, 1)
        self.value = nn.Linear(marks + 1, size, bias=False)

    def forward(self, candidates: Tensor, steps: Tensor, told: Tensor, mask: Tensor) -> Tensor:
        """Weighed sum over the steps.

        Args:
            candidates: [B, C, E].
            steps: [B, K, E].
            told: marks and age of each step, [B, K, J + 1].
            mask: which steps there are, [B, K].
        """
        pairs = self.product(candidates[:, :, None] * steps[:, None])  # [B, C, K, A]
        hidden = pairs + self.candidate(candidates)[:, :, None] + (self.step(steps) + self.told(told))[:, None]
        weights = self.weight(hidden.relu()).squeeze(-1) * mask[:, None]  # [B, C, K]
        return (weights / steps.shape[1] ** 0.5) @ (steps + self.value(told))  # type: ignore[no-any-return]


class BehaviourNet(nn.Module):
    """Features and history → log-odds (binary heads) or log(1 + amount) (regression heads).

    Args:
        inputs: how batches are read; has a history.
        declared: sizes.
        types: what each head is.
        item: the categorical feature with the candidate's own id; `` when there is none.
    """

    def __init__(self, inputs: Inputs, declared: BehaviourAttention, *, types: tuple[HeadType, ...], item: str):
        super().__init__()
        history = inputs.history
        assert history is not None
        size, marks = declared.history_size, max(1, len(history.marks))
        self.types, self.item, self.columns = types, item, dict(history.columns)
        self.wide = {c: bool(width) for c, width in history.widths.items()}
        own = {n: ids for n, ids in inputs.sizes.items() if n not in {item, *self.columns.values()}}
        self.categories = Categories(own, inputs.widths, declared.embedding_size)
        self.items = table(len(inputs.vocabularies[history.item]) + 1, size, start=_START, padded=True)
        sizes = [len(inputs.vocabularies[name]) for name in self.columns.values()]
        self.attributes = nn.ModuleList(table(ids, size, start=_START, padded=True) for ids in sizes)
        self.interest = Interest(size, declared.attention, marks)
        full = len(inputs.numerics.names) + declared.embedding_size * len(own) + 4 * size
        self.drop = nn.Dropout(declared.input_dropout)
        self.deep = perceptron((full, *declared.hidden), declared.dropout)
        self.out = nn.Linear(declared.hidden[-1], len(types))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Predictions, [B, C, H]."""
        return answer(self.logits(batch), self.types)

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Network outputs, [B, C, H]."""
        own = batch[f"cat|{self.item}"] + 1 if self.item else torch.ones_like(batch["numeric"][..., 0]).long()
        candidates = self._vectors(own, {c: batch[f"cat|{feature}"] for c, feature in self.columns.items()})
        steps = self._vectors(batch["seq|row"], {c: batch[f"seq|{c}"] for c in self.columns})
        mask = (batch["seq|row"] > 0).to(steps.dtype)
        told = torch.cat([batch["seq|marks"], batch["seq|age"][..., None]], -1)
        interest = self.interest(candidates, steps, told, mask)
        mean = (mask[:, None] @ steps) / mask.sum(-1)[:, None, None].clamp(min=1)  # [B, 1, E]
        read = [candidates, interest, interest * candidates, mean * candidates]
        x = torch.cat([batch["numeric"], *self.categories(batch), *read], -1)
        return self.out(self.deep(self.drop(x)))  # type: ignore[no-any-return]

    def _vectors(self, rows: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        """Items as vectors, [..., E], from their ids and attributes."""
        out: Tensor = self.items(rows)
        for name, rows_of in zip(self.columns, self.attributes, strict=True):
            vectors = rows_of(columns[name])
            out = out + (vectors.sum(-2) if self.wide[name] else vectors)
        return out


def fit(declared: BehaviourAttention, train: Examples, valid: Examples, run: Run) -> None:
    """Train, export and write a behaviour-attention network.

    Raises:
        InputError: `no-history`, when no sequence is among the features.
    """
    heads, item = chosen_heads(declared.heads, train, run), item_feature(train)
    inputs = Inputs.fit(train, least=declared.least, history=declared.history, item=item)
    if inputs.history is None:
        what, fix = "BehaviourAttention found no history to read", "add a feature such as `w.last(watch.video, 50)`"
        raise InputError(Problem("no-history", what, declared.where, fix=fix))
    arrays, held_out = (ranking.arrays_of(inputs, part, heads) for part in (train, valid))
    options = Options(declared.epochs, declared.batch_size, declared.learning_rate, declared.reg)
    with seeded(run):
        net = BehaviourNet(inputs, declared, types=tuple(heads.values()), item=item)
        ranking.fit(net, arrays, held_out, options=options, run=run, key=declared_key(declared, train))
        ranking.write("BehaviourAttention", net, inputs, arrays, heads=heads, run=run)
