"""Ids to places in an embedding table, without collisions: new ids get a place, cold ones lose it to others.

A hash that maps many ids to one place mixes what they mean. Here every living id has a place of its own; the table
grows as ids come, and the place of an id that nobody has seen for long is given to the next. Look-up is numpy alone.

Source: Liu et al., Monolith, ORSUM 2022 (collisionless embeddings with frequency filter and expiry).
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.features.batch import Ints
from winnow.models.artefact import corrupt

_ARRAYS = ("keys", "slots", "seen", "counts", "free", "facts")
_NOTHING = np.zeros(0, np.int64)


@dataclass
class IdTable:
    """Ids with their slots; slot 0 stands for every id without one.

    Args:
        least: how often an id must come before it gets a slot.
        limit: most slots, the 0 included; None for no limit. When all are taken, ids wait until others expire.
        keys: known ids, sorted, int64 [n].
        slots: slot of each, 0 while it waits for one, int64 [n].
        seen: when each came last, microseconds, int64 [n].
        counts: how often each came, int64 [n].
        free: slots given back, the next one last, int64 [m].
        size: slots ever given out, the 0 included: the rows that an embedding table needs.
    """

    least: int = 1
    limit: int | None = None
    keys: Ints = field(default_factory=_NOTHING.copy)
    slots: Ints = field(default_factory=_NOTHING.copy)
    seen: Ints = field(default_factory=_NOTHING.copy)
    counts: Ints = field(default_factory=_NOTHING.copy)
    free: Ints = field(default_factory=_NOTHING.copy)
    size: int = 1

    def __len__(self) -> int:
        """How many ids have a slot."""
        return int(np.count_nonzero(self.slots))

    def look_up(self, ids: Ints) -> Ints:
        """Slots, same shape as `ids`; 0 for ids without one. Negative ids are missing ones."""
        place, known = self._places(ids)
        return np.where(known, self.slots[place], 0) if len(self.keys) else np.zeros(ids.shape, np.int64)

    def see(self, ids: Ints, at: Ints | int) -> Ints:
        """Takes note of ids, and gives slots to those that have come often enough.

        Args:
            ids: of any shape, repeats allowed; negative ones are left out.
            at: when each came, microseconds, of the same shape or one for all; order does not matter.

        Returns:
            the slots that have a new owner, int64 [k]: what was learned in their rows is to be forgotten.
        """
        moments = np.broadcast_to(np.asarray(at, np.int64), ids.shape)[ids >= 0]
        came, inverse, counts = np.unique(ids[ids >= 0], return_inverse=True, return_counts=True)
        latest = np.full(len(came), np.iinfo(np.int64).min)
        np.maximum.at(latest, inverse.reshape(-1), moments)
        self._note(came, latest, counts)
        return self._admit()

    def expire(self, before: int) -> Ints:
        """Forgets ids that have not come since a moment, microseconds; their slots are given out again.

        Returns:
            those slots, int64 [k].
        """
        cold = self.seen < before
        freed = self.slots[cold & (self.slots > 0)]
        self._keep(~cold)
        self.free = np.concatenate([self.free, np.sort(freed)[::-1]])
        return freed

    def save(self, folder: Path) -> None:
        """Write one npy file per array into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", self._facts() if name == "facts" else getattr(self, name))

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False) -> Self:
        """What `save` wrote.

        Args:
            folder: with the npy files.
            read_only: map the files instead of reading them: processes that only look up share the memory.

        Raises:
            InputError: `model-corrupt`.
        """
        try:
            mode: Literal["r"] | None = "r" if read_only else None
            stored = {name: np.load(folder / f"{name}.npy", mmap_mode=mode, allow_pickle=False) for name in _ARRAYS}
            least, limit, size = (int(n) for n in stored.pop("facts"))
        except (OSError, ValueError, TypeError) as error:
            raise corrupt(folder / "keys.npy", f"{type(error).__name__}: {error}") from error
        table = cls(least, limit if limit >= 0 else None, **stored, size=size)
        table.check(folder)
        return table

    def check(self, where: Path | str = "") -> None:
        """The promise of the table: ids in order, no slot with two owners, none both owned and free.

        Raises:
            InputError: `id-table-broken`.
        """
        owned = self.slots[self.slots > 0]
        taken = np.concatenate([owned, self.free])
        sound = (
            {len(self.keys)} == {len(self.slots), len(self.seen), len(self.counts)}
            and bool((np.diff(self.keys) > 0).all())
            and len(np.unique(taken)) == len(taken) == self.size - 1
            and (len(taken) == 0 or (int(taken.min()) >= 1 and int(taken.max()) < self.size))
        )
        if not sound:
            why = "two ids would share what was learned about one of them"
            fix = "restore the file, or train again"
            raise InputError(Problem("id-table-broken", "the slots of an id table clash", os.fspath(where), why, fix))

    def _places(self, ids: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Where ids stand among the keys, and which are there."""
        place = np.minimum(np.searchsorted(self.keys, ids), max(len(self.keys) - 1, 0))
        known = (self.keys[place] == ids) & (ids >= 0) if len(self.keys) else np.zeros(ids.shape, bool)
        return place, known

    def _note(self, came: Ints, latest: Ints, counts: Ints) -> None:
        """Brings what is known of distinct, sorted ids up to date."""
        place, known = self._places(came)
        old, new = place[known], ~known
        self.seen, self.counts = self.seen.copy(), self.counts.copy()  # they may be mapped
        self.seen[old] = np.maximum(self.seen[old], latest[known])
        self.counts[old] += counts[known]
        if new.any():
            at = np.searchsorted(self.keys, came[new])
            self.keys = np.insert(self.keys, at, came[new])
            self.slots = np.insert(self.slots, at, 0)
            self.seen = np.insert(self.seen, at, latest[new])
            self.counts = np.insert(self.counts, at, counts[new])

    def _admit(self) -> Ints:
        """Slots for those that wait and have come often enough, the most frequent first."""
        waiting = np.flatnonzero((self.slots == 0) & (self.counts >= self.least))
        room = len(waiting) if self.limit is None else len(self.free) + max(self.limit - self.size, 0)
        chosen = waiting[np.argsort(-self.counts[waiting], kind="stable")][:room]
        reused = self.free[len(self.free) - min(len(chosen), len(self.free)) :][::-1]
        fresh = np.arange(self.size, self.size + len(chosen) - len(reused))
        given = np.concatenate([reused, fresh])
        self.slots = self.slots.copy()
        self.slots[chosen] = given
        self.free, self.size = self.free[: len(self.free) - len(reused)], self.size + len(fresh)
        return given

    def _keep(self, rows: NDArray[np.bool_]) -> None:
        self.keys, self.slots, self.seen, self.counts = (
            a[rows] for a in (self.keys, self.slots, self.seen, self.counts)
        )

    def _facts(self) -> Ints:
        return np.array([self.least, -1 if self.limit is None else self.limit, self.size])
