"""Multi-gate mixture of experts over features, embeddings and the attended history, one tower per head.

Shapes: B histories, C candidates for each, F numerics, K steps, J marks, H heads, X experts, D width of the input.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.models.base import HeadType, Run, chosen_heads
from winnow.models.examples import Examples
from winnow.models.inputs import Inputs, item_feature
from winnow.models.multitask import MultiTask
from winnow.models.networks import ranking
from winnow.models.networks.history import HistoryNet
from winnow.models.networks.layers import Categories, answer, perceptron
from winnow.models.networks.loop import Options, cut, declared_key, seeded
from winnow.models.networks.loop import train as fit_loop

_HISTORY_DROPOUT = 0.2
_HISTORY_RATE, _HISTORY_REG = 2e-3, 0.02
_HISTORIES_A_STEP = 64
_LEAST_STEPS = 4  # shorter histories say too little to guess from
_JUDGES = 0.1
_AT_ONCE = 2_048


class MultiTaskNet(nn.Module):
    """Features → log-odds (binary heads) or log(1 + amount) (regression heads).

    Args:
        numerics: F.
        categories: embeddings of the categorical features.
        width: total size of those embeddings.
        types: what each head is.
        experts: X.
        hidden: width of an expert's layers.
        dropout: share of input and of hidden values dropped in training: (input, hidden).
        history: attention over the history, or None.
        item: the categorical feature with the candidate's own id; `` when there is none.
    """

    def __init__(
        self, numerics: int, categories: Categories, *, width: int, types: tuple[HeadType, ...], experts: int,
        hidden: int, dropout: tuple[float, float], history: HistoryNet | None = None, item: str = "",
        columns: Mapping[str, str] | None = None,
    ):  # fmt: skip
        super().__init__()
        self.categories, self.history, self.types = categories, history, types
        self.item, self.columns = item, dict(columns or {})
        full = numerics + width + (history.width if history else 0)
        self.drop = nn.Dropout(dropout[0])
        self.experts = nn.ModuleList(perceptron((full, hidden, hidden), dropout[1]) for _ in range(experts))
        self.gates = nn.Linear(full, experts * len(types))
        self.towers = nn.Parameter(torch.randn(len(types), hidden) * hidden**-0.5)
        self.wide = nn.Linear(full, len(types))
        self.position = nn.Linear(2, len(types), bias=False)
        for layer in (self.gates, self.position):
            nn.init.zeros_(layer.weight)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Predictions as served, [B, C, H]: position plays no part."""
        return answer(self.logits(batch), self.types)

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Network outputs, [B, C, H]; with `position` [B, C, 2] in the batch (training), its own part is added."""
        x = self.drop(torch.cat([batch["numeric"], *self.categories(batch), *self.remembered(batch)], -1))
        experts = torch.stack([expert(x) for expert in self.experts], -2)  # [B, C, X, hidden]
        gates = self.gates(x).unflatten(-1, (len(self.types), -1)).softmax(-1)  # [B, C, H, X]
        out: Tensor = ((gates @ experts) * self.towers).sum(-1) + self.wide(x)
        return out + self.position(batch["position"]) if "position" in batch else out

    def remembered(self, batch: Mapping[str, Tensor]) -> list[Tensor]:
        """What the history says about each candidate, [B, C, width]; nothing without a history."""
        if self.history is None:
            return []
        if "remembered" in batch:  # worked out beforehand, where the history part no longer learns
            return [batch["remembered"]]
        own = batch[f"cat|{self.item}"] + 1 if self.item else torch.ones_like(batch["numeric"][..., 0]).long()
        candidates = self.history.vectors(own, {c: batch[f"cat|{f}"] for c, f in self.columns.items()})
        return [self.history(candidates, self.steps(batch), batch["seq|marks"], batch["seq|row"] > 0)]

    def steps(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The history's items as vectors, [B, K, E]."""
        assert self.history is not None
        return self.history.vectors(batch["seq|row"], {c: batch[f"seq|{c}"] for c in self.columns})


