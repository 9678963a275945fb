"""GraphSAGE over drawn neighbours, and the network of pairs on top of it.

Shapes: n rows asked for, s neighbours of each, B × C pairs, E size of a state's parts, D size of a vector.

A person's state is [h0, h1, m1]: what is known of it, a first layer that mixes this with its neighbours, and the plain
mean of theirs. Its vector comes from h0 and the mean state of its neighbours; so the states of all people suffice to
work out the vector of somebody new.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from winnow.models.base import HeadType
from winnow.models.graph_sampler import Sampler
from winnow.models.networks.layers import Categories, answer, perceptron

_DEGREE_SCALE = 5.0
_CATEGORY = 8


class Person(nn.Module):
    """What is known of people → h0, [..., E].

    Args:
        numerics: F.
        categories: embeddings of the categorical columns.
        size: E.
    """

    def __init__(self, numerics: int, categories: Categories, size: int):
        super().__init__()
        self.categories = categories
        self.mix = nn.Linear(numerics + 2 + _CATEGORY * len(categories.names), size)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Reads `numeric` [..., F], `cat|<name>` and `degree` [...]."""
        many = batch["degree"].float()
        known = torch.stack([many.log1p() / _DEGREE_SCALE, (many == 0).float()], -1)
        return self.mix(torch.cat([batch["numeric"], known, *self.categories(batch)], -1))  # type: ignore[no-any-return]


class Layers(nn.Module):
    """h0 and the mean state of the neighbours → vector and state.

    Args:
        size: E.
        vector: D.
    """

    def __init__(self, size: int, vector: int):
        super().__init__()
        self.own, self.near = nn.Linear(size, size), nn.Linear(size, size, bias=False)
        self.out, self.plain = nn.Linear(2 * size, vector), nn.Linear(3 * size, vector, bias=False)

    def first(self, h0: Tensor, m1: Tensor) -> Tensor:
        """h1, [..., E]."""
        return torch.relu(self.own(h0) + self.near(m1))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """`own` [..., E] and `near` [..., 3E] → [..., D + 3E]."""
        h0 = batch["own"]
        m1, near, m2 = batch["near"].chunk(3, -1)
        h1 = self.first(h0, m1)
        vector = self.out(torch.cat([h1, near], -1)) + self.plain(torch.cat([h0, m1, m2], -1))
        return torch.cat([vector, h0, h1, m1], -1)


class Pair(nn.Module):
    """Pair features and both vectors → log-odds (binary heads) or log(1 + amount).

    Args:
        numerics: F.
        categories: embeddings of the categorical features.
        width: their total size.
        vector: D.
        types: what each head is.
        hidden: widths.
        dropout: share of hidden values dropped in training.
    """

    def __init__(
        self, numerics: int, categories: Categories, *, width: int, vector: int, types: tuple[HeadType, ...],
        hidden: tuple[int, ...], dropout: float,
    ):  # fmt: skip
        super().__init__()
        self.categories, self.types = categories, types
        full = numerics + width + 3 * vector + 1
        self.deep = perceptron((full, *hidden), dropout)
        self.out = nn.Linear(full + hidden[-1], len(types))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Predictions, [B, C, H]."""
        return answer(self.logits(batch), self.types)

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Network outputs, [B, C, H]; reads `first` and `second`, [B, C, D] each."""
        one, two = batch["first"], batch["second"]
        both = one * two
        met = [one, two, both, both.sum(-1, keepdim=True)]
        x = torch.cat([batch["numeric"], *self.categories(batch), *met], -1)
        return self.out(torch.cat([x, self.deep(x)], -1))  # type: ignore[no-any-return]


