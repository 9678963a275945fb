"""Logistic regression on sparse rows: exact, by L-BFGS; one head, or several of which exactly one is true."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class Linear(NamedTuple):
    """Weights of K columns for G heads.

    Args:
        weights: float64 [K, G].
        bias: float64 [G].
    """

    weights: Values
    bias: Values


def class_weights(labels: Values, balance: float) -> Values:
    """Weight of each row, float64 [N], mean 1: the rarer its class the more, by the power `balance` (0 none, 1 full).

    Args:
        labels: one column per head, float64 [N, G]; a head alone is told apart by 0 and 1.
        balance: 0 to 1.
    """
    codes = labels.argmax(axis=1) if labels.shape[1] > 1 else (labels[:, 0] > 0.5).astype(np.int64)
    counts = np.bincount(codes).astype(np.float64)
    weights: Values = np.power(len(codes) / np.maximum(counts, 1), balance)[codes]
    mean_one: Values = weights / weights.mean()
    return mean_one


def weight_shift(labels: Values, balance: float) -> Values:
    """What `class_weights` adds to the logits of a model that learns with them, float64 [G]: less it, probabilities
    are those of the posts as they come.

    A head alone: log(w₁ / w₀). Heads of which one is true: log w of each.

    Source: King and Zeng, "Logistic regression in rare events data", Political Analysis 2001 (prior correction).
    """
    alone = labels.shape[1] == 1
    codes = (labels[:, 0] > 0.5).astype(np.int64) if alone else labels.argmax(axis=1)
    counts = np.bincount(codes, minlength=2 if alone else labels.shape[1])
    logs: Values = -balance * np.log(np.maximum(counts, 1) / len(labels))
    return logs[1:] - logs[0] if alone else logs


def fitted(x: Any, labels: Values, *, weight: Values, reg: float, start: Linear | None = None) -> Linear:
    """The weights of least regularised loss.

    loss = Σ w · cross entropy / N + reg / 2 · Σ weights² / N, the bias free; cross entropy of the softmax over the
    heads, or of the sigmoid of a head alone.

    Args:
        x: scipy CSR matrix [N, K].
        labels: float64 [N, G], 0 or 1, no NaN; with G > 1 exactly one 1 in a row.
        weight: of rows, float64 [N].
        reg: strength of the penalty, above 0.
        start: where to begin.

    Source: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.
    """
    from scipy.optimize import minimize

    columns, heads = x.shape[1], labels.shape[1]
    begin = start or Linear(np.zeros((columns, heads)), _log_odds(labels, weight))
    options = {"maxiter": 100, "maxcor": 8, "gtol": 1e-6, "ftol": 1e-7}
    value = _loss(x, labels, weight=weight, reg=reg)
    found = minimize(value, _flat(begin), jac=True, method="L-BFGS-B", options=options).x
    return _shaped(found, heads)


def _log_odds(labels: Values, weight: Values) -> Values:
    share = np.clip((weight[:, None] * labels).sum(axis=0) / weight.sum(), 1e-6, 1 - 1e-6)
    odds: Values = np.log(share) - (np.log1p(-share) if labels.shape[1] == 1 else 0.0)
    return odds


def _flat(linear: Linear) -> Values:
    return np.concatenate([linear.weights.ravel(), linear.bias])


def _shaped(flat: Values, heads: int) -> Linear:
    return Linear(flat[:-heads].reshape(-1, heads), flat[-heads:])


def _loss(x: Any, labels: Values, *, weight: Values, reg: float) -> Callable[[Values], tuple[float, Values]]:
    transposed, total = x.T.tocsr(), float(len(labels))

    def value(flat: Values) -> tuple[float, Values]:
        weights, bias = _shaped(flat, labels.shape[1])
        nats, p = _entropy(x @ weights + bias, labels)
        gap = weight[:, None] * (p - labels) / total
        gradient = transposed @ gap + reg / total * weights
        loss = float(weight @ nats) / total + 0.5 * reg / total * float((weights * weights).sum())
        return loss, np.concatenate([gradient.ravel(), gap.sum(axis=0)])

    return value


def _entropy(logits: Values, labels: Values) -> tuple[Values, Values]:
    """Nats of each row, and probabilities."""
    if labels.shape[1] == 1:
        z = logits[:, 0]
        nats = np.logaddexp(0, z) - labels[:, 0] * z
        return nats, 1 / (1 + np.exp(-np.clip(logits, -40, 40)))
    z = logits - logits.max(axis=1, keepdims=True)
    sums = np.exp(z).sum(axis=1, keepdims=True)
    return np.log(sums[:, 0]) - (z * labels).sum(axis=1), np.exp(z) / sums
