"""Skip-gram with the chosen item as context of every step: gradients by hand, only on the rows that a batch names.

V items, D numbers in a vector, B pairs of a batch, N negatives that a batch shares, M negatives of the same market.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winnow.models.base import Run
from winnow.models.networks.loop import seeded
from winnow.models.sessions import Journeys
from winnow.models.skipgram import SkipGram

Ints = NDArray[np.int64]
_STEPS_AT_ONCE = 400_000  # steps of sessions whose pairs are in memory together
_LEAST = 1e-7
_FLAT = 0.75  # exponent that makes rare items negatives more often than they are seen


class Table:
    """Vectors with row-wise Adagrad: each row has one step size, and rows that a batch does not name cost nothing.

    Args:
        vectors: float32 [V, D].
        rate: learning rate.

    Source: Duchi, Hazan and Singer, JMLR 2011; the mean of squares over a row as in Mudigere et al., ISCA 2022.
    """

    def __init__(self, vectors: Tensor, rate: float):
        self.vectors, self.rate = vectors, rate
        self._squares = torch.zeros(len(vectors))

    def of(self, rows: Tensor) -> Tensor:
        """The vectors of rows, [n, D]."""
        return self.vectors.index_select(0, rows)

    def step(self, rows: Tensor, grad: Tensor) -> None:
        """Moves rows against their gradients, [n] and [n, D]; what a row is named for several times adds up."""
        self._squares.index_add_(0, rows, grad.square().mean(1))
        pace = self._squares.index_select(0, rows).sqrt_().add_(_LEAST).reciprocal_().mul_(-self.rate)
        self.vectors.index_add_(0, rows, grad.mul_(pace[:, None]))


class Negatives:
    """Draws what did not happen.

    Args:
        counts: how often each item is a context, [V].
        markets: market of each item, [V]; -1 where unknown; empty without markets.
        random: of this fit alone, so that fits in other threads change nothing.
    """

    def __init__(self, counts: Ints, markets: Ints, random: np.random.Generator):
        self._random = random
        self._edges = np.cumsum(np.maximum(counts, 1) ** _FLAT)
        self._order = np.argsort(markets, kind="stable") if len(markets) else markets
        found, first, size = np.unique(markets, return_index=False, return_inverse=True, return_counts=True)
        self._market, self._size = first.reshape(-1), size
        self._start = np.cumsum(size) - size if len(found) else size

    def anywhere(self, n: int) -> Tensor:
        """Items of the whole catalogue, by how often they are seen: int64 [n]."""
        drawn = np.searchsorted(self._edges, self._random.random(n) * self._edges[-1], side="right")
        return torch.from_numpy(np.minimum(drawn, len(self._edges) - 1))

    def nearby(self, centres: Ints, n: int) -> Tensor:
        """Items of the market of each centre, evenly: int64 [B, n]."""
        market = self._market[centres][:, None]
        place = (self._random.random((len(centres), n)) * self._size[market]).astype(np.int64)
        return torch.from_numpy(self._order[self._start[market] + place])


def fit(declared: SkipGram, journeys: Journeys, count: int, run: Run) -> NDArray[np.float32]:
    """The vectors of V items, float32 [V, D].

    Args:
        declared: how to learn.
        journeys: sessions over items 0..V-1, their markets included.
        count: V.
        run: seed, threads, progress.
    """
    with seeded(run):
        return _Fit(declared, journeys, count, run).vectors()


class _Fit:
    """One run: two tables, of which that of the centres is what is served."""

    def __init__(self, declared: SkipGram, journeys: Journeys, count: int, run: Run):
        self.of, self.journeys, self.run = declared, journeys, run
        self.random = np.random.default_rng([run.seed, 7])
        start = (self.random.random((count, declared.embedding_size), np.float32) - 0.5) / declared.embedding_size
        self.centres = Table(torch.from_numpy(start), declared.learning_rate)
        self.contexts = Table(torch.zeros(count, declared.embedding_size), declared.learning_rate)
        seen = np.bincount(np.concatenate([journeys.items, journeys.goals[journeys.goals >= 0]]), minlength=count)
        self.negatives = Negatives(seen, journeys.markets, self.random)
        self.nearby = declared.market_negatives if len(journeys.markets) else 0

    def vectors(self) -> NDArray[np.float32]:
        for epoch in range(self.of.epochs):
            for centres, contexts, weights in self._pairs():
                for at in range(0, len(centres), self.of.batch_size):
                    part = slice(at, at + self.of.batch_size)
                    self._step(centres[part], contexts[part], weights[part])
            self.run.progress("skip-gram", (epoch + 1) / self.of.epochs)
        return self.centres.vectors.numpy()

    def _pairs(self) -> Iterator[tuple[Ints, Ints, NDArray[np.float32]]]:
        """The pairs of all sessions in random order, those of sessions with a goal several times."""
        order = self.random.permutation(len(self.journeys))
        chunk = np.cumsum(self.journeys.lengths[order]) // _STEPS_AT_ONCE
        for number in range(int(chunk[-1]) + 1):
            some = self.journeys.take(order[chunk == number])
            centres, contexts, weights, session = some.pairs(self.of.window)
            times = np.where(some.goals[session] >= 0, self.of.oversample, 1)
            drawn = self.random.permutation(np.repeat(np.arange(len(centres)), times))
            yield centres[drawn], contexts[drawn], weights[drawn]

    def _step(self, centre: Ints, context: Ints, weights: NDArray[np.float32]) -> None:
        """One batch: what happened is drawn together, what did not is pushed apart."""
        of, rows = self.of, torch.from_numpy(centre)
        good, weight = torch.from_numpy(context), torch.from_numpy(weights)[:, None]
        shared = self.negatives.anywhere(of.shared)
        x, y, z = self.centres.of(rows), self.contexts.of(good), self.contexts.of(shared)
        pull = (torch.sigmoid((x * y).sum(1, keepdim=True)) - 1) * weight
        push = torch.sigmoid(x @ z.T) * (weight * (of.negatives / of.shared))
        push.masked_fill_(good[:, None] == shared, 0)
        grad, back = pull * y + push @ z, push.T @ x
        if self.nearby:
            near = self.negatives.nearby(centre, self.nearby)
            v = self.contexts.of(near.ravel()).view(*near.shape, -1)
            apart = torch.sigmoid(torch.bmm(v, x[:, :, None])[:, :, 0]) * weight
            apart.masked_fill_((near == good[:, None]) | (near == rows[:, None]), 0)
            grad += torch.bmm(apart[:, None], v)[:, 0]
            self.contexts.step(near.ravel(), (apart[:, :, None] * x[:, None]).flatten(0, 1))
        self.contexts.step(good, pull * x)
        self.contexts.step(shared, back)
        self.centres.step(rows, grad)
