"""Pictures from strangers become pixels, decoded in a process of limited time and memory.

decoder = Decoder()
picture = decoder.decode(data, largest=1024)   # upright, on white, without EXIF
"""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem, Unavailable
from winnow.media import decoding_child as child
from winnow.media.decoding_process import Answer, DecodingProcess, Died, Limits

FORMATS = child.FORMATS
MOST_PIXELS = 40_000_000
MOST_BYTES = 50_000_000
_LEAST_MB = 48
_OTHERS = {  # how files of other kinds begin, to say what was sent
    b"%PDF": "a PDF document", b"II*\0": "a TIFF picture", b"MM\0*": "a TIFF picture", b"PK\3\4": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive", b"\0\0\1\0": "an icon", b"8BPS": "a Photoshop file", b"<!DOCTYPE html": "a web page",
}  # fmt: skip
_BRANDS = {b"heic": "a HEIC picture", b"heix": "a HEIC picture", b"mif1": "a HEIF picture", b"avif": "an AVIF picture"}


class Picture(NamedTuple):
    """A decoded picture.

    Args:
        pixels: uint8 [H, W, 3], red, green, blue; upright, what is transparent on white. Nothing else is kept.
        format: `JPEG`, `PNG`, `WEBP`, `GIF` or `BMP`, by its content.
        width: of the file as it is meant to be seen, in pixels; `pixels` are fewer if a smaller size was asked for.
        height: likewise.
        animated: `pixels` are the first of several frames.
    """

    pixels: NDArray[np.uint8]
    format: str
    width: int
    height: int
    animated: bool = False


class Decoder:
    """Decodes in programs of its own, which are started when first needed, kept for the next picture, and replaced
    when they die. Threads may share one. Linux and macOS; macOS does not limit memory.

    Args:
        workers: pictures that are decoded at a time.
        cpu_s: seconds of CPU that one picture may take.
        memory_mb: megabytes of address space of a program, 27 of which it needs itself.
        wait_s: seconds that one picture may take by the clock on the wall.
        patience_s: seconds that a call waits for a free program.
        most_pixels: that a picture may have, by its header.
        most_bytes: that a file may have.

    Raises:
        InputError: `bad-decoder`.
    """

    def __init__(
        self, workers: int = 1, cpu_s: float = 1.0, memory_mb: int = 256, *,
        wait_s: float = 10.0, patience_s: float = 30.0, most_pixels: int = MOST_PIXELS, most_bytes: int = MOST_BYTES,
    ):  # fmt: skip
        if memory_mb < _LEAST_MB or min(cpu_s, wait_s, workers, most_pixels) <= 0:
            what = f"a decoder cannot have {workers} workers, {cpu_s:g} s and {memory_mb} MB"
            raise InputError(Problem("bad-decoder", what, fix=f"more than 0 each, and at least {_LEAST_MB} MB"))
        self._limits = Limits(cpu_s, memory_mb, wait_s, most_pixels)
        self._workers, self._patience_s, self._most_bytes = workers, patience_s, most_bytes
        self._pool = self._new_pool()

    def decode(self, data: bytes, *, largest: int | None = None, square: int | None = None) -> Picture:
        """The pixels of a picture; of an animation, those of its first frame.

        Args:
            data: the bytes of a JPEG, PNG, WebP, GIF or BMP file. What comes after the picture does not matter.
            largest: the longer side is scaled down to this many pixels, the shape is kept. A JPEG is then decoded
                several times as fast.
            square: scaled to this many pixels both ways, whatever its shape.

        Raises:
            InputError: `image-unreadable` (empty, cut short, damaged, of another kind), `image-too-large` (bytes,
                pixels, memory), `image-too-slow`, `image-refused` (decoding it ends the program).
            Unavailable: `package-missing`, `decoder-fails`, `decoder-busy`.
        """
        if not data:
            raise _unreadable("the picture is empty")
        if len(data) > self._most_bytes:
            raise self._too_large(f"the picture has {len(data):,} bytes")
        answer = self._answer(data, largest or 0, square or 0)
        if answer.state != child.DONE:
            raise self._refusal(answer, data)
        return Picture(answer.pixels, FORMATS[answer.kind], *answer.size, answer.animated)

    def close(self) -> None:
        """Ends the programs; another picture would start one again."""
        self._pool.close()

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _new_pool(self) -> "_Pool":
        pool = _Pool(self._limits, self._workers)
        weakref.finalize(self, pool.close)
        return pool

    def _answer(self, data: bytes, largest: int, square: int) -> Answer:
        """From a new program when an older one dies: that may be due to what it did before, or to somebody's `kill`."""
        if self._pool.owner != os.getpid():  # this process is a fork
            self._pool.close()
            self._pool = self._new_pool()
        for new in (False, True):
            try:
                with self._pool.taken(self._patience_s, new=new) as process:
                    return process.decode(data, largest=largest, square=square)
            except Died as died:
                if died.new or died.why == "slow":
                    raise self._ended(died) from None
        raise AssertionError  # a new program either answers or dies

    def _ended(self, died: Died) -> InputError:
        if died.why == "slow":
            what = f"decoding the picture takes more than {self._limits.cpu_s:g} s"
            return InputError(Problem("image-too-slow", what, fix="send a smaller picture, or save it anew"))
        if died.why == "memory":
            return self._too_large(f"decoding the picture takes more than {self._limits.memory_mb} MB")
        what = "decoding the picture ends the program that does it"
        return InputError(Problem("image-refused", what, why="it may be made for that", fix="save the picture anew"))

    def _refusal(self, answer: Answer, data: bytes) -> InputError:
        if answer.state == child.TOO_MANY_PIXELS:
            size = f"{answer.size[0]} x {answer.size[1]}" if any(answer.size) else "too many"
            return self._too_large(f"the picture has {size} pixels")
        if answer.state == child.CUT_SHORT:
            return _unreadable("the picture is cut short", fix="send the whole file")
        kind = _kind(data)
        return _unreadable(
            f"the file is {kind}, not a picture that is taken" if kind else "the picture is damaged or none"
        )

    def _too_large(self, what: str) -> InputError:
        limit = f"at most {self._limits.pixels:,} pixels, {self._most_bytes:,} bytes and {self._limits.memory_mb} MB"
        return InputError(Problem("image-too-large", what, fix=f"{limit}; send a smaller picture"))


