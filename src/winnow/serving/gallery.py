"""The gallery: the pictures of a project's media folder, as they come in and as they are looked at.

A picture that comes in is decoded within limits, turned upright and written anew from its pixels: nothing of the file
that was sent is kept, so neither are its EXIF data, the place where it was taken, or anything hidden in it.
"""

import fcntl
import hashlib
import os
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import NotFound, Problem
from winnow.serving.look_alikes import LookAlikes

if TYPE_CHECKING:  # a system file is read without the decoder
    from winnow.media.decode import Decoder

Pixels = NDArray[np.uint8]

LARGEST = 1024  # pixels along the longer side of what is kept
SMALL = 256  # of the thumbnail made when a picture comes in
_FOLDER = "pictures"
_NAME = re.compile(r"([0-9a-f]{32})\.jpg(\.small)?")
_END = b"\xff\xd9"  # of a JPEG
_DRAFT_S = 86_400.0  # no picture takes a day to be written


@dataclass(frozen=True)
class Taken:
    """A picture that came in.

    Args:
        file: where it is, relative to the media folder.
        width, height: pixels of what was sent, upright.
        look: the same for pictures that are nearly the same.
    """

    file: str
    width: int
    height: int
    look: str


class Gallery:
    """Takes pictures in and shows them.

    Args:
        folder: the media folder of a project.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._alike = LookAlikes(folder / "looks.bin")
        self._decoder: Decoder | None = None
        self._lock = threading.Lock()

    @property
    def decoder(self) -> "Decoder":
        """Decodes pictures in a process of its own, started when first needed."""
        from winnow.media.decode import Decoder

        with self._lock:
            if self._decoder is None:
                self._decoder = Decoder(workers=2)  # what people wait for passes what an index waits for
            return self._decoder

    def take(self, data: bytes) -> Taken:
        """Keeps a picture; one that is kept already is the same file again.

        Raises:
            InputError: `image-unreadable`, `image-too-large`, `image-too-slow`, `image-refused`.
        """
        from winnow.media.perceptual import pdq
        from winnow.media.pictures import thumbnail

        picture = self.decoder.decode(data, largest=LARGEST)
        kept = thumbnail(picture.pixels, LARGEST)
        name = hashlib.sha256(kept).hexdigest()[:32]
        file = f"{_FOLDER}/{name[:2]}/{name}.jpg"
        with self._locked(fcntl.LOCK_SH):  # it may be unwanted until now, and about to be removed
            if not _touched(self._folder / file):
                self._write(self._small(file), thumbnail(picture.pixels, SMALL), lasting=False)
                self._write(self._folder / file, kept)
        return Taken(file, picture.width, picture.height, self._alike.group(*pdq(picture.pixels), name))

    def decode(self, data: bytes) -> Pixels:
        """The pixels of a picture that is not kept, upright, uint8 [H, W, 3].

        Raises:
            InputError: `image-unreadable`, `image-too-large`, `image-too-slow`, `image-refused`.
        """
        return self.decoder.decode(data, largest=LARGEST).pixels

    def pixels(self, file: str) -> Pixels:
        """A kept picture, uint8 [H, W, 3].

        Raises:
            NotFound: `no-picture`, when the file is not there or lies outside the media folder.
            InputError: as `decode`.
        """
        return self.decode(self._bytes(file))

    def square(self, file: str, side: int) -> Pixels:
        """A kept picture scaled to a square, uint8 [side, side, 3]; raises as `pixels`."""
        return self.squared(self.pixels(file), side)

    @staticmethod
    def squared(pixels: Pixels, side: int) -> Pixels:
        """Pixels scaled to a square, uint8 [side, side, 3]."""
        from winnow.media.pictures import square

        return square(pixels, side)

    def thumbnail(self, file: str, side: int = SMALL) -> bytes:
        """A kept picture as a small JPEG; raises as `pixels`."""
        from winnow.media.pictures import thumbnail

        if side == SMALL and (found := _whole(self._small(file))):
            return found
        return thumbnail(self.pixels(file), side)

    def files(self) -> set[str]:
        """The pictures that are kept, or of which something is left, relative to the media folder."""
        found = set()
        for path in self._each():
            if match := _NAME.fullmatch(path.name):
                found.add(f"{_FOLDER}/{path.parent.name}/{match[1]}.jpg")
        return found

    def discard(self, file: str, *, before: float) -> bool:
        """Removes a picture that nobody wants, unless somebody has brought it again; whether it is gone.

        Args:
            file: of `files`.
            before: a moment in seconds since 1970; what was brought since then stays.
        """
        paths = [self._inside(file), self._small(file)]
        with self._locked(fcntl.LOCK_EX):
            if any(_brought(path) >= before for path in paths):
                return False
            for path in paths:  # a kill between the two leaves the second, which is found the next time
                path.unlink(missing_ok=True)
        return True

    def tidy(self) -> int:
        """Removes what a killed process has left half written; returns how much."""
        due = [path for path in self._each() if not _NAME.fullmatch(path.name)]
        due = [path for path in due if _brought(path) < time.time() - _DRAFT_S]
        for path in due:
            path.unlink(missing_ok=True)
        return len(due)

    def _each(self) -> Iterator[Path]:
        return (self._folder / _FOLDER).glob("[0-9a-f][0-9a-f]/*")

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Keeps those who bring a picture and those who remove one apart, in all processes; a kill lets go."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".pictures.lock").open("a") as file:
            fcntl.flock(file, how)
            yield

    def close(self) -> None:
        """Ends the decoder."""
        with self._lock:
            if self._decoder is not None:
                self._decoder.close()
                self._decoder = None

    def _small(self, file: str) -> Path:
        return self._inside(f"{file}.small")

    def _bytes(self, file: str) -> bytes:
        try:
            return self._inside(file).read_bytes()
        except OSError as error:
            raise _missing() from error

    def _inside(self, file: str) -> Path:
        root = self._folder.resolve()
        path = (root / file).resolve()
        if not path.is_relative_to(root):
            raise _missing()
        return path

    @staticmethod
    def _write(path: Path, data: bytes, *, lasting: bool = True) -> None:
        """Whole or not at all; what is to last is on disk before the row that names it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{uuid.uuid4().hex}")
        with draft.open("wb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)


def _touched(path: Path) -> bool:
    """Whether a file is there; if so, it counts as brought now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _brought(path: Path) -> float:
    """When a file came, in seconds since 1970; minus infinity for one that is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("-inf")


def _whole(small: Path) -> bytes | None:
    """A thumbnail, unless it is not there or a power cut has left only part of it: it can be made again."""
    try:
        found = small.read_bytes()
    except FileNotFoundError:
        return None
    return found if found.endswith(_END) else None


def _missing() -> NotFound:
    return NotFound(Problem("no-picture", "the file of this picture is not in the media folder", fix="upload it again"))
