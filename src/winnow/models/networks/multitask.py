"""Multi-gate mixture of experts over features, embeddings and the attended history, one tower per head.

Shapes: B histories, C candidates for each, F numerics, K steps, J marks, H heads, X experts, O experts of each head's
own, D width of the input.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.models.action_transformer import ActionTransformer
from winnow.models.base import HeadType, Run, chosen_heads
from winnow.models.examples import Examples
from winnow.models.inputs import Inputs, item_feature
from winnow.models.multitask import MultiTask
from winnow.models.networks import ranking
from winnow.models.networks.actions import ActionMemory
from winnow.models.networks.balance import balanced
from winnow.models.networks.history import HistoryNet, Memory, Past
from winnow.models.networks.layers import Categories, answer, perceptron
from winnow.models.networks.loop import Loss, Options, cut, declared_key, seeded
from winnow.models.networks.loop import train as fit_loop
from winnow.models.ple import PLE

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
        own: O.
        item: the categorical feature with the candidate's own id; `` when there is none.
    """

    def __init__(
        self, numerics: int, categories: Categories, *, width: int, types: tuple[HeadType, ...], experts: int,
        hidden: int, dropout: tuple[float, float], history: Memory | None = None, own: int = 0,
        item: str = "", columns: Mapping[str, str] | None = None,
    ):  # fmt: skip
        super().__init__()
        self.categories, self.history, self.types = categories, history, types
        self.item, self.columns, self.shared, self.own = item, dict(columns or {}), experts, own
        full = numerics + width + (history.width if history else 0)
        self.drop = nn.Dropout(dropout[0])
        self.experts = nn.ModuleList(perceptron((full, hidden, hidden), dropout[1]) for _ in range(experts))
        self.gates = nn.Linear(full, (experts + own) * len(types))
        self.towers = nn.Parameter(torch.randn(len(types), hidden) * hidden**-0.5)
        self.wide = nn.Linear(full, len(types))
        self.position = nn.Linear(2, len(types), bias=False)
        self.own_experts = nn.ModuleList(
            perceptron((full, hidden, hidden), dropout[1]) for _ in range(own * len(types))
        )
        for layer in (self.gates, self.position):
            nn.init.zeros_(layer.weight)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Predictions as served, [B, C, H]: position plays no part."""
        return answer(self.logits(batch), self.types)

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Network outputs, [B, C, H]; with `position` [B, C, 2] in the batch (training), its own part is added."""
        context = self.context(batch)
        x = self.drop(torch.cat([context, *self.remembered(batch, context)], -1))
        out: Tensor = (self.mixed(x) * self.towers).sum(-1) + self.wide(x)
        return out + self.position(batch["position"]) if "position" in batch else out

    def mixed(self, x: Tensor) -> Tensor:
        """What each head is given of the experts, [B, C, H, hidden]."""
        experts = torch.stack([expert(x) for expert in self.experts], -2)  # [B, C, X, hidden]
        gates = self.gates(x).unflatten(-1, (len(self.types), -1)).softmax(-1)  # [B, C, H, X + O]
        if not self.own:
            return gates @ experts  # type: ignore[no-any-return]
        own = torch.stack([expert(x) for expert in self.own_experts], -2)
        own = own.unflatten(-2, (len(self.types), self.own))  # type: ignore[no-untyped-call]
        return gates[..., : self.shared] @ experts + (gates[..., None, self.shared :] @ own).squeeze(-2)  # type: ignore[no-any-return]

    def context(self, batch: Mapping[str, Tensor]) -> Tensor:
        """All that is known of the candidates but for the history, [B, C, F + width]."""
        return torch.cat([batch["numeric"], *self.categories(batch)], -1)

    def remembered(self, batch: Mapping[str, Tensor], context: Tensor) -> list[Tensor]:
        """What the history says about each candidate, [B, C, width]; nothing without a history."""
        if self.history is None:
            return []
        if "remembered" in batch:  # worked out beforehand, where the history part no longer learns
            return [batch["remembered"]]
        own = batch[f"cat|{self.item}"] + 1 if self.item else torch.ones_like(batch["numeric"][..., 0]).long()
        candidates = self.history.vectors(own, {c: batch[f"cat|{f}"] for c, f in self.columns.items()})
        return [self.history(candidates, context, self.past(batch))]

    def past(self, batch: Mapping[str, Tensor]) -> Past:
        """The history's steps."""
        assert self.history is not None
        vectors = self.history.vectors(batch["seq|row"], {c: batch[f"seq|{c}"] for c in self.columns})
        return Past(vectors, batch["seq|marks"], batch["seq|row"] > 0, batch["seq|age"])


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
        loss: Loss = ranking.loss
        if isinstance(declared, PLE):
            loss = balanced(net.wide.bias, arrays, net.types, power=declared.balance)
        share = 0.0
        if net.history is not None and inputs.history and inputs.history.marks and declared.history_epochs:
            share = 0.5
            pretrain(net, arrays, train, declared=declared, run=run.part("history", 0.0, share))
        learned, judged = ({**a, **remember(net, a)} for a in (arrays, held_out))
        learn(net, learned, judged, loss=loss, options=options, run=run.part("network", share), key=key)
        ranking.write(type(declared).__name__, net, inputs, arrays, heads=heads, run=run)


