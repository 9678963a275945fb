"""The pictures of the items, as models learn from them and are judged by them: decoded once, in three parts.

N pictures of S x S pixels, P pairs.
"""

import json
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.declare import digest
from winnow.core.errors import InputError, Problem
from winnow.core.system import System
from winnow.data.ids import IdMap
from winnow.encoders.encodings import MEDIA
from winnow.models.picture_retrieval import PictureRetriever, Pictures
from winnow.training.stores import Stores

if TYPE_CHECKING:
    from winnow.media.decode import Decoder

Pixels = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Part = Literal["train", "valid", "test"]

LOOK = "look"  # column that near-duplicates share
PART = "part"  # column that says to which part a picture belongs, where somebody has decided
_NAMES: dict[str, Part] = {"train": "train", "valid": "valid", "validation": "valid", "val": "valid", "test": "test"}
_LEAST = 20  # pictures with which training begins
_PARTS: dict[Part, tuple[int, int]] = {"test": (0, 15), "valid": (15, 30), "train": (30, 100)}  # hundredths
_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Album:
    """Pictures of items that exist.

    Args:
        rows: item row numbers, int64 [N].
        groups: which of them show the same kind of thing, by the declared relevance, int64 [N]; -1 where unknown.
        hundredths: 0 to 99 for each picture, the same for near-duplicates and in every run, int64 [N]: its part.
        pixels: a side S → uint8 [N, S, S, 3].
        pairs: rows of pictures that people found alike while the training part lasted, int64 [P, 2].
        name: the same for the same pictures of the same rows.
    """

    rows: Ints
    groups: Ints
    hundredths: Ints
    pixels: Callable[[int], Pixels]
    pairs: Ints
    name: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def mask(self, part: Part) -> Mask:
        """Which pictures belong to a part, bool [N]."""
        first, end = _PARTS[part]
        return (self.hundredths >= first) & (self.hundredths < end)

    def part(self, name: Part, side: int) -> Pictures:
        """The pictures of a part, to learn from."""
        inside = np.flatnonzero(self.mask(name))
        part = replace(self, rows=self.rows[inside])
        return Pictures(part.rows, self.pixels(side)[inside], self.groups[inside], part.positions(self.pairs))

    def positions(self, pairs: Ints) -> Ints:
        """Pairs of rows as positions, int64 [p, 2], without those of which a picture is not in the album."""
        place = np.full(int(max(self.rows.max(initial=-1), pairs.max(initial=-1))) + 2, -1)
        place[self.rows] = np.arange(len(self.rows))
        found: Ints = place[pairs]
        return found[(found >= 0).all(axis=1)]

    def learned(self, pairs: Ints) -> "Album":
        """The same pictures with what people found alike."""
        return replace(self, pairs=pairs)


def sides(system: System) -> tuple[int, ...]:
    """The sides at which the retrieval ladder looks at pictures; empty when it does not."""
    models = [m for rung in (system.retrieval.rungs.values() if system.retrieval else ()) for m in rung]
    return tuple(dict.fromkeys(m.side for m in models if isinstance(m, PictureRetriever)))


def build(stores: Stores, system: System, *, as_of: int) -> Album | None:
    """The album of a system as of a moment; None when it learns from no pictures.

    Args:
        stores: the project; its history in step with the log.
        system: the declaration.
        as_of: microseconds UTC.

    Raises:
        InputError: `no-picture-column`, `too-few-pictures`.
    """
    wanted = sides(system)
    if not wanted:
        return None
    if system.picture is None:
        what = f"`{system.labels.item.name}` has no column of kind `image`"
        raise InputError(Problem("no-picture-column", what, system.where, fix="declare one: w.image"))
    table = stores.history.table_at(system.labels.item.name, as_of).sort("row")
    table = table.filter(pl.col(system.picture).is_not_null() & (pl.col(system.picture) != ""))
    shelf = _Shelf(stores.folder, table[system.picture].to_list())
    good = shelf.good(wanted[0])
    if (found := int(good.sum())) < _LEAST:
        what = f"{found} pictures that can be read; at least {_LEAST} are needed"
        raise InputError(Problem("too-few-pictures", what, fix="import a folder: winnow import pictures FOLDER"))
    groups = _codes(table, system.relevance.columns[-1] if system.relevance is not None else None)
    none = np.empty((0, 2), np.int64)
    rows = table["row"].to_numpy().astype(np.int64)
    hundredths = _decided(_hundredths(table), table, system, ids=stores.log.ids)
    name = digest([rows[good].tolist(), table[system.picture].filter(pl.Series(good)).to_list()])
    return Album(rows[good], groups[good], hundredths[good], lambda side: shelf.pixels(side)[good], none, name)


