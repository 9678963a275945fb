"""The program that decodes videos from strangers within limits; `VideoDecoder` starts it and talks to it.

Frames go into the exchanged file behind the video: their pixels, then when each of them is seen, float64 seconds.
"""

import importlib
import os
import pkgutil
import struct
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from winnow.media.decoding_loop import DAMAGED, DONE, FILE, NO_MEMORY, SOCKET, TOO_LARGE, limit, put, serve
from winnow.media.video_choice import SIDE, Shots, Thinned, spread

if TYPE_CHECKING:
    from av import Packet as AnyPacket
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

    Packet = AnyPacket[VideoStream]

Seen = tuple["VideoFrame", float]

REQUEST = struct.Struct("<QBII")  # bytes to decode, way, most frames, longest side
REPLY = struct.Struct("<BBhIIdddIII")
# state, format, rotation, width, height, seconds by the header, seconds by what is there, frames a second; and of what
# was written: frames, width, height
FORMATS = {  # container → names by which FFmpeg knows it; others are not even tried
    "MP4": "mov,mp4,m4a,3gp,3g2,mj2", "Matroska": "matroska,webm", "AVI": "avi", "MPEG": "mpeg", "MPEG-TS": "mpegts",
    "FLV": "flv", "Ogg": "ogg", "ASF": "asf", "GIF": "gif",
}  # fmt: skip
KEYS, EVEN, SHOTS = range(3)
NO_PICTURES, TOO_LONG, NO_FRAMES = range(NO_MEMORY + 1, NO_MEMORY + 4)
_US = 1_000_000
_NO_MEMORY = 12  # errno


class _Refused(Exception):
    """The arguments are the state to reply with, and the fields of the reply that are known."""


def main(cpu_s: str, memory_mb: str, pixels: str, most_bytes: str, most_s: str) -> None:
    """Decodes until the other end of the socket closes.

    Args:
        cpu_s: seconds of CPU for one video.
        memory_mb: megabytes of address space.
        pixels: the most that a frame may have.
        most_bytes: that the exchanged file may have, frames included.
        most_s: seconds that a video may last.
    """
    _prepare()
    limit(int(memory_mb), int(most_bytes))
    serve(REQUEST, _reply, partial(_serve, pixels=int(pixels), most_s=int(most_s)), cpu_s=float(cpu_s))


def _prepare() -> None:
    """Imports all there is, because nothing can be imported later, and the library does so when it meets something."""
    import av

    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    av.logging.set_level(None)


def _serve(length: int, way: int, most: int, largest: int, *, pixels: int, most_s: int) -> None:
    try:
        with _opened(length) as container:
            stream, facts = _looked_at(container, pixels, most_s)
            packets = sorted((_at(p), p.is_keyframe) for p in container.demux(stream) if p.size)
            index = stream.index
        reel = _Reel(length, largest, pixels)
        with _opened(length) as container:  # anew: not every container can be wound back to its start
            _decoded(container, container.streams[index], packets, reel, way=way, most=most)
        facts |= {"until": packets[-1][0] - packets[0][0] if packets else 0.0, "rotation": reel.rotation}
        _reply(DONE if reel.times else NO_FRAMES, **facts, written=reel.end())
    except _Refused as refused:
        _reply(refused.args[0], **refused.args[1])
    except MemoryError:
        _reply(NO_MEMORY)
    except Exception as error:  # what the libraries raise on damaged files is not documented
        _reply(NO_MEMORY if getattr(error, "errno", 0) == _NO_MEMORY else DAMAGED)


def _reply(state: int, *, format: int = 0, rotation: int = 0, size: tuple[int, int] = (0, 0), seconds: float = 0.0,
           until: float = 0.0, rate: float = 0.0, written: tuple[int, int, int] = (0, 0, 0)) -> None:  # fmt: skip
    os.write(SOCKET, REPLY.pack(state, format, rotation, *size, seconds, until, rate, *written))


class _Bytes:
    """The video in the exchanged file, read in place."""

    def __init__(self, length: int):
        self._length, self._place = length, 0

    def read(self, size: int) -> bytes:
        data = os.pread(FILE, min(size, self._length - self._place), self._place)
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = max(0, min(self._length, offset + (0, self._place, self._length)[whence]))
        return self._place

    def tell(self) -> int:
        return self._place


class _Reel:
    """The frames that are kept, as they are written behind the video.

    Args:
        place: where they begin.
        largest: the longer side is scaled down to this many pixels.
        pixels: the most that a frame may have.
    """

    def __init__(self, place: int, largest: int, pixels: int):
        self._place, self._largest, self.pixels = place, largest, pixels
        self.times: list[float] = []
        self.size, self.rotation = (0, 0), 0

    def scaled(self, frame: "VideoFrame") -> bytes:
        """Red, green and blue of each pixel."""
        if frame.width * frame.height > self.pixels:
            raise _Refused(TOO_LARGE, {"size": (frame.width, frame.height)})
        if not any(self.size):
            self.size, self.rotation = _within((frame.width, frame.height), self._largest), int(frame.rotation)
        return _pixels(frame, *self.size)

    def write(self, pixels: bytes, at: float) -> None:
        """Keeps a frame that is scaled already."""
        self._place = put(pixels, self._place)
        self.times.append(at)

    def end(self) -> tuple[int, int, int]:
        """Writes the times; returns how many frames there are, and their width and height."""
        put(struct.pack(f"<{len(self.times)}d", *self.times), self._place)
        return len(self.times), *self.size