def build(declared: MultiTask, inputs: Inputs, types: tuple[HeadType, ...], item: str) -> MultiTaskNet:
    """The network of a declaration, with first weights."""
    columns = dict(inputs.history.columns) if inputs.history else {}
    shared = {item, *columns.values()} if inputs.history else set()  # the history part already tells these apart
    own = {name: size for name, size in inputs.sizes.items() if name not in shared}
    width = declared.embedding_size * len(own)
    history = remembering(declared, inputs, len(inputs.numerics.names) + width) if inputs.history else None
    return MultiTaskNet(
        len(inputs.numerics.names), Categories(own, inputs.widths, declared.embedding_size),
        width=width, types=types, experts=declared.experts, hidden=declared.hidden,
        dropout=(declared.input_dropout, declared.dropout), history=history, item=item, columns=columns,
        own=declared.own_experts if isinstance(declared, PLE) else 0,
    )  # fmt: skip


def remembering(declared: MultiTask, inputs: Inputs, context: int) -> Memory:
    """The part that reads the history.

    Args:
        declared: the model.
        inputs: with a history.
        context: how much is known of a candidate besides.
    """
    read = inputs.history
    assert read is not None
    items = len(inputs.vocabularies[read.item]) + 1
    columns = {c: (len(inputs.vocabularies[f]), read.widths[c]) for c, f in read.columns.items()}
    common: dict[str, Any] = {
        "marks": max(1, len(read.marks)), "size": declared.history_size, "steps": inputs.length,
        "heads": declared.attention_heads, "dropout": _HISTORY_DROPOUT,
    }  # fmt: skip
    if isinstance(declared, ActionTransformer):
        told = context if declared.history_learns else 0  # what is fixed before the impressions cannot learn from it
        return ActionMemory(items, columns, layers=declared.layers, context=told, **common)
    return HistoryNet(items, columns, **common)


def learn(
    net: MultiTaskNet, arrays: dict[str, NDArray[Any]], valid: dict[str, NDArray[Any]], *, loss: Loss, options: Options,
    run: Run, key: str,
) -> None:  # fmt: skip
    """Train on the impressions, judged by the loss on the validation rows, where the position counts for nothing."""
    held_out = {name: a for name, a in valid.items() if name != "position"}
    if "remembered" in arrays:
        arrays, held_out = ({k: a for k, a in d.items() if not k.startswith("seq|")} for d in (arrays, held_out))
    fit_loop(net, arrays, loss, options=options, run=run, key=key, judge=lambda: ranking.mean_loss(net, held_out, loss))


def pretrain(
    net: MultiTaskNet, arrays: Mapping[str, NDArray[Any]], train: Examples, *, declared: MultiTask, run: Run
) -> None:
    """Teach the attention to guess the marks of each step from the steps before it, then hold it fixed.

    One history per user, as it stood at the user's first training row; a tenth of the users judge. No head plays a part
    in it: the checkpoint of a run with other heads will do.
    """
    assert net.history is not None
    first = np.unique(train.user, return_index=True)[1]
    first = first[(arrays["seq|row"][first] > 0).sum(1) >= _LEAST_STEPS]
    judges = np.random.default_rng(run.seed).random(len(first)) < _JUDGES
    steps = {n: a for n, a in arrays.items() if n.startswith("seq|")}
    held_out, histories = ({n: a[first[part]] for n, a in steps.items()} for part in (judges, ~judges))
    options = Options(declared.history_epochs, _HISTORIES_A_STEP, _HISTORY_RATE, _HISTORY_REG, patience=1)
    if len(first) and judges.any() and not judges.all():
        fit_loop(net.history, histories, lambda _, batch: marks_loss(net, batch), options=options, run=run,
                 key=f"history {declared_key(replace(declared, heads=()), train)}",
                 judge=lambda: ranking.mean_loss(net, held_out, marks_loss))  # fmt: skip
        net.history.requires_grad_(isinstance(declared, ActionTransformer) and declared.history_learns)


def remember(net: MultiTaskNet, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What a fixed history part says about every row, `remembered` [N, 1, width]; nothing if it still learns."""
    if net.history is None or next(net.history.parameters()).requires_grad:
        return {}
    net.eval()
    reads = {n: a for n, a in arrays.items() if n.startswith(("seq|", "cat|")) or n == "numeric"}
    rows = len(reads["numeric"])
    with torch.no_grad():
        batches = (cut(reads, slice(i, i + _AT_ONCE)) for i in range(0, rows, _AT_ONCE))
        parts = [net.remembered(batch, net.context(batch))[0] for batch in batches]
    return {"remembered": torch.cat(parts).numpy()} if parts else {}


def marks_loss(net: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Log loss of the guessed marks over the steps that have enough steps before them."""
    assert isinstance(net, MultiTaskNet)
    assert net.history is not None
    mask, marks = batch["seq|row"] > 0, batch["seq|marks"]
    guess = net.history.guess(net.past(batch))
    losses = nn.functional.binary_cross_entropy_with_logits(guess, marks, reduction="none").sum(-1)
    before = mask.flip(1).cumsum(1).flip(1) - 1  # steps before each one; padding stands at the end
    counted = mask & (before >= _LEAST_STEPS - 1)
    return (losses * counted).sum() / counted.sum().clamp(min=1)