class GraphNet(nn.Module):
    """Both, trained together: vectors are worked out from neighbours that are drawn anew for every batch.

    Args:
        person, layers, pair: the parts.
        columns: what is known of every row of the graph, and of nobody last: tensors of P + 1 rows.
        sampler: draws neighbours.
        drawn: how many at the first step and at the second.
    """

    def __init__(
        self, person: Person, layers: Layers, pair: nn.Module, *, columns: Mapping[str, Tensor], sampler: Sampler,
        drawn: tuple[int, int],
    ):  # fmt: skip
        super().__init__()
        self.person, self.layers, self.pair = person, layers, pair
        self.columns, self.sampler, self.drawn = dict(columns), sampler, drawn
        self.types = getattr(pair, "types", ())

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Network outputs of pairs `one` and `two`, as of `moment`, int64 [B, C] each."""
        one, two = (batch[side].flatten().numpy() for side in ("one", "two"))
        vectors = self.vectors(np.append(one, two), np.append(two, one), np.tile(batch["moment"].flatten().numpy(), 2))
        first, second = (v.reshape(*batch["one"].shape, -1) for v in vectors.chunk(2))
        return self.pair.logits({**batch, "first": first, "second": second})  # type: ignore[operator,no-any-return]

    def vectors(self, rows: NDArray[np.int64], but: NDArray[np.int64], moments: NDArray[np.int64]) -> Tensor:
        """Vectors of rows as of moments, without their tie to others, [n, D]."""
        rng = np.random.default_rng([len(rows), *np.abs(rows[:8])])  # a batch met again is drawn alike
        many, further = self.drawn
        near = self.sampler.draw(rows, moments, many, rng=rng, but=but)
        ids, later = near.rows.ravel(), np.repeat(moments, many)
        around = self.sampler.draw(ids, later, further, rng=rng)
        ends, latest = around.rows.ravel(), np.repeat(later, further)
        own, each = self.sampler.tied(rows, but, moments), many * further
        again = np.repeat(own, each) & ((ends == np.repeat(rows, each)) | (ends == np.repeat(but, each)))
        h0 = [
            self.known(rows, near.degrees),
            self.known(ids, around.degrees).reshape(len(rows), many, -1),
            self.known(ends, self.sampler.degrees(ends, latest) - again).reshape(len(ids), further, -1),
        ]
        there, beyond = _present(near.rows), _present(around.rows)
        m1 = _mean(h0[2], beyond).reshape(len(rows), many, -1)
        state = torch.cat([h0[1], self.layers.first(h0[1], m1), m1], -1)
        size = self.layers.out.out_features
        found: Tensor = self.layers({"own": h0[0], "near": _mean(state, there)})[..., :size]
        return found

    def known(self, rows: NDArray[np.int64], degrees: NDArray[np.int64]) -> Tensor:
        """h0 of rows, [n, E]."""
        last = len(self.columns["numeric"]) - 1
        at = torch.from_numpy(np.where((rows >= 0) & (rows < last), rows, last))
        part = {name: values[at] for name, values in self.columns.items()}
        return self.person(part | {"degree": torch.from_numpy(degrees)})  # type: ignore[no-any-return]


def _present(rows: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy((rows >= 0).astype(np.float32))[..., None]


def _mean(values: Tensor, there: Tensor) -> Tensor:
    """Mean along the last axis but one of what is there; 0 where nothing is."""
    return (values * there).sum(-2) / there.sum(-2).clamp(min=1)


def everybody(net: GraphNet, graph: Any, at_once: int = 8_192) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors [P, D] and states [P, 3E] of all rows, from all their neighbours."""
    size, rows = graph.size, np.arange(graph.size)
    degrees = graph.degrees(rows)
    parts = [rows[i : i + at_once] for i in range(0, size, at_once)]
    width = net.layers.own.in_features
    if not size:
        return np.empty((0, net.layers.out.out_features), np.float32), np.empty((0, 3 * width), np.float32)
    with torch.no_grad():
        h0 = np.concatenate([net.known(p, degrees[p]).numpy() for p in parts])
        share = np.repeat((1 / np.maximum(degrees, 1)).astype(np.float32), degrees)
        mean = sparse.csr_array((share, graph.ends, graph.starts), shape=(size, size))
        m1 = mean @ h0
        h1 = net.layers.first(torch.from_numpy(h0), torch.from_numpy(m1)).numpy()
        state = np.concatenate([h0, h1, m1], axis=1)
        found = net.layers({"own": torch.from_numpy(h0), "near": torch.from_numpy(mean @ state)}).numpy()
    vector = net.layers.out.out_features
    return np.ascontiguousarray(found[:, :vector]), np.ascontiguousarray(found[:, vector:])
