"""Where a live index outlasts its process: a folder that holds the last whole save, whatever happens during the next.

current.json          {"base": "base-4", "changes": "changes-9.npz"}, replaced in one step
base-4/               an index as `Stored.save` writes it
changes-9.npz         rows that left the base; rows and vectors that came since
"""

import json
import os
import re
import shutil
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from winnow.core.errors import Problem, Unavailable
from winnow.retrieval.index import Stored, sync
from winnow.retrieval.kinds import open_index
from winnow.retrieval.live import Live, Snapshot

_CURRENT = "current.json"
_NUMBER = re.compile(r"(?:base|changes)-(\d+)")


class Shelf:
    """A folder for one live index; one process writes it, any number opens it.

    Args:
        folder: made when it is missing.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._base: tuple[Stored, str] | None = None  # the base that is on disk already, and its name

    def save(self, index: Live) -> None:
        """Saves what can be found now; a base that was saved before is not written again."""
        self._folder.mkdir(parents=True, exist_ok=True)
        now, number = index.snapshot, self._next()
        if self._base is None or self._base[0] is not now.base:
            now.base.save(self._folder / f"base-{number}")
            self._base = (now.base, f"base-{number}")
        changes = f"changes-{number}.npz"
        self._write(changes, now)
        self._point({"base": self._base[1], "changes": changes})

    def open(self, *, encoder: str) -> Live:
        """The index as last saved; vectors and lists stay on disk.

        Raises:
            Conflict: `encoder-differs`.
            Unavailable: `index-unreadable`, also when nothing was saved yet.
        """
        named = self._named()
        while True:
            try:
                return self._opened(json.loads(named), encoder)
            except (Unavailable, OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
                if (now := self._named()) == named:
                    raise self._unreadable(error) from error
                named = now  # a save replaced the files while they were being opened

    def _opened(self, names: dict[str, str], encoder: str) -> Live:
        base = open_index(self._folder / names["base"], encoder=encoder)
        with (self._folder / names["changes"]).open("rb") as file, np.load(file) as changes:
            index = Live(base)
            index.delete(changes["gone"])
            index.upsert(changes["rows"], changes["vectors"], encoder=encoder)
        self._base = (base, names["base"])
        return index

    def _named(self) -> str:
        try:
            return (self._folder / _CURRENT).read_text()
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> Unavailable:
        if isinstance(error, Unavailable):
            return error
        what, fix = f"the index cannot be read: {error}", "build the index again from the log"
        return Unavailable(Problem("index-unreadable", what, str(self._folder), fix=fix))

    def _next(self) -> int:
        """A number that no file here has, not even one that a killed process left."""
        found = (_NUMBER.search(path.name) for path in self._folder.iterdir())
        return max((int(match[1]) for match in found if match), default=0) + 1

    def _write(self, name: str, now: Snapshot) -> None:
        late, gone = now.rest.current, now.base.kept.without(now.kept.rows).rows
        with (self._folder / name).open("wb") as file:
            np.savez(file, gone=gone, rows=now.rest.rows[late], vectors=now.rest.vectors[late])
        sync(self._folder / name)

    def _point(self, names: dict[str, str]) -> None:
        """Makes a save the current one, then removes what belongs to none."""
        draft = self._folder / f"{_CURRENT}.new"
        draft.write_text(json.dumps(names))
        sync(draft)
        os.replace(draft, self._folder / _CURRENT)
        sync(self._folder)
        for path in self._folder.iterdir():
            if path.name not in {*names.values(), _CURRENT}:
                # Whoever has an old base mapped keeps it: its pages live as long as the mapping.
                shutil.rmtree(path) if path.is_dir() else path.unlink()
