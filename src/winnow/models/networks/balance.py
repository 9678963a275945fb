"""Heads of very different base rates in one loss: what each weighs, and where each begins."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.features.batch import Floats
from winnow.models.base import HeadType
from winnow.models.networks.layers import head_losses
from winnow.models.networks.loop import Batch, Loss
from winnow.models.networks.ranking import AMOUNT_WEIGHT


def balanced(
    start: nn.Parameter, arrays: Mapping[str, NDArray[Any]], types: tuple[HeadType, ...], *, power: float
) -> Loss:
    """The loss of a network whose rare heads count for more; its heads start at what is known of them without features.

    A head of rate p weighs (ln 2 / H(p)) ** power, H being the entropy of its labels: with power 1 what is summed up
    is the normalised entropy of every head, with power 0 the log loss, of which rare heads are a tiny part. A label
    that is NaN teaches nothing, and each head's mean is over the rows where it is known.

    Args:
        start: biases of the heads, set to the log-odds of their rates, or the mean of log(1 + amount), [H].
        arrays: with `labels` [N, H] and `weight` [N].
        types: what each head is.
        power: how far rare heads are raised.
    """
    facts = [_facts(arrays["labels"][:, i], arrays["weight"], kind) for i, kind in enumerate(types)]
    with torch.no_grad():
        start.copy_(torch.tensor([first for first, _ in facts]))
    scale = torch.tensor([weight**power * (1.0 if t == "binary" else AMOUNT_WEIGHT)
                          for (_, weight), t in zip(facts, types, strict=True)])  # fmt: skip

    def loss(net: nn.Module, batch: Batch) -> Tensor:
        labels = batch["labels"]
        losses = head_losses(net.logits(batch).flatten(0, -2), labels, types)  # type: ignore[operator]
        weight = batch["weight"][:, None]
        mass = (weight * ~labels.isnan()).sum(0).clamp(min=1e-6)
        return ((losses * weight).sum(0) / mass * scale).sum()

    return loss


def _facts(labels: Floats, weight: Floats, kind: HeadType) -> tuple[float, float]:
    """Where a head begins, and ln 2 over the entropy of its labels; 0 and 1 for a head without labels."""
    known = ~np.isnan(labels) & (weight > 0)
    if not known.any():
        return 0.0, 1.0
    y, w = labels[known].astype(np.float64), weight[known].astype(np.float64)
    if kind == "regression":
        return float(np.average(np.log1p(np.maximum(y, 0)), weights=w)), 1.0
    rate = (w @ y + 0.5) / (w.sum() + 1.0)  # never 0 or 1
    entropy = -rate * math.log(rate) - (1 - rate) * math.log(1 - rate)
    return math.log(rate / (1 - rate)), math.log(2) / entropy
