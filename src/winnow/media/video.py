"""Videos from strangers become a few frames, decoded in a process of limited time and memory.

decoder = VideoDecoder()
video = decoder.decode(data)                # its key frames, upright, with the moment of each
video = decoder.decode(data, way="even", most=16, largest=256)

PyAV brings FFmpeg along. The wheels of PyAV 18 say of their FFmpeg that it is licensed under LGPL 3 or later, but they
hold libx264 and libx265 too, which are under GPL 2 or later: who passes a wheel on passes those on. The extra `video`
is for whom that suits; PyAV can also be built against an FFmpeg of one's own (`pip install av --no-binary av`).
"""

import math
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.media import video_child as child
from winnow.media.decode import kind_of
from winnow.media.decoding_loop import DONE, TOO_LARGE
from winnow.media.decoding_pool import Programs
from winnow.media.decoding_process import DecodingProcess, Died, Program

Way = Literal["keys", "even", "shots"]
WAYS: tuple[Way, ...] = ("keys", "even", "shots")
FORMATS = tuple(child.FORMATS)
MOST_FRAMES, LARGEST = 64, 512
MOST_BYTES, MOST_PIXELS, MOST_S = 500_000_000, 10_000_000, 4 * 3600
_LEAST_MB = 192
_TIME = 8  # bytes of a moment
_CUT = 0.95  # of the length that the header gives; a file that holds less was cut short


class Video(NamedTuple):
    """A decoded video.

    Args:
        frames: uint8 [n, H, W, 3], red, green, blue; upright.
        times: when each is seen, in seconds from the first frame, ascending, float64 [n].
        format: the container, by its content: `MP4`, `Matroska` (WebM too), `AVI` …
        width, height: of the video as it is meant to be seen, in pixels.
        seconds: its length by what its header says; 0 where it does not say.
        rate: frames a second, on average; 0 where it does not say.
        rotation: degrees anticlockwise by which the player turns it; `frames` are turned already.
        whole: whether it reaches as far as its header says.
    """

    frames: NDArray[np.uint8]
    times: NDArray[np.float64]
    format: str
    width: int
    height: int
    seconds: float
    rate: float
    rotation: int
    whole: bool


class _Answer(NamedTuple):
    """A reply of the program; frames and times are empty unless it is done."""

    state: int
    format: int
    rotation: int
    size: tuple[int, int]
    seconds: float
    until: float
    rate: float
    frames: NDArray[np.uint8]
    times: NDArray[np.float64]


