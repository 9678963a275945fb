"""Losses of a head whose feedback comes late, and the network that learns with them.

Shapes: N rows, H heads. `survival` has one output more: the logarithm of the rate at which conversions come, per
window.

Source: Chapelle, KDD 2014 (survival); Ktena et al., RecSys 2019 (weighted, calibrated).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.models.base import HeadType
from winnow.models.delayed import WAITED, Delay, Method, after_name
from winnow.models.examples import Examples
from winnow.models.inputs import Inputs
from winnow.models.networks import ranking
from winnow.models.networks.layers import answer, head_losses
from winnow.models.networks.loop import Batch, Loss

_RATE_LIMIT = 10.0  # of the logarithm of the rate

softplus = nn.functional.softplus


def weighted(z: Tensor, y: Tensor) -> Tensor:
    """Fake negatives, weighted, [N]: (1 + p) for positives and (1 - p)(1 + p) for negatives, p held fixed."""
    p = z.detach().sigmoid()
    return torch.where(y > 0, (1 + p) * softplus(-z), (1 - p) * (1 + p) * softplus(z))


def survival(z: Tensor, y: Tensor, rate: Tensor, *, after: Tensor, waited: Tensor) -> Tensor:
    """Conversion and exponential delay together, [N].

    −log(p λ e^{−λd}) with a conversion after d, −log(1 − p + p e^{−λe}) without one after waiting e: with e = 0 a row
    teaches nothing.

    Args:
        z: log-odds of converting at all, [N].
        y: whether a conversion has come, [N].
        rate: log λ, [N].
        after: d, [N]; anything where y is 0.
        waited: e, [N], in the unit of d.
    """
    rate = rate.clamp(-_RATE_LIMIT, _RATE_LIMIT)
    came = softplus(-z) - rate + rate.exp() * after
    return torch.where(y > 0, came, softplus(z) - softplus(z - rate.exp() * waited))


def loss_of(delay: Delay | None, heads: tuple[str, ...], types: tuple[HeadType, ...]) -> Loss:
    """The loss of a ranking network of which one head's feedback comes late; the others as in `ranking.loss`."""
    if delay is None:
        return ranking.loss
    place = heads.index(delay.head)
    scale = torch.tensor([1.0 if t == "binary" else ranking.AMOUNT_WEIGHT for t in types])

    def loss(net: nn.Module, batch: Batch) -> Tensor:
        logits = net.logits(batch).flatten(0, -2)  # type: ignore[operator]
        labels = batch["labels"]
        columns = list(head_losses(logits[:, : len(types)], labels, types).unbind(1))
        columns[place] = _late(delay.method, logits, batch, place=place)
        weight = batch["weight"]
        return ((torch.stack(columns, 1) * scale).sum(1) * weight).sum() / weight.sum().clamp(min=1e-6)

    return loss


def _late(method: Method, logits: Tensor, batch: Batch, *, place: int) -> Tensor:
    """Loss of the late head, [N]; 0 where the label is NaN."""
    y, z = batch["labels"][:, place], logits[:, place]
    known, y = ~y.isnan(), y.nan_to_num(0.0)
    if method == "survival":
        return survival(z, y, logits[:, -1], after=batch["after"], waited=batch["waited"]) * known
    if method == "weighted":
        return weighted(z, y) * known
    return nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none") * known


class Answered(nn.Module):
    """A network that serves: without the output of the rate, and with p = b / (1 − b) where it learned b."""

    def __init__(self, net: nn.Module, heads: Mapping[str, HeadType], delay: Delay | None):
        super().__init__()
        self.net, self.types = net, tuple(heads.values())
        self.place = tuple(heads).index(delay.head) if delay and delay.method == "calibrated" else -1

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        logits = self.net.logits(batch)[..., : len(self.types)]  # type: ignore[operator]
        out = answer(logits, self.types)
        if self.place < 0:
            return out
        late = logits[..., self.place].clamp(max=0.0).exp()  # b / (1 − b) = e^z
        return torch.cat([out[..., : self.place], late[..., None], out[..., self.place + 1 :]], -1)


def arrays_of(
    inputs: Inputs, rows: Examples, heads: Mapping[str, HeadType], delay: Delay | None
) -> dict[str, NDArray[Any]]:
    """What the loss reads: as `ranking.arrays_of`, with `after` and `waited` [N] in windows where there is a delay."""
    plain = replace(rows, features=replace(rows.features, training_only={}))
    arrays = ranking.arrays_of(inputs, plain, heads)
    if delay is None:
        return arrays
    only, unit = rows.features.training_only, delay.window.total_seconds()
    late = {"after": np.nan_to_num(only[after_name(delay.head)]), "waited": only[WAITED]}
    return arrays | {name: (seconds / unit).astype(np.float32) for name, seconds in late.items()}