def _codes(table: pl.DataFrame, column: str | None) -> Ints:
    """A category column, of a multi-valued one the first value, int64 [N]."""
    if column is None:
        return np.full(len(table), -1, np.int64)
    values = table[column]
    if isinstance(values.dtype, pl.List):
        values = values.list.first()
    return values.fill_null(-1).to_numpy().astype(np.int64)


def _hundredths(table: pl.DataFrame) -> Ints:
    """0 to 99 by near-duplicate group, else by row: a part never holds the double of a picture in another."""
    rows = table["row"].to_numpy()
    looks = _codes(table, LOOK if LOOK in table.columns else None)
    keys = [f"look {look}" if look >= 0 else f"row {row}" for row, look in zip(rows, looks, strict=True)]
    return np.array([zlib.crc32(key.encode()) % 100 for key in keys], np.int64)


def _decided(hundredths: Ints, table: pl.DataFrame, system: System, *, ids: IdMap) -> Ints:
    """The parts of pictures for which the table names one, the drawn ones for the rest."""
    if PART not in table.columns:
        return hundredths
    codes, known = _codes(table, PART), ids.rows(system.labels.item.domain(PART), list(_NAMES))
    for name, code in zip(_NAMES, known.tolist(), strict=True):
        hundredths = np.where((codes == code) & (code >= 0), _PARTS[_NAMES[name]][0], hundredths)
    return hundredths


class _Shelf:
    """Decoded pictures on disk, by side; made again when the files are others.

    Args:
        folder: of the project.
        files: relative to its media folder.
    """

    def __init__(self, folder: Path, files: Sequence[str]):
        self._root, self._files, self._folder = folder / MEDIA, files, folder / "scratch" / "pictures"
        self._name = digest(list(files))

    def pixels(self, side: int) -> Pixels:
        """All pictures, uint8 [N, side, side, 3], mapped from disk; black where they cannot be read."""
        self.good(side)
        found: Pixels = np.load(self._file(side), mmap_mode="r")
        return found

    def good(self, side: int) -> Mask:
        """Which can be read, bool [N]."""
        mark = self._file(side).with_suffix(".json")
        if not mark.exists():
            self._decode(side, mark)
        return np.array(json.loads(mark.read_text()), bool)

    def _file(self, side: int) -> Path:
        return self._folder / f"{self._name}-{side}.npy"

    def _decode(self, side: int, mark: Path) -> None:
        from winnow.media.decode import Decoder

        self._folder.mkdir(parents=True, exist_ok=True)
        for old in self._folder.glob(f"*-{side}.*"):
            old.unlink()
        draft = self._folder / f"draft-{side}.{os.getpid()}.npy"
        shape = (len(self._files), side, side, 3)
        pixels = np.lib.format.open_memmap(draft, mode="w+", dtype=np.uint8, shape=shape)
        good = np.zeros(len(self._files), bool)
        with Decoder() as decoder:
            for place, file in enumerate(self._files):
                found = self._picture(decoder, file, side)
                if found is not None:
                    pixels[place], good[place] = found, True
        pixels.flush()
        os.replace(draft, self._file(side))
        mark.write_text(json.dumps(good.astype(int).tolist()))

    def _picture(self, decoder: "Decoder", file: str, side: int) -> Pixels | None:
        path, root = (self._root / file).resolve(), self._root.resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return None
        try:
            return decoder.decode(path.read_bytes(), square=side).pixels
        except InputError:
            return None