class _Pool:
    """The programs of one decoder in one process."""

    def __init__(self, limits: Limits, workers: int):
        self.owner = os.getpid()
        self._limits, self._free, self._lock = limits, threading.BoundedSemaphore(workers), threading.Lock()
        self._idle: list[DecodingProcess] = []
        self._closings = 0

    @contextmanager
    def taken(self, patience_s: float, *, new: bool) -> Iterator[DecodingProcess]:
        """A program for one picture; it ends with the picture if that raises."""
        if not self._free.acquire(timeout=patience_s):
            what = f"no decoder of pictures was free for {patience_s:g} s"
            raise Unavailable(Problem("decoder-busy", what, fix="try again, or give the decoder more workers"))
        try:
            closings = self._closings
            process = self._next(new=new)
            try:
                yield process
            except BaseException:
                process.close()
                raise
            self._give_back(process, closings)
        finally:
            self._free.release()

    def _next(self, *, new: bool) -> DecodingProcess:
        with self._lock:
            process = self._idle.pop() if self._idle else None
        if process and new:
            process.close()
        return process if process and not new else DecodingProcess(self._limits)

    def _give_back(self, process: DecodingProcess, closings: int) -> None:
        with self._lock:
            if closings == self._closings:
                self._idle.append(process)
                return
        process.close()

    def close(self) -> None:
        """Ends the programs, those at work when they are done; in a fork, leaves them to the process they belong to."""
        if self.owner != os.getpid():
            for process in self._idle:
                process.forget()
            self._idle.clear()
            return
        with self._lock:
            self._closings += 1
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()


@cache
def shared() -> Decoder:
    """The decoder of this process, with the usual limits; for what has no decoder of its own."""
    return Decoder(workers=2)


def _kind(data: bytes) -> str:
    """What a file seems to be that is no picture of ours; empty if that cannot be told."""
    start = data[:1024].lstrip()
    if b"<svg" in start.lower():
        return "an SVG drawing"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a film")
    return next((kind for mark, kind in _OTHERS.items() if start.startswith(mark)), "")


def _unreadable(what: str, *, fix: str = f"send a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file") -> InputError:
    return InputError(Problem("image-unreadable", what, fix=fix))
