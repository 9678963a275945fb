"""Lists that were worked out beforehand, one for each of many people, as files that are mapped into memory.

Work is written part by part, so that who was cut off goes on where they were; a finished folder never changes.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Floats, Ints

One = Callable[[int], tuple[Ints, Floats]]
Told = Callable[[int, int], None]
PART = 1_000  # people worked out between two writes
_FACTS = "stored.json"
_COLUMNS = ("people", "made", "rows", "scores")


@dataclass(frozen=True, eq=False)
class StoredLists:
    """Lists by person.

    Args:
        people: whose they are, ascending, int64 [n].
        made: when each was worked out, microseconds UTC, int64 [n].
        rows: best first, int32 [n, k]; -1 pads.
        scores: float32 [n, k].
    """

    people: Ints
    made: Ints
    rows: NDArray[np.int32]
    scores: Floats

    @classmethod
    def open(cls, folder: Path) -> Self:
        """A finished folder.

        Raises:
            FileNotFoundError: it is not there, or not finished.
        """
        json.loads((folder / _FACTS).read_text())
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in _COLUMNS))

    def __len__(self) -> int:
        return len(self.people)

    def of(self, person: int) -> tuple[Ints, Floats, int] | None:
        """The list of a person and when it was made; None for somebody without one."""
        at = int(np.searchsorted(self.people, person))
        if at == len(self.people) or self.people[at] != person:
            return None
        rows = np.asarray(self.rows[at])
        kept = rows >= 0
        return rows[kept].astype(np.int64), np.asarray(self.scores[at])[kept], int(self.made[at])


def fill(folder: Path, people: Ints, one: One, *, keep: int, now: Callable[[], int], told: Told) -> StoredLists:
    """Works out the lists of people and writes them; what an earlier call with the same people wrote is kept.

    Args:
        folder: to be made; nothing is there before all is done.
        people: rows, int64 [n].
        one: the list of one person, best first.
        keep: most that are kept of each.
        now: the moment, microseconds UTC.
        told: called with how many are done, and of how many.
    """
    people, parts = np.unique(people), folder.with_name(f"{folder.name}.part")
    parts.mkdir(parents=True, exist_ok=True)
    plan = parts / "people.npy"
    if not plan.exists() or not np.array_equal(np.load(plan), people):
        shutil.rmtree(parts)
        parts.mkdir()
        np.save(plan, people)
    for number, start in enumerate(range(0, len(people), PART)):
        file = parts / f"{number:06}.npz"
        if not file.exists():
            some = people[start : start + PART]
            _write(file, _worked_out(some, one, keep), now())
        told(min(start + PART, len(people)), len(people))
    _finish(parts, people, keep)
    shutil.rmtree(folder, ignore_errors=True)
    parts.rename(folder)
    return StoredLists.open(folder)


def _worked_out(people: Ints, one: One, keep: int) -> tuple[NDArray[np.int32], Floats]:
    rows, scores = np.full((len(people), keep), -1, np.int32), np.zeros((len(people), keep), np.float32)
    for place, person in enumerate(people.tolist()):
        found, worth = (part[:keep] for part in one(person))
        rows[place, : len(found)], scores[place, : len(found)] = found, worth
    return rows, scores


def _write(file: Path, lists: tuple[NDArray[np.int32], Floats], at: int) -> None:
    rough = file.with_suffix(".rough")
    with rough.open("wb") as out:
        np.savez(out, rows=lists[0], scores=lists[1], made=np.full(len(lists[0]), at))
    rough.rename(file)


def _finish(parts: Path, people: Ints, keep: int) -> None:
    """Joins the parts into one array for each column, and removes them."""
    files = sorted(parts.glob("*.npz"))
    shapes = {"made": ((len(people),), np.int64), "rows": ((len(people), keep), np.int32),
              "scores": ((len(people), keep), np.float32)}  # fmt: skip
    for name, (shape, kind) in shapes.items():
        whole = np.lib.format.open_memmap(parts / f"{name}.npy", mode="w+", dtype=kind, shape=shape)
        for place, part in _pieces(files, name):
            whole[place] = part
        whole.flush()
    (parts / _FACTS).write_text(json.dumps({"people": len(people), "keep": keep}))
    for file in files:
        file.unlink()


def _pieces(files: list[Path], name: str) -> Iterator[tuple[slice, NDArray[np.generic]]]:
    start = 0
    for file in files:
        with np.load(file) as stored:
            part = stored[name]
        yield slice(start, start + len(part)), part
        start += len(part)
