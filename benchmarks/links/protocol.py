"""Link prediction as others measure it: a tenth of the ties held out, as many pairs that are not tied, and their AUC.

Held-out ties are not in the graph that anything is told from. Nor are the ties that a pair model learns from, while
their own features are told: the graph that is left is cut into folds, and each fold is told from the others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.data.graph import Graph

Ints = NDArray[np.int64]
Features = Callable[[Graph, Ints, Ints], dict[str, NDArray[np.float32]]]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of rows, the lower first, tied or not.

    Args:
        one, two: int64 [n].
        tied: float32 [n].
    """

    one: Ints
    two: Ints
    tied: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.one)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Pairs":
        """The chosen ones."""
        return Pairs(self.one[rows], self.two[rows], self.tied[rows])


@dataclass(frozen=True, eq=False)
class Held:
    """One run.

    Args:
        graph: what is left.
        train: its ties, and as many pairs that are not tied.
        test: what was held out.
    """

    graph: Graph
    train: Pairs
    test: Pairs


def held_out(low: Ints, high: Ints, size: int, *, seed: int, share: float = 0.1) -> Held:
    """A share of the ties held out, with as many pairs drawn evenly from those that are not tied in the whole graph."""
    rng = np.random.default_rng(seed)
    keys = rng.permutation(low * size + high)
    apart = untied(keys, size, many=len(keys), rng=rng)
    cut = int(np.ceil(share * len(keys)))
    kept, gone = np.divmod(keys[cut:], size), pairs(keys[:cut], apart[:cut], size)
    return Held(Graph.of(*kept, size=size), pairs(keys[cut:], apart[cut:], size), gone)


def untied(keys: Ints, size: int, *, many: int, rng: np.random.Generator) -> Ints:
    """Distinct pairs that are not among `keys`, as keys."""
    found = np.empty(0, np.int64)
    while len(found) < many:
        one, two = rng.integers(size, size=(2, 3 * many))
        drawn = np.minimum(one, two) * size + np.maximum(one, two)
        drawn = drawn[(one != two) & ~np.isin(drawn, keys) & ~np.isin(drawn, found)]
        found = np.append(found, rng.permutation(np.unique(drawn)))
    return found[:many]


def pairs(tied: Ints, apart: Ints, size: int) -> Pairs:
    """Keys as pairs."""
    one, two = np.divmod(np.append(tied, apart), size)
    return Pairs(one, two, np.repeat([1.0, 0.0], [len(tied), len(apart)]).astype(np.float32))


def told(held: Held, features: Features, *, seed: int, folds: int = 10, most: int = 6_000) -> tuple[Pairs, dict]:  # type: ignore[type-arg]
    """Training pairs with features that do not see them.

    Args:
        held: the run.
        features: what tells them.
        seed: of the folds.
        folds: how many; each lacks as large a share of the graph as is held out for the test.
        most: folds are told until there are so many ties.

    Returns:
        The pairs, and their features by name.
    """
    kept: list[Ints] = []
    parts, done = [], 0
    for mine, graph in masked(held, seed=seed, folds=folds):
        kept.append(mine)
        parts.append(features(graph, held.train.one[mine], held.train.two[mine]))
        done += int(held.train.tied[mine].sum())
        if done >= most:
            break
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return held.train.take(np.concatenate(kept)), columns


def masked(held: Held, *, seed: int, folds: int) -> Iterator[tuple[Ints, Graph]]:
    """The training pairs of each fold, and the graph without its ties."""
    fold = np.random.default_rng([seed, 1]).integers(folds, size=len(held.train))
    for turn in range(folds):
        mine = np.flatnonzero(fold == turn)
        gone = mine[held.train.tied[mine] == 1]
        yield mine, held.graph.without(held.train.one[gone], held.train.two[gone])
