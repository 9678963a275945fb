"""The graphs of the link prediction benchmark, read from their files."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import io, sparse

Ints = NDArray[np.int64]

# name → file, and AUC x 100 of common neighbours and Adamic-Adar that were worked out before on the same files
GRAPHS: dict[str, tuple[str, tuple[float, float]]] = {
    "USAir": ("USAir", (93.51, 94.55)),
    "NS": ("NS", (93.67, 93.71)),
    "PB": ("PB", (91.94, 92.28)),
    "Yeast": ("Yeast", (89.44, 89.51)),
    "C.elegans": ("Celegans", (85.20, 86.98)),
    "Power": ("Power", (58.54, 58.54)),
    "Router": ("Router", (55.83, 55.84)),
    "E.coli": ("Ecoli", (93.49, 95.31)),
}


def folder() -> Path:
    """Where data sets lie."""
    return Path(os.environ.get("WINNOW_DATA", Path(__file__).parents[3] / "shared" / "data"))


def ties(name: str) -> tuple[Ints, Ints, int]:
    """The ties of a graph, the lower row first, and how many rows it has."""
    found = sparse.coo_array(sparse.triu(io.loadmat(folder() / "seal_graphs" / f"{GRAPHS[name][0]}.mat")["net"], 1))
    low, high = found.coords
    return low.astype(np.int64), high.astype(np.int64), found.shape[0]


def facebook() -> tuple[Ints, Ints, int, NDArray[np.float32]]:
    """Friendships of ten people's surroundings, how many people there are, and their profiles: a column of 0 and 1 for
    each anonymous answer that several surroundings share, float32 [P, F]."""
    base = folder() / "ego_facebook" / "facebook"
    low, high = np.loadtxt(base / "facebook_combined.txt", np.int64).T
    size = int(max(low.max(), high.max())) + 1
    answers: dict[str, set[int]] = {}
    for names in sorted(base.glob("*.featnames")):
        own = [line.split(" ", 1)[1].strip() for line in names.read_text().splitlines()]
        ego = int(names.stem)
        rows = [[ego, *row] for row in _rows(names.with_suffix(".egofeat"))] + _rows(names.with_suffix(".feat"))
        for person, *flags in rows:
            for place in np.flatnonzero(flags):
                answers.setdefault(own[place], set()).add(person)
    profile = np.zeros((size, len(answers)), np.float32)
    for column, name in enumerate(sorted(answers)):
        profile[sorted(answers[name]), column] = 1
    return low, high, size, profile


def _rows(path: Path) -> list[list[int]]:
    return [[int(word) for word in line.split()] for line in path.read_text().splitlines()]
