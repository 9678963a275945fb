"""Optimisers: Adam for dense weights, row-wise Adagrad for the rows of embedding tables that a batch touched."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_WARM = 0.15  # share of the steps in which the rate rises
_BETAS, _EPS = (0.9, 0.999), 1e-8


def rate(done: float) -> float:
    """The learning rate over its peak after a share of the steps: a linear rise, then half a cosine to 0."""
    if done < _WARM:
        return 0.04 + 0.96 * done / _WARM
    return 0.5 * (1 + math.cos(math.pi * min((done - _WARM) / (1 - _WARM), 1.0)))


class Adam(torch.optim.Optimizer):
    """AdamW for weights with dense gradients; for sparse gradients (embedding tables) row-wise Adagrad: one number per
    row is kept, the sum of the mean squares of its gradients, and only touched rows change.

    Source: Loshchilov & Hutter 2019; Gupta, Bengio & Weston 2014 for the row-wise accumulator.
    """

    def __init__(self, net: nn.Module, *, reg: float):
        super().__init__([p for p in net.parameters() if p.requires_grad], {"lr": 0.0, "reg": reg})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None, *, lr: float = 0.0) -> None:  # type: ignore[override]
        """One step with this learning rate."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                if weight.grad.is_sparse:
                    row_adagrad(weight, weight.grad, self.state[weight], 10 * lr)
                else:
                    adamw(weight, weight.grad, self.state[weight], lr, group["reg"])


def adamw(weight: Tensor, grad: Tensor, state: dict[str, Any], lr: float, reg: float) -> None:
    """One AdamW step in place."""
    if not state:
        state.update(step=torch.zeros(()), m=torch.zeros_like(weight), v=torch.zeros_like(weight))
    state["step"] += 1
    n = float(state["step"])
    state["m"].lerp_(grad, 1 - _BETAS[0])
    state["v"].mul_(_BETAS[1]).addcmul_(grad, grad, value=1 - _BETAS[1])
    scale = (state["v"] / (1 - _BETAS[1] ** n)).sqrt_().add_(_EPS)
    if weight.ndim > 1:  # biases and scales are not shrunk
        weight.mul_(1 - lr * reg)
    weight.addcdiv_(state["m"], scale, value=-lr / (1 - _BETAS[0] ** n))


def row_adagrad(weight: Tensor, grad: Tensor, state: dict[str, Any], lr: float) -> None:
    """One row-wise Adagrad step in place, on the rows of a sparse gradient."""
    grad = grad.coalesce()
    rows, values = grad.indices()[0], grad.values()
    if not state:
        state.update(total=torch.zeros(len(weight), 1))
    total = state["total"][rows] + values.square().mean(1, keepdim=True)
    state["total"][rows] = total
    weight[rows] -= lr * values / (total.sqrt() + 1e-6)
