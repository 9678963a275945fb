"""Optimisers: Adam for dense weights, row-wise Adagrad for the rows of embedding tables that a batch touched."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_WARM = 0.15  # share of the steps in which the rate rises
_BETAS, _EPS = (0.9, 0.999), 1e-8
_LEAST = 1e-6  # added to roots that divide
_ROW_FACTOR = 10.0  # rate of embedding rows over that of the network, unless the network says otherwise


def rate(done: float) -> float:
    """The learning rate over its peak after a share of the steps: a linear rise, then half a cosine to 0."""
    if done < _WARM:
        return 0.04 + 0.96 * done / _WARM
    return 0.5 * (1 + math.cos(math.pi * min((done - _WARM) / (1 - _WARM), 1.0)))


class Adam(torch.optim.Optimizer):
    """AdamW for weights with dense gradients; for sparse gradients (embedding tables) row-wise Adagrad: one number per
    row is kept, the sum of the mean squares of its gradients, and only touched rows change. A network with a
    `row_factor` has all its embedding tables learned so, at this factor of its learning rate, whatever their size. A
    `row_steady` lets rows move at an even pace until they were touched about as often: the sums begin at so many times
    the mean square of the first batch, or rare rows would move as far at each touch as frequent ones did at first. A
    `table_reg` is an L2 penalty on embedding rows instead of the decay: under Adam it draws rare ids to 0 far harder
    than frequent ones.

    Source: Loshchilov & Hutter 2019; Gupta, Bengio & Weston 2014 for the row-wise accumulator.
    """

    def __init__(self, net: nn.Module, *, reg: float):
        super().__init__([p for p in net.parameters() if p.requires_grad], {"lr": 0.0, "reg": reg})
        factor = getattr(net, "row_factor", None)
        self.row_factor = float(factor or _ROW_FACTOR)
        self.by_rows, self.table_reg = bool(factor), float(getattr(net, "table_reg", 0.0))
        self.steady = float(getattr(net, "row_steady", 0.0))
        self.tables = {id(m.weight) for m in net.modules() if isinstance(m, nn.Embedding)}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None, *, lr: float = 0.0) -> None:  # type: ignore[override]
        """One step with this learning rate."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                if id(weight) in self.tables:
                    self._table(weight, lr, group["reg"])
                else:
                    adamw(weight, weight.grad, self.state[weight], lr, group["reg"])

    def _table(self, weight: Tensor, lr: float, reg: float) -> None:
        """One step of an embedding table."""
        grad, state = weight.grad, self.state[weight]
        assert grad is not None
        if grad.is_sparse:
            row_adagrad(weight, grad, state, self.row_factor * lr, reg=self.table_reg, steady=self.steady)
            return
        if self.table_reg:
            grad, reg = grad.add(weight, alpha=self.table_reg), 0.0
        if self.by_rows:
            table_adagrad(weight, grad, state, self.row_factor * lr, steady=self.steady)
        else:
            adamw(weight, grad, state, lr, reg)


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


def row_adagrad(
    weight: Tensor, grad: Tensor, state: dict[str, Any], lr: float, *, reg: float = 0.0, steady: float = 0.0
) -> None:
    """One row-wise Adagrad step in place, on the rows of a sparse gradient.

    Args:
        weight: the table, [V, E].
        grad: sparse.
        state: `total`, [V, 1], kept between steps.
        lr: learning rate.
        reg: L2 penalty on these rows.
        steady: where the sums begin, in mean squares of a row's gradient in the first batch.
    """
    grad = grad.coalesce()
    rows, values = grad.indices()[0], grad.values()
    if reg:
        values = values.add(weight[rows], alpha=reg)
    if not state:
        state.update(total=torch.full((len(weight), 1), steady * float(values.square().mean())))
    total = state["total"][rows] + values.square().mean(1, keepdim=True)
    state["total"][rows] = total
    weight.index_add_(0, rows, values / (total.sqrt() + _LEAST), alpha=-lr)


def table_adagrad(weight: Tensor, grad: Tensor, state: dict[str, Any], lr: float, *, steady: float = 0.0) -> None:
    """The same step on a whole small table: rows without a gradient stay as they are."""
    squares = grad.square().mean(1, keepdim=True)
    if not state:
        state.update(total=torch.full((len(weight), 1), steady * float(squares[squares > 0].mean().nan_to_num())))
    state["total"] += squares
    weight.addcdiv_(grad, state["total"].sqrt() + _LEAST, value=-lr)
