"""Suggestions worked out beforehand for many people, kept in mapped files."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.data.graph import Graph, Ints
from winnow.data.graph_pairs import HALF_LIFE, Floats
from winnow.retrieval.graph import PATHS, By, Counts, Reads, Suggested, friends_of_friends

_FILES = ("people", "rows", "scores", "mutual")
_FACTS = "lists.json"
_PART = 2_000  # people whose lists travel between processes together


@dataclass(frozen=True, eq=False)
class Lists:
    """The people suggested to each of n people.

    Args:
        people: rows, ascending, int64 [n].
        rows: who is suggested, best first, int32 [n, k]; -1 pads.
        scores: float32 [n, k]; 0 where padded.
        mutual: how many friends they share, int32 [n, k].
        as_of: what was known before this moment is in, microseconds UTC.
    """

    people: Ints
    rows: NDArray[np.int32]
    scores: Floats
    mutual: Counts
    as_of: int = 0

    def of(self, person: int) -> Suggested:
        """What is suggested to one person; nothing to somebody who is not among `people`."""
        at = int(np.searchsorted(self.people, person))
        if at == len(self.people) or self.people[at] != person:
            return Suggested(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int32))
        n = int(np.count_nonzero(self.rows[at] >= 0))
        return Suggested(self.rows[at, :n].astype(np.int64), self.scores[at, :n], self.mutual[at, :n])

    def save(self, folder: Path) -> None:
        """Writes its arrays into a folder, and what they are last."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            np.save(folder / f"{name}.npy", getattr(self, name))
        (folder / _FACTS).write_text(json.dumps({"people": len(self.people), "as_of": self.as_of}))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """What `save` wrote, mapped into memory.

        Raises:
            InputError: `graph-corrupt` when a file is missing or does not fit the others.
        """
        try:
            facts = json.loads((folder / _FACTS).read_bytes())
            arrays = [np.asarray(np.load(folder / f"{n}.npy", mmap_mode="r", allow_pickle=False)) for n in _FILES]
            people, rows, scores, mutual = arrays
            if {len(a) for a in arrays} != {facts["people"]}:
                raise ValueError("the lengths of its files differ from what it says")
            return cls(people, rows, scores, mutual, int(facts["as_of"]))
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            what, fix = f"the lists in {folder.name} cannot be used: {error}", "work them out again"
            raise InputError(Problem("graph-corrupt", what, str(folder), "suggestions would be wrong", fix)) from error


def precompute(
    graph: Graph | Path, people: Ints, k: int = 100, *, by: By = "adamic_adar", now: int = 0,
    half_life: timedelta = HALF_LIFE, paths: int = PATHS, processes: int = 1,
) -> Lists:  # fmt: skip
    """`friends_of_friends` of many people.

    Args:
        graph: a snapshot; its folder when several processes share the work.
        people: rows, int64 [n].
        k: at most so many for each.
        by, now, half_life, paths: as for `friends_of_friends`.
        processes: how many share the work.

    Raises:
        InputError: `graph-corrupt`.
    """
    who, options = np.unique(people), {"by": by, "now": now, "half_life": half_life, "paths": paths}
    opened = Graph.open(graph) if isinstance(graph, Path) else graph
    parts = np.split(who, np.arange(_PART, len(who), _PART))
    if processes == 1 or not isinstance(graph, Path):
        found = [_lists(opened, part, k, options) for part in parts]
    else:
        own = (graph, k, options)
        with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_share, initargs=own) as pool:
            found = list(pool.map(_shared_lists, parts))
    rows, scores, mutual = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return Lists(who, rows, scores, mutual, opened.as_of)


def _lists(graph: Reads, people: Ints, k: int, options: dict[str, Any]) -> tuple[NDArray[np.int32], Floats, Counts]:
    shape = (len(people), k)
    rows, scores, mutual = np.full(shape, -1, np.int32), np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    for place, person in enumerate(people.tolist()):
        one = friends_of_friends(graph, person, k, **options)
        n = len(one.rows)
        rows[place, :n], scores[place, :n], mutual[place, :n] = one
    return rows, scores, mutual


class _Own:
    """What a process that shares the work keeps."""

    graph: Graph
    k: int
    options: dict[str, Any]


def _share(folder: Path, k: int, options: dict[str, Any]) -> None:
    _Own.graph, _Own.k, _Own.options = Graph.open(folder), k, options


def _shared_lists(people: Ints) -> tuple[NDArray[np.int32], Floats, Counts]:
    return _lists(_Own.graph, people, _Own.k, _Own.options)
