"""What every world can do: it is built again from a note, and has random numbers for every purpose."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from winnow.core.errors import NotFound, Problem
from winnow.core.time import days, to_us


@dataclass(frozen=True, eq=False)
class Noted:
    """The facts from which a world is built.

    Args:
        size: how big, a dataclass with `days`, the length of the initial log.
        seed: of everything.
        until: the moment at which the initial log ends, microseconds.
    """

    size: Any
    seed: int
    until: int

    def note(self, path: Path, weights: Mapping[str, float]) -> None:
        """Notes down what it takes to build this world again; what is put up later is not part of it."""
        data = {"size": asdict(self.size), "seed": self.seed, "until": self.until, "weights": dict(weights)}
        path.write_text(json.dumps(data, indent=1))

    @property
    def starts_at(self) -> int:
        """The moment at which the initial log begins."""
        return self.until - to_us(days(self.size.days))

    def rng(self, *purpose: int) -> np.random.Generator:
        """The random numbers of one purpose; the same purpose gives the same numbers."""
        return np.random.default_rng([self.seed, *purpose])


def facts(path: Path, *, fix: str) -> dict[str, Any]:
    """What `Noted.note` wrote.

    Raises:
        NotFound: `no-world`.
    """
    if not path.exists():
        raise NotFound(Problem("no-world", f"{path} does not exist", fix=fix))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def places(ids: list[str]) -> dict[str, int]:
    """Id → row."""
    return {name: row for row, name in enumerate(ids)}
