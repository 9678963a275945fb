"""Friendships with profiles: whom each person ought to be shown, by degree, and with and without profiles.

A tenth of the friendships is held out. Those who are asked for are people who lost some; candidates are the people at
two steps by Adamic-Adar and those near by PageRank, from the graph that is left. A held-out friend who is no candidate
counts as not found. Models learn from folds of that graph in the same way.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from benchmarks.links import files
from benchmarks.links.protocol import Held, Pairs, held_out, masked
from numpy.typing import NDArray
from scipy.sparse import linalg

from winnow.data.graph import Graph
from winnow.evaluation.bootstrap import mean_interval
from winnow.retrieval.graph import friends_of_friends, pagerank
from winnow.retrieval.graph_walks import Walks, all_scores

Ints = NDArray[np.int64]
Columns = dict[str, NDArray[np.float32]]

MOST = 10_000
BUCKETS = ((0, 10), (10, 40), (40, 120), (120, MOST))
_FOLDS, _ASKED, _TAUGHT = 3, 1_000, 400
_SIZE = 24  # of a profile as numbers
_WALKS = Walks(steps=6, kept=(3, 4, 6))


def measured(fit: Callable[..., dict[str, NDArray[np.float32]]], seed: int = 0) -> dict[str, Any]:
    """Hits at 10 and 50 and reciprocal rank of every rung with intervals over people, whole and by degree.

    Args:
        fit: learns from pairs, their columns and what is known of people, and scores others: rung → score.
        seed: of the split and of who is asked for.
    """
    low, high, size, profile = files.facebook()
    held = held_out(low, high, size, seed=seed)
    gone = held.test.take(held.test.tied == 1)
    start = time.perf_counter()
    taught = [_asked(graph, held.train.take(mine), _TAUGHT, seed) for mine, graph in _folds(held, seed)]
    test = _asked(held.graph, gone, _ASKED, seed)
    graphs = [graph for _, graph in _folds(held, seed)]
    found: dict[str, Any] = {}
    scores: dict[str, NDArray[Any]] = {}
    for with_profile in (False, True):
        extra = profile if with_profile else None
        parts = [_columns(g, pairs, extra) for g, (pairs, _) in zip(graphs, taught, strict=True)]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        learned = _joined([pairs for pairs, _ in taught])
        asked = _columns(held.graph, test[0], extra)
        scores["L0 adamic_adar"], scores["L0 common"] = asked["adamic_adar"], asked["common"]
        known = reduced(extra) if extra is not None else None
        told = fit((learned, columns), (test[0], asked), graph=held.graph, profile=known, seed=seed)
        scores |= {f"{rung} {'with' if with_profile else 'without'} profiles": s for rung, s in told.items()}
    for name, score in scores.items():
        found[name] = judged(score, test[0], test[1], held.graph)
        print(name, found[name], flush=True)
    reach = float(test[0].tied.sum() / test[1].sum())
    return {"people": int((test[1] > 0).sum()), "candidates_hold": round(reach, 3), "rungs": found,
            "seconds": round(time.perf_counter() - start, 1)}  # fmt: skip


def retrieved(vectors: Callable[[Graph], NDArray[np.float32]], *, at: int = 100, seed: int = 0) -> dict[str, float]:
    """How many of the held-out friends are among the first 100 of each source, and of two sources of half as many.

    Args:
        vectors: learns vectors of everybody from a graph, float32 [P, D].
        at: how many are proposed.
        seed: of the split.
    """
    low, high, size, _ = files.facebook()
    held = held_out(low, high, size, seed=seed)
    gone = held.test.take(held.test.tied == 1)
    lost = [(a, b) for a, b in zip(np.append(gone.one, gone.two), np.append(gone.two, gone.one), strict=True)]
    who = np.sort(np.random.default_rng([seed, 5]).permutation(np.unique([a for a, _ in lost]))[:_ASKED])
    known, found = vectors(held.graph), dict.fromkeys(("two steps", "pagerank", "vectors", "two steps and vectors"), 0)
    wanted: dict[int, set[int]] = {int(person): set() for person in who}
    for one, two in lost:
        if int(one) in wanted:
            wanted[int(one)].add(int(two))
    for person, friends in wanted.items():
        scores = known @ known[person]
        scores[np.append(held.graph.neighbours(person), person)] = -np.inf
        near = np.argsort(-scores)[:at]
        walked = friends_of_friends(held.graph, person, at).rows
        lists = {"two steps": walked, "pagerank": pagerank(held.graph, person, at).rows, "vectors": near}
        lists["two steps and vectors"] = np.append(
            walked[: at // 2], near[~np.isin(near, walked[: at // 2])][: at // 2]
        )
        for name, rows in lists.items():
            found[name] += len(friends & set(rows.tolist()))
    many = sum(map(len, wanted.values()))
    return {name: round(count / many, 3) for name, count in found.items()}


def _folds(held: Held, seed: int) -> Iterator[tuple[Ints, Graph]]:
    """The first folds, each with the ties that the graph then lacks."""
    for turn, (mine, graph) in enumerate(masked(held, seed=seed, folds=10)):
        if turn == _FOLDS:
            return
        yield mine[held.train.tied[mine] == 1], graph


def _asked(graph: Graph, gone: Pairs, many: int, seed: int) -> tuple[Pairs, Ints]:
    """Candidates of people who lost friends, and how many each of them lost, int64 [P]; 0 for those not asked."""
    lost = np.bincount(np.append(gone.one, gone.two), minlength=graph.size)
    who = np.sort(np.random.default_rng([seed, 5]).permutation(np.flatnonzero(lost))[:many])
    chosen = np.zeros(graph.size, np.int64)
    chosen[who] = lost[who]
    near = [candidates(graph, int(person)) for person in who]
    one, two = np.repeat(who, [len(n) for n in near]), np.concatenate(near)
    keys = np.minimum(gone.one, gone.two) * graph.size + np.maximum(gone.one, gone.two)
    tied = np.isin(np.minimum(one, two) * graph.size + np.maximum(one, two), keys)
    return Pairs(one, two, tied.astype(np.float32)), chosen


def candidates(graph: Graph, person: int) -> Ints:
    """Who may be suggested to a person."""
    near = friends_of_friends(graph, person, 150), pagerank(graph, person, 50)
    return np.unique(np.concatenate([found.rows for found in near]))


def _joined(parts: list[Pairs]) -> Pairs:
    one, two, tied = (np.concatenate([getattr(p, name) for p in parts]) for name in ("one", "two", "tied"))
    return Pairs(one, two, tied)


def _columns(graph: Graph, pairs: Pairs, profile: NDArray[np.float32] | None) -> Columns:
    """What is told of pairs: the graph, and what the two profiles share."""
    found = all_scores(graph, pairs.one, pairs.two, _WALKS)
    return found if profile is None else found | alike(profile, pairs)


def alike(profile: NDArray[np.float32], pairs: Pairs) -> Columns:
    """Answers that two profiles share: how many, how rare, and of all that either gave."""
    rare = 1 / np.log(2 + profile.sum(axis=0))
    one, two = profile[pairs.one], profile[pairs.two]
    both = one * two
    shared, either = both.sum(axis=1), np.maximum(one, two).sum(axis=1)
    return {"answers": shared, "rare_answers": both @ rare, "answers_jaccard": shared / np.maximum(either, 1)}


def reduced(profile: NDArray[np.float32]) -> NDArray[np.float32]:
    """Profiles as few numbers: their main directions."""
    centred = profile - profile.mean(axis=0)
    left, size, _ = linalg.svds(centred.astype(np.float64), k=_SIZE, random_state=0)
    return (left * size).astype(np.float32)


def judged(score: NDArray[Any], pairs: Pairs, lost: Ints, graph: Graph) -> dict[str, Any]:
    """Hits at 10 and 50 and mean reciprocal rank, by held-out friend, with intervals over people."""
    order = np.lexsort((pairs.two, -score.astype(np.float64), pairs.one))
    one, tied = pairs.one[order], pairs.tied[order] == 1
    rank = np.arange(len(one)) - np.searchsorted(one, one) + 1
    above = np.cumsum(tied) - tied  # other held-out friends above do not push one down
    rank = rank - (above - above[np.searchsorted(one, one)])
    owner, place = one[tied], rank[tied]
    missing = np.repeat(np.arange(len(lost)), lost - np.bincount(owner, minlength=len(lost)))
    who = np.append(owner, missing)
    inverse = np.append(1 / place, np.zeros(len(missing)))
    found = {"all": _told(inverse, who)}
    degree = graph.degrees(who)
    for low, high in BUCKETS:
        mine = (degree >= low) & (degree < high)
        if mine.any():
            found[f"{low} to {high - 1} friends" if high < MOST else f"{low} friends and more"] = _told(
                inverse[mine], who[mine]
            )
    return found


def _told(inverse: NDArray[np.float64], who: Ints) -> dict[str, Any]:
    values = {"hits@10": inverse >= 1 / 10, "hits@50": inverse >= 1 / 50, "mrr": inverse}
    found = {name: [round(float(v), 3) for v in mean_interval(of.astype(float), who)] for name, of in values.items()}
    return found | {"n": len(who)}