def _opened(length: int) -> "InputContainer":
    """Only containers of the list, and nothing that they refer to."""
    import av

    options = {"format_whitelist": ",".join(FORMATS.values())}
    return av.open(_Bytes(length), "r", options=options, io_open=_nothing_else, metadata_errors="ignore")


def _nothing_else(*_: Any) -> None:
    raise PermissionError


def _looked_at(container: "InputContainer", pixels: int, most_s: int) -> "tuple[VideoStream, dict[str, Any]]":
    """The stream of pictures, and what the header says of it."""
    kind = next(i for i, known in enumerate(FORMATS.values()) if container.format.name == known)
    stream = next((s for s in container.streams.video if not _is_cover(s)), None)
    if stream is None:
        raise _Refused(NO_PICTURES if container.streams.audio else DAMAGED, {})
    context, seconds = stream.codec_context, (container.duration or 0) / _US
    size = context.width, context.height
    if size[0] * size[1] > pixels:
        raise _Refused(TOO_LARGE, {"size": size})
    if seconds > most_s:
        raise _Refused(TOO_LONG, {"seconds": seconds})
    return stream, {"format": kind, "size": size, "seconds": seconds, "rate": float(stream.average_rate or 0)}


def _is_cover(stream: "VideoStream") -> bool:
    """A still picture beside music."""
    import av.stream

    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _decoded(
    container: "InputContainer", stream: Any, packets: list[tuple[float, bool]], reel: _Reel, *, way: int, most: int
) -> None:
    """Keeps the frames that are wanted.

    Args:
        container: at its start.
        stream: of pictures.
        packets: when each is seen, and whether it needs no others; in order of time.
        reel: keeps them.
        way: how they are chosen.
        most: how many.
    """
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(reel.pixels)}
    if way == SHOTS:
        kept: Iterable[tuple[bytes, float]] = _shots(_frames(container, stream), reel, most)
    else:
        wanted = spread([at for at, key in packets if key or way == EVEN], most)
        found = _at_keys(container, stream, set(wanted)) if way == KEYS else _among(container, stream, wanted)
        kept = ((reel.scaled(frame), at) for frame, at in found)
    for pixels, at in kept:
        reel.write(pixels, max(0.0, at - packets[0][0]))


def _at(packet: "Packet") -> float:
    """When a packet is seen, in seconds; in the order of the file where it does not say."""
    at = packet.pts if packet.pts is not None else packet.dts
    return float(at * packet.time_base) if at is not None and packet.time_base else (packet.pos or 0) * 1e-12


def _at_keys(container: "InputContainer", stream: "VideoStream", wanted: set[float]) -> Iterator[Seen]:
    """Some of the frames that need no others, each decoded by itself."""
    context = stream.codec_context
    context.skip_frame = "NONKEY"
    for packet in container.demux(stream):
        if packet.size and packet.is_keyframe and (at := _at(packet)) in wanted:
            for frame in [*_of(stream, packet), *_of(stream, None)][:1]:
                yield frame, at
            context.flush_buffers()


def _among(container: "InputContainer", stream: "VideoStream", wanted: list[float]) -> Iterator[Seen]:
    """The frames that are on show at some moments."""
    left = wanted[::-1]
    for frame, at in _frames(container, stream):
        if left and at >= left[-1] - 1e-6:
            while left and at >= left[-1] - 1e-6:
                left.pop()
            yield frame, at
        if not left:
            return


def _shots(frames: Iterator[Seen], reel: _Reel, most: int) -> list[tuple[bytes, float]]:
    """A frame of each shot, from its second half, and when the shot begins."""
    shots, kept, thinned = Shots(), False, Thinned[list[Any]](most)
    looked = 0.0
    for frame, at in frames:
        if shots.begins(_pixels(frame, SIDE, SIDE), at):
            kept, looked = thinned.offer([reel.scaled(frame), at]), 0.0
        elif kept and at - thinned[-1][1] >= 2 * looked:
            thinned[-1][0], looked = reel.scaled(frame), at - thinned[-1][1]
    return [(pixels, at) for pixels, at in spread(thinned, most)]


def _frames(container: "InputContainer", stream: "VideoStream") -> Iterator[Seen]:
    """Every frame in the order in which they are seen, with the moment, in seconds."""
    count, rate = 0, float(stream.average_rate or 25)
    for packet in container.demux(stream):
        for frame in _of(stream, packet):  # the last one is empty, and brings out what is left
            yield frame, frame.time if frame.time is not None else count / rate
            count += 1


def _of(stream: "VideoStream", packet: "Packet | None") -> "list[VideoFrame]":
    """What a packet decodes to; nothing where it is damaged: the rest of the video may not be."""
    import av

    try:
        return stream.codec_context.decode(packet)
    except (av.error.InvalidDataError, av.error.EOFError):
        return []


def _within(size: tuple[int, int], largest: int) -> tuple[int, int]:
    scale = min(1.0, largest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _pixels(frame: "VideoFrame", width: int, height: int) -> bytes:
    """A frame at a size, red, green and blue of each pixel."""
    plane = frame.reformat(width, height, "rgb24", interpolation="AREA").planes[0]
    data, line = bytes(plane), plane.line_size
    if line == 3 * width:
        return data[: line * height]
    return b"".join(data[top : top + 3 * width] for top in range(0, line * height, line))