def fit(declared: MultiTask, train: Examples, valid: Examples, run: Run) -> None:
    """Train, export and write a multi-task network."""
    heads = chosen_heads(declared.heads, train, run)
    item = item_feature(train)
    inputs = Inputs.fit(train, least=declared.least, history=declared.history, item=item)
    arrays, held_out = (ranking.arrays_of(inputs, part, heads) for part in (train, valid))
    options = Options(declared.epochs, declared.batch_size, declared.learning_rate, declared.reg)
    key = declared_key(declared, train)
    with seeded(run):
        net = build(declared, inputs, tuple(heads.values()), item)
        share = 0.0
        if net.history is not None and inputs.history and inputs.history.marks and declared.history_epochs:
            share = 0.5
            pretrain(net, arrays, train, declared=declared, run=run.part("history", 0.0, share), key=key)
        learned, judged = ({**a, **remember(net, a)} for a in (arrays, held_out))
        ranking.fit(net, learned, judged, options=options, run=run.part("network", share), key=key)
        ranking.write("MultiTask", net, inputs, arrays, heads=heads, run=run)


def build(declared: MultiTask, inputs: Inputs, types: tuple[HeadType, ...], item: str) -> MultiTaskNet:
    """The network of a declaration, with first weights."""
    columns = dict(inputs.history.columns) if inputs.history else {}
    shared = {item, *columns.values()} if inputs.history else set()  # the history part already tells these apart
    own = {name: size for name, size in inputs.sizes.items() if name not in shared}
    history = None
    if inputs.history:
        history = HistoryNet(
            len(inputs.vocabularies[inputs.history.item]) + 1,
            {c: (len(inputs.vocabularies[f]), inputs.history.widths[c]) for c, f in columns.items()},
            marks=max(1, len(inputs.history.marks)), size=declared.history_size, steps=inputs.length,
            heads=declared.attention_heads, dropout=_HISTORY_DROPOUT,
        )  # fmt: skip
    return MultiTaskNet(
        len(inputs.numerics.names), Categories(own, inputs.widths, declared.embedding_size),
        width=declared.embedding_size * len(own), types=types, experts=declared.experts, hidden=declared.hidden,
        dropout=(declared.input_dropout, declared.dropout), history=history, item=item, columns=columns,
    )  # fmt: skip


def pretrain(
    net: MultiTaskNet, arrays: Mapping[str, NDArray[Any]], train: Examples, *, declared: MultiTask, run: Run, key: str
) -> None:
    """Teach the attention to guess the marks of each step from the steps before it, then hold it fixed.

    One history per user, as it stood at the user's first training row; a tenth of the users judge.
    """
    assert net.history is not None
    first = np.unique(train.user, return_index=True)[1]
    first = first[(arrays["seq|row"][first] > 0).sum(1) >= _LEAST_STEPS]
    judges = np.random.default_rng(run.seed).random(len(first)) < _JUDGES
    steps = {n: a for n, a in arrays.items() if n.startswith("seq|")}
    held_out, histories = ({n: a[first[part]] for n, a in steps.items()} for part in (judges, ~judges))
    options = Options(declared.history_epochs, _HISTORIES_A_STEP, _HISTORY_RATE, _HISTORY_REG, patience=1)
    if len(first) and judges.any() and not judges.all():
        fit_loop(net, histories, marks_loss, options=options, run=run, key=f"history {key}",
                 judge=lambda: ranking.mean_loss(net, held_out, marks_loss))  # fmt: skip
        net.history.requires_grad_(False)


def remember(net: MultiTaskNet, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What a fixed history part says about every row, `remembered` [N, 1, width]; nothing if it still learns."""
    if net.history is None or net.history.out.weight.requires_grad:
        return {}
    net.eval()
    reads = {n: a for n, a in arrays.items() if n.startswith(("seq|", "cat|")) or n == "numeric"}
    rows = len(reads["numeric"])
    with torch.no_grad():
        parts = [net.remembered(cut(reads, slice(i, i + _AT_ONCE)))[0] for i in range(0, rows, _AT_ONCE)]
    return {"remembered": torch.cat(parts).numpy()} if parts else {}


def marks_loss(net: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Log loss of the guessed marks over the steps that have enough steps before them."""
    assert isinstance(net, MultiTaskNet)
    assert net.history is not None
    mask, marks = batch["seq|row"] > 0, batch["seq|marks"]
    guess = net.history.guess(net.steps(batch), marks, mask)
    losses = nn.functional.binary_cross_entropy_with_logits(guess, marks, reduction="none").sum(-1)
    before = mask.flip(1).cumsum(1).flip(1) - 1  # steps before each one; padding stands at the end
    counted = mask & (before >= _LEAST_STEPS - 1)
    return (losses * counted).sum() / counted.sum().clamp(min=1)
