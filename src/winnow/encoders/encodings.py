"""The cache of vectors that all processes of a project share, by encoder version and content hash."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Conflict, Problem, Unavailable
from winnow.data.text import text_hashes
from winnow.encoders.base import Encode, Encoder, Floats, Progress, silent
from winnow.encoders.rows import Ints, Rows

MEDIA = "media"  # folder of the images in a project
_TOGETHER = 512  # values encoded and then written together
_LARGEST = 50_000_000  # bytes of an image file, or of the reel of a video
_HELD = 10_000  # vectors in memory of what was asked and is nowhere kept


@dataclass(frozen=True)
class Encoded:
    """What `Encodings.ensure` did.

    Args:
        new: values that had no vector and have one now.
        unreadable: values that still have none: files that are missing or are no images.
    """

    new: int = 0
    unreadable: int = 0

    def __add__(self, other: "Encoded") -> "Encoded":
        return Encoded(self.new + other.new, self.unreadable + other.unreadable)


class Encodings:
    """Vectors of texts, images and videos.

    Each encoder version has a folder of its own, so vectors of two versions cannot mix. A value stands for its vector
    by its `text_hashes`; of an image the value is its path in the media folder, and a changed image needs a new one.

    Args:
        folder: where the vectors are kept; it can be deleted at any time, and is then made again.
        media: the folder to which the paths of images are relative.
    """

    def __init__(self, folder: Path | str, *, media: Path | str | None = None):
        self._folder = Path(folder)
        self._media = Path(media) if media is not None else self._folder / MEDIA
        self._open: dict[str, Encode] = {}
        self._rows: dict[str, Rows] = {}
        self._held: dict[tuple[str, int], Floats] = {}
        self._lock = threading.Lock()

    def ensure(self, encoder: Encoder, values: Iterable[str | None], *, progress: Progress = silent) -> Encoded:
        """Encode the values that have no vector yet; several processes may do so at once.

        Args:
            encoder: which.
            values: texts, or paths of images; None is passed over.
            progress: called with what is being done and the share done, 0 to 1.

        Raises:
            Unavailable: `package-missing`, `encoder-files-missing`.
        """
        rows = self._of(encoder, write=True)
        missing = self._missing(rows, values)
        done = Encoded()
        for part in _parts(missing):
            vectors = self.encode(encoder, [value for _, value in part])
            good = ~np.isnan(vectors[:, 0])
            rows.append(np.array([h for h, _ in part], np.int64)[good], vectors[good])
            done += Encoded(int(good.sum()), int((~good).sum()))
            progress(f"{encoder.name}: {len(missing):,} to encode", (done.new + done.unreadable) / len(missing))
        return done

    def vectors(self, encoder: Encoder, hashes: Ints) -> Floats:
        """The vectors of values, float32 [n, size]; NaN rows for missing values and values never encoded.

        Args:
            encoder: which.
            hashes: `text_hashes` of the values, int64 [n]; -1 is missing.

        Raises:
            Conflict: `encoder-version`: vectors of this kind are there, but of another version only.
        """
        found = self._of(encoder).find(hashes)
        if self._held and np.isnan(found[:, :1]).any():
            for place in np.flatnonzero(np.isnan(found[:, 0])):
                found[place] = self._held.get((encoder.identity, int(hashes[place])), np.nan)
        return found

    def hold(self, encoder: Encoder, value: str) -> None:
        """Sees to it that this process knows the vector of a value, which is not written down: of what somebody asks.

        Args:
            encoder: which.
            value: a text, or the path of an image.

        Raises:
            Unavailable: `package-missing`, `encoder-files-missing`.
        """
        hashes = text_hashes([value])
        if not value or (encoder.identity, int(hashes[0])) in self._held or self.known(encoder, hashes)[0]:
            return
        vector = self.encode(encoder, [value])[0]
        with self._lock:
            if len(self._held) >= _HELD:
                self._held.pop(next(iter(self._held)))
            self._held[encoder.identity, int(hashes[0])] = vector

    def known(self, encoder: Encoder, hashes: Ints) -> NDArray[np.bool_]:
        """Which values have a vector, bool [n]."""
        return self._of(encoder).known(hashes)

    def encode(self, encoder: Encoder, values: Sequence[str]) -> Floats:
        """The vectors of values, worked out afresh and not kept (what somebody searches for): float32 [n, size]."""
        encode = self.opened(encoder)
        return encode([self._bytes(value) for value in values] if encoder.of != "text" else values)

    def versions(self) -> dict[str, int]:
        """How many vectors there are by identity."""
        sizes: dict[str, int] = {}
        for folder in sorted(p for p in self._folder.glob("*-*") if (p / "index").is_file()):
            sizes[folder.name] = Rows.count(folder)
        return sizes

    def _missing(self, rows: Rows, values: Iterable[str | None]) -> list[tuple[int, str]]:
        """Different values without a vector, and their hashes; those of like length together."""
        given = [value for value in dict.fromkeys(values) if value is not None]
        hashes = text_hashes(given)
        absent = np.flatnonzero(~rows.known(hashes))
        return sorted(((int(hashes[i]), given[i]) for i in absent), key=lambda found: len(found[1]))

    def _of(self, encoder: Encoder, *, write: bool = False) -> Rows:
        rows = self._rows.get(encoder.identity)
        if rows is None:
            rows = Rows(self._folder / encoder.identity, encoder.size, encoder.kept)
            if write:
                rows.check()
            elif not (self._folder / encoder.identity).exists():
                self._refuse_other(encoder)
                return rows
            self._rows[encoder.identity] = rows
        return rows

    def _refuse_other(self, encoder: Encoder) -> None:
        others = sorted(p.name for p in self._folder.glob(f"{encoder.name}-*"))
        if others:
            what = f"there are no vectors of `{encoder.identity}`, only of {', '.join(f'`{o}`' for o in others)}"
            why = "vectors of two versions cannot be compared"
            raise Conflict(Problem("encoder-version", what, encoder.where, why, "encode again with this version"))

    def opened(self, encoder: Encoder) -> Encode:
        """The encoder itself, loaded once: for what somebody sends and nobody keeps."""
        with self._lock:
            if encoder.identity not in self._open:
                self._open[encoder.identity] = encoder.open(self._folder / encoder.identity)
            return self._open[encoder.identity]

    def _bytes(self, path: str) -> bytes:
        """An image file; empty when it is not there, is too large or lies outside the media folder."""
        root = self._media.resolve()
        file = (root / path).resolve()
        if not file.is_relative_to(root) or not file.is_file() or file.stat().st_size > _LARGEST:
            return b""
        return file.read_bytes()


def _parts(values: list[Any]) -> Iterator[list[Any]]:
    for first in range(0, len(values), _TOGETHER):
        yield values[first : first + _TOGETHER]


def vectors_in(encodings: Encodings | None, encoder: Encoder, hashes: Ints) -> Floats:
    """See `Encodings.vectors`.

    Raises:
        Unavailable: `no-encodings`.
    """
    if encodings is None:
        what = f"nothing here keeps vectors of `{encoder.name}`"
        raise Unavailable(Problem("no-encodings", what, encoder.where, fix="give encodings=Encodings(folder)"))
    return encodings.vectors(encoder, hashes)
