"""What an encoder is: a declaration that turns texts, images or videos into vectors, pinned by a version.

Subclassing `Encoder` registers one. Declaring costs nothing; `open` loads what is needed. A text or image gives the
same vector whatever it is encoded together with, so that vectors can be made when and where it suits.
"""

import fcntl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared, digest, plain
from winnow.core.errors import Problem, Unavailable

Floats = NDArray[np.float32]
Media = Literal["text", "image", "video"]
Encode = Callable[[Sequence[Any]], Floats]
Progress = Callable[[str, float], None]


def silent(what: str, share: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, kw_only=True)
class Encoder(Declared):
    """Base of all encoders."""

    of: ClassVar[Media] = "text"
    revision: ClassVar[int] = 1  # raised when the same input would give another vector
    kept: ClassVar[Literal["<f4", "<f2"]] = "<f4"  # numbers of its vectors as they are kept on disk

    @property
    def name(self) -> str:
        """The kind of encoder, in lower case."""
        return type(self).__name__.lower()

    @property
    def size(self) -> int:
        """The length of its vectors."""
        raise NotImplementedError

    def files(self) -> dict[str, str]:
        """SHA-256 of each file that its vectors depend on, by name; empty without weights.

        Raises:
            Unavailable: the files are not there.
        """
        return {}

    def settings(self) -> dict[str, Any]:
        """The fields that its vectors depend on."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "where"}

    @cached_property
    def version(self) -> str:
        """12 hex digits that pin its files, its settings and its algorithm: vectors of two versions never meet."""
        parts = {"kind": type(self).__name__, "revision": self.revision}
        return digest(parts | {"settings": self.settings(), "files": self.files()})[:12]

    @cached_property
    def identity(self) -> str:
        """Name and version: `hashedwords-1f0a…`."""
        return f"{self.name}-{self.version}"

    def to_data(self) -> dict[str, Any]:
        return super().to_data() | {"version": self.version}

    def open(self, folder: Path) -> Encode:
        """Load what encoding needs.

        Args:
            folder: of this identity alone; files that must be made once are kept there.

        Returns:
            A function from n texts, or n images or reels of videos as bytes, to float32 [n, size]: rows of length 1,
            zeros where a text has nothing in it, NaN where an image cannot be read. Of a video: a row for each frame,
            of length 1, one after the other.

        Raises:
            Unavailable: a package or a file that it needs is not there.
        """
        raise NotImplementedError


def made_once(folder: Path, opened: Callable[[], Encode | None], make: Callable[[], None]) -> Encode | None:
    """What `opened` gives, once one process has made the files that it needs, if they are not there.

    Args:
        folder: where the files go.
        opened: opens them; None when they are not there or are damaged.
        make: makes them; other processes wait meanwhile.
    """
    found = opened()
    if found is not None:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "making").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = opened()  # another process may have made them meanwhile
        if found is None:
            make()
    return found or opened()


def normalised(vectors: NDArray[Any]) -> Floats:
    """Rows scaled to length 1, float32 [n, size]; zero rows stay."""
    exact = vectors.astype(np.float64, copy=False)
    lengths = np.sqrt((exact * exact).sum(axis=1, keepdims=True))
    return (exact / np.where(lengths == 0, 1.0, lengths)).astype(np.float32)


def not_installed(package: str, extra: str) -> Unavailable:
    """The error for an optional package."""
    what = f"the package `{package}` is not installed"
    return Unavailable(Problem("package-missing", what, fix=f"pip install 'winnow-engine[{extra}]'"))
