"""How close two rows are by all the walks between them: Katz, PageRank, distance. For many pairs, not for requests.

Shapes: P rows, n pairs, s distinct first rows of a block, L steps.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from winnow.data.graph import Graph, Ints
from winnow.data.graph_pairs import Doubles, Floats, pair_scores

_CELLS = 1 << 22  # numbers of a block
_FADE = 0.05  # of a step of Katz
_LONG = 5  # steps of Katz


@dataclass(frozen=True)
class Walks:
    """What is asked of the walks between pairs.

    Args:
        steps: L: the longest walks, and what counts as far as can be.
        kept: lengths whose chances are told one by one.
        stop: chance that a walk of PageRank stops at a step.
    """

    steps: int = 24
    kept: tuple[int, ...] = (2, 3, 4, 5, 6, 8, 12, 16, 24)
    stop: float = 0.15

    def scores(self, graph: Graph, first: ArrayLike, second: ArrayLike) -> dict[str, Floats]:
        """Scores of n pairs, none of which may be tied in the graph: the tie between the two would speak of itself.

        Args:
            graph: who is tied to whom.
            first, second: rows, int [n], all inside the graph.

        Returns:
            `katz`; `distance`, steps + 5 where there is no walk of at most that length; `pagerank_low` and
            `pagerank_high`, of either from the other; `walk_l`, the chance of a walk of l steps, the same from either
            end: step by the inverse root of both degrees; `paths_3` to `paths_5`, numbers of walks. float32 [n] each.

        Source: Katz, A new status index, Psychometrika 1953; Page et al., The PageRank citation ranking, 1999.
        """
        one, two = np.asarray(first, np.int64), np.asarray(second, np.int64)
        degree = np.maximum(graph.degrees(np.arange(graph.size)), 1).astype(np.float64)
        plain = adjacency(graph)
        even = sparse.csr_array(
            plain.multiply(degree[:, None] ** -0.5).multiply(degree[None] ** -0.5), dtype=np.float32
        )
        chance = walked(even, one, two, steps=self.steps)
        number = walked(plain, one, two, steps=_LONG)
        apart = chance > 0
        found = {"distance": np.where(apart.any(axis=1), apart.argmax(axis=1), self.steps + 5)}
        found["katz"] = number @ _FADE ** np.arange(_LONG + 1.0)
        stops = self.stop * (chance @ (1 - self.stop) ** np.arange(self.steps + 1.0))
        tilt = np.sqrt(degree[two] / degree[one])
        found |= {
            "pagerank_low": stops * np.minimum(tilt, 1 / tilt),
            "pagerank_high": stops * np.maximum(tilt, 1 / tilt),
        }
        found |= {f"walk_{step}": chance[:, step] for step in self.kept}
        found |= {f"paths_{step}": number[:, step] for step in range(3, _LONG + 1)}
        return {name: values.astype(np.float32) for name, values in found.items()}


def adjacency(graph: Graph) -> sparse.csr_array:
    """The graph as a matrix of ones, float32 [P, P]."""
    ones = np.ones(len(graph.ends), np.float32)
    return sparse.csr_array((ones, graph.ends, graph.starts), shape=(graph.size, graph.size))


def walked(step: sparse.csr_array, first: Ints, second: Ints, *, steps: int) -> NDArray[np.float32]:
    """What the powers 0 to L of a matrix hold at n pairs, float32 [n, L + 1]."""
    out = np.zeros((len(first), steps + 1), np.float32)
    sources, place = np.unique(first, return_inverse=True)
    size = max(_CELLS // max(step.shape[0], 1), 1)
    for start in range(0, len(sources), size):
        block = sources[start : start + size]
        mine = np.flatnonzero((place >= start) & (place < start + size))
        reached = np.zeros((step.shape[0], len(block)), np.float32)
        reached[block, np.arange(len(block))] = 1
        for length in range(steps + 1):
            out[mine, length] = reached[second[mine], place[mine] - start]
            reached = step @ reached
    return out


def all_scores(graph: Graph, first: ArrayLike, second: ArrayLike, walks: Walks) -> dict[str, Floats]:
    """Scores by shared neighbours, by walks, and by what both ends are like: local clustering and the mean degree of
    neighbours, the lower and the higher of the two; the order of a pair plays no part."""
    one, two = np.asarray(first, np.int64), np.asarray(second, np.int64)
    found = pair_scores(graph, one, two)
    ends = {name: found.pop(name) for name in ("degree_first", "degree_second")}
    sides: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {"degree": (ends["degree_first"], ends["degree_second"])}
    sides |= {name: (of[one], of[two]) for name, of in surroundings(graph).items()}
    for name, (mine, theirs) in sides.items():
        found |= {f"{name}_low": np.minimum(mine, theirs), f"{name}_high": np.maximum(mine, theirs)}
    found = {name: np.asarray(values, np.float32) for name, values in found.items() if name not in ("tied", "faded")}
    return found | walks.scores(graph, one, two)


def surroundings(graph: Graph) -> dict[str, Doubles]:
    """Of every row: the share of its neighbours' pairs that are tied, and the mean degree of its neighbours."""
    ties, degree = adjacency(graph), graph.degrees(np.arange(graph.size)).astype(np.float64)
    triangles = np.asarray((ties @ ties).multiply(ties).sum(axis=1)).ravel()
    around = (ties @ degree) / np.maximum(degree, 1)
    return {"clustering": triangles / np.maximum(degree * (degree - 1), 1), "around": around}
