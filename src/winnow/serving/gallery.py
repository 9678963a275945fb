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
from itertools import chain
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
PICTURES, VIDEOS = ("pictures", "jpg"), ("videos", "reel")  # folder and ending of what is kept
_NAME = re.compile(r"([0-9a-f]{32}\.(?:jpg|reel))(\.small)?")
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
        from winnow.media.pictures import thumbnail

        picture = self.decoder.decode(data, largest=LARGEST)
        file = self.keep(thumbnail(picture.pixels, LARGEST), picture.pixels)
        return Taken(file, picture.width, picture.height, self.look(file, picture.pixels))

    def keep(self, data: bytes, shown: Pixels, *, kind: tuple[str, str] = PICTURES) -> str:
        """Keeps bytes made here, under a name that follows from them, beside a thumbnail of what they show.

        Returns:
            the file, relative to the media folder.
        """
        from winnow.media.pictures import thumbnail

        name, (folder, ending) = hashlib.sha256(data).hexdigest()[:32], kind
        file = f"{folder}/{name[:2]}/{name}.{ending}"
        with self._locked(fcntl.LOCK_SH):  # it may be unwanted until now, and about to be removed
            if not _touched(self._folder / file):
                self._write(self._small(file), thumbnail(shown, SMALL), lasting=False)
                self._write(self._folder / file, data)
        return file

    def look(self, file: str, shown: Pixels) -> str:
        """The same for files that show nearly the same."""
        from winnow.media.perceptual import pdq

        return self._alike.group(*pdq(shown), Path(file).stem)

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
        return self.decode(self.read(file))

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

        if side == SMALL and (found := self.small(file)):
            return found
        return thumbnail(self.pixels(file), side)

    def small(self, file: str) -> bytes | None:
        """The thumbnail that was made when a file came, a JPEG; None when it is not there."""
        return _whole(self._small(file))

    def files(self) -> set[str]:
        """What is kept, or of which something is left, relative to the media folder."""
        found = set()
        for path in self._each():
            if match := _NAME.fullmatch(path.name):
                found.add(f"{path.parent.parent.name}/{path.parent.name}/{match[1]}")
        return found

    def discard(self, file: str, *, before: float) -> bool:
        """Removes a picture that nobody wants, unless somebody has brought it again; whether it is gone.

        Args:
            file: of `files`.
            before: a moment in seconds since 1970; what was brought since then stays.
        """
        paths = [self.path(file), self._small(file)]
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
        return chain.from_iterable((self._folder / kind).glob("[0-9a-f][0-9a-f]/*") for kind, _ in (PICTURES, VIDEOS))

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
        return self.path(f"{file}.small")

    def read(self, file: str) -> bytes:
        """The bytes of a kept file.

        Raises:
            NotFound: `no-picture`.
        """
        try:
            return self.path(file).read_bytes()
        except OSError as error:
            raise _missing() from error

    def path(self, file: str) -> Path:
        """Where a file of the media folder is.

        Raises:
            NotFound: `no-picture`, when it lies outside.
        """
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
