"""Pictures from strangers become pixels, decoded in a process of limited time and memory.

decoder = Decoder()
picture = decoder.decode(data, largest=1024)   # upright, on white, without EXIF
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.media import decoding_child as child
from winnow.media.decoding_loop import CUT_SHORT, DONE, TOO_LARGE
from winnow.media.decoding_pool import Programs
from winnow.media.decoding_process import DecodingProcess, Died, Program

FORMATS = child.FORMATS
MOST_PIXELS = 40_000_000
MOST_BYTES = 50_000_000
_LEAST_MB = 48
_OTHERS = {  # how files of other kinds begin, to say what was sent
    b"%PDF": "a PDF document", b"II*\0": "a TIFF picture", b"MM\0*": "a TIFF picture", b"PK\3\4": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive", b"\0\0\1\0": "an icon", b"8BPS": "a Photoshop file", b"<!DOCTYPE html": "a web page",
}  # fmt: skip
_BRANDS = {b"heic": "a HEIC picture", b"heix": "a HEIC picture", b"mif1": "a HEIF picture", b"avif": "an AVIF picture"}


class _Answer(NamedTuple):
    """A reply of the program; `pixels` is uint8 [H, W, 3], empty unless it is done."""

    state: int
    kind: int
    animated: bool
    size: tuple[int, int]
    pixels: NDArray[np.uint8]


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
        package = ("PIL", "pillow", "images")
        self._program = Program(
            child.__name__, package, child.REQUEST, child.REPLY, cpu_s, memory_mb, wait_s, (most_pixels,)
        )
        self._programs = Programs(self._program, workers, patience_s)
        self._most_pixels, self._most_bytes = most_pixels, most_bytes

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
        answer = self._programs.answer(
            lambda process: self._ask(process, data, largest or 0, square or 0), ended=self._ended
        )
        if answer.state != DONE:
            raise self._refusal(answer, data)
        return Picture(answer.pixels, FORMATS[answer.kind], *answer.size, answer.animated)

    def close(self) -> None:
        """Ends the programs; another picture would start one again."""
        self._programs.close()

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, process: DecodingProcess, data: bytes, largest: int, square: int) -> _Answer:
        state, kind, animated, width, height, wide, high = process.ask(data, largest, square)
        if wide * high > self._most_pixels:
            raise process.died("crash")
        pixels = process.read(0, (high, wide, 3))
        process.done()
        return _Answer(state, kind, bool(animated), (width, height), pixels)

    def _ended(self, died: Died) -> InputError:
        if died.why == "slow":
            what = f"decoding the picture takes more than {self._program.cpu_s:g} s"
            return InputError(Problem("image-too-slow", what, fix="send a smaller picture, or save it anew"))
        if died.why == "memory":
            return self._too_large(f"decoding the picture takes more than {self._program.memory_mb} MB")
        what = "decoding the picture ends the program that does it"
        return InputError(Problem("image-refused", what, why="it may be made for that", fix="save the picture anew"))

    def _refusal(self, answer: _Answer, data: bytes) -> InputError:
        if answer.state == TOO_LARGE:
            size = f"{answer.size[0]} x {answer.size[1]}" if any(answer.size) else "too many"
            return self._too_large(f"the picture has {size} pixels")
        if answer.state == CUT_SHORT:
            return _unreadable("the picture is cut short", fix="send the whole file")
        kind = kind_of(data)
        return _unreadable(
            f"the file is {kind}, not a picture that is taken" if kind else "the picture is damaged or none"
        )

    def _too_large(self, what: str) -> InputError:
        limit = f"at most {self._most_pixels:,} pixels, {self._most_bytes:,} bytes and {self._program.memory_mb} MB"
        return InputError(Problem("image-too-large", what, fix=f"{limit}; send a smaller picture"))


@cache
def shared() -> Decoder:
    """The decoder of this process, with the usual limits; for what has no decoder of its own."""
    return Decoder(workers=2)


def kind_of(data: bytes) -> str:
    """What a file seems to be that is no picture of ours; empty if that cannot be told."""
    start = data[:1024].lstrip()
    if b"<svg" in start.lower():
        return "an SVG drawing"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a film")
    return next((kind for mark, kind in _OTHERS.items() if start.startswith(mark)), "")


def _unreadable(what: str, *, fix: str = f"send a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file") -> InputError:
    return InputError(Problem("image-unreadable", what, fix=fix))