class VideoDecoder:
    """Decodes in programs of its own, as `Decoder` does pictures. Threads may share one.

    Args:
        workers: videos that are decoded at a time.
        cpu_s: seconds of CPU that one video may take.
        memory_mb: megabytes of address space of a program, about 120 of which it needs itself.
        wait_s: seconds that one video may take by the clock on the wall.
        patience_s: seconds that a call waits for a free program.
        most_pixels: that a frame may have.
        most_bytes: that a file may have.
        most_s: seconds that a video may last.
        most_frames, largest: the most that `decode` may be asked for.

    Raises:
        InputError: `bad-decoder`.
    """

    def __init__(
        self, workers: int = 1, cpu_s: float = 60.0, memory_mb: int = 1024, *,
        wait_s: float = 180.0, patience_s: float = 60.0, most_pixels: int = MOST_PIXELS, most_bytes: int = MOST_BYTES,
        most_s: int = MOST_S, most_frames: int = MOST_FRAMES, largest: int = LARGEST,
    ):  # fmt: skip
        if memory_mb < _LEAST_MB or min(cpu_s, wait_s, workers, most_pixels, most_s, most_frames, largest) <= 0:
            what = f"a decoder cannot have {workers} workers, {cpu_s:g} s, {memory_mb} MB and {most_frames} frames"
            raise InputError(Problem("bad-decoder", what, fix=f"more than 0 each, and at least {_LEAST_MB} MB"))
        room = most_bytes + most_frames * (3 * largest * largest + _TIME)
        self._program = Program(
            child.__name__, ("av", "av", "video"), child.REQUEST, child.REPLY, cpu_s, memory_mb, wait_s,
            (most_pixels, room, most_s),
        )  # fmt: skip
        self._programs = Programs(self._program, workers, patience_s)
        self._most_pixels, self._most_bytes, self._most_s = most_pixels, most_bytes, most_s
        self._most_frames, self._largest = most_frames, largest

    def decode(self, data: bytes, *, way: Way = "keys", most: int = MOST_FRAMES, largest: int = LARGEST) -> Video:
        """Some frames of a video.

        Args:
            data: the bytes of a file.
            way: `keys` decodes frames that need no others, which is fast; `even` takes evenly spread ones; `shots` one
                from each shot, at the moment when the shot begins. The last two decode everything.
            most: frames; of more that fit, evenly spread ones are taken.
            largest: the longer side is scaled down to this many pixels, the shape is kept.

        Raises:
            InputError: `video-unreadable` (empty, cut short, damaged, of another kind, sound alone), `video-too-large`
                (bytes, pixels, length, memory), `video-too-slow`, `video-refused` (decoding it ends the program),
                `bad-decoder` for more than this decoder allows.
            Unavailable: `package-missing`, `decoder-fails`, `decoder-busy`.
        """
        if not (0 < most <= self._most_frames and 0 < largest <= self._largest and way in WAYS):
            what = f"{most} frames of {largest} pixels by `{way}`"
            fix = f"at most {self._most_frames} of {self._largest} pixels by one of {', '.join(WAYS)}"
            raise InputError(Problem("bad-decoder", what, fix=fix))
        if not data:
            raise _unreadable("the video is empty")
        if len(data) > self._most_bytes:
            raise self._too_large(f"the video has {len(data):,} bytes")
        asked = WAYS.index(way), most, largest
        answer = self._programs.answer(lambda process: self._ask(process, data, asked), ended=self._ended)
        if answer.state != DONE:
            raise self._refusal(answer, data)
        return _video(answer)

    def probe(self, data: bytes) -> Video:
        """What a video is, with its first key frame, small; raises as `decode`."""
        return self.decode(data, most=1, largest=min(64, self._largest))

    def close(self) -> None:
        """Ends the programs; another video would start one again."""
        self._programs.close()

    def __enter__(self) -> "VideoDecoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, process: DecodingProcess, data: bytes, asked: tuple[int, int, int]) -> _Answer:
        state, kind, rotation, width, height, seconds, until, rate, count, wide, high = process.ask(data, *asked)
        if count > asked[1] or max(wide, high) > asked[2] or kind >= len(FORMATS):
            raise process.died("crash")
        frames = process.read(len(data), (count, high, wide, 3))
        times = process.read(len(data) + frames.size, (count,), np.float64)
        process.done()
        return _Answer(state, kind, rotation, (width, height), seconds, until, rate, frames, times)

    def _ended(self, died: Died) -> InputError:
        if died.why == "slow":
            what = f"decoding the video takes more than {self._program.cpu_s:g} s"
            return InputError(Problem("video-too-slow", what, fix="send a shorter or smaller video"))
        if died.why == "memory":
            return self._too_large(f"decoding the video takes more than {self._program.memory_mb} MB")
        what = "decoding the video ends the program that does it"
        return InputError(Problem("video-refused", what, why="it may be made for that", fix="save the video anew"))

    def _refusal(self, answer: _Answer, data: bytes) -> InputError:
        if answer.state == TOO_LARGE:
            return self._too_large(f"the video has {answer.size[0]} x {answer.size[1]} pixels")
        if answer.state == child.TOO_LONG:
            return self._too_large(f"the video lasts {answer.seconds:,.0f} s")
        if answer.state == child.NO_PICTURES:
            return _unreadable("the file has no pictures, only sound")
        if answer.state == child.NO_FRAMES:
            return _unreadable("no frame of the video can be decoded", fix="save the video anew")
        if _begins(data):
            return _unreadable("the video is cut short or damaged", fix="send the whole file")
        return _unreadable(f"the file is {kind_of(data) or 'none that is known'}, not a video that is taken")

    def _too_large(self, what: str) -> InputError:
        limit = f"at most {self._most_pixels:,} pixels, {self._most_s:,} s, {self._most_bytes:,} bytes"
        return InputError(Problem("video-too-large", what, fix=f"{limit}; send a smaller video"))


@cache
def shared() -> VideoDecoder:
    """The decoder of this process, with the usual limits; for what has no decoder of its own."""
    return VideoDecoder(workers=1)


def _video(answer: _Answer) -> Video:
    turns = answer.rotation // 90 % 4
    frames = np.ascontiguousarray(np.rot90(answer.frames, turns, axes=(1, 2)))
    width, height = answer.size[::-1] if turns % 2 else answer.size
    times = np.nan_to_num(answer.times, nan=0.0, posinf=0.0, neginf=0.0)
    rate, seconds = (value if math.isfinite(value) and value > 0 else 0.0 for value in (answer.rate, answer.seconds))
    reached = answer.until + (1 / rate if rate else 0.0)
    whole = not seconds or reached >= _CUT * seconds - 0.5
    turn = answer.rotation % 360
    return Video(
        frames, np.maximum.accumulate(times), FORMATS[answer.format], width, height, seconds, rate, turn, whole
    )


def _begins(data: bytes) -> bool:
    """Whether a file begins as a video does."""
    return data[4:8] == b"ftyp" or data[:4] in (b"RIFF", b"\x1aE\xdf\xa3", b"OggS", b"FLV\1", b"\x00\x00\x01\xba")


def _unreadable(what: str, *, fix: str = f"send a video in one of {', '.join(FORMATS)}") -> InputError:
    return InputError(Problem("video-unreadable", what, fix=fix))
