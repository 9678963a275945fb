"""One decoding program as its parent sees it: started, asked, watched and ended.

The program is started anew by `subprocess`, never forked, so that threads of the parent do not matter.
"""

import importlib.util
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Problem, Unavailable
from winnow.media import decoding_child as child

_START_S = 60.0  # to start on a busy machine
_KEEP = 1 << 24  # bytes of the exchanged file that stay allocated between pictures
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "LC_ALL": "C.UTF-8"}


class Limits(NamedTuple):
    """What one picture may cost."""

    cpu_s: float
    memory_mb: int
    wait_s: float
    pixels: int


class Answer(NamedTuple):
    """A reply of the program; `pixels` is uint8 [H, W, 3], empty unless it is done."""

    state: int
    kind: int
    animated: bool
    size: tuple[int, int]
    pixels: NDArray[np.uint8]


class Died(Exception):
    """The program is of no more use; `new` if this was its first picture."""

    def __init__(self, why: Literal["slow", "memory", "crash"], *, new: bool):
        super().__init__(why)
        self.why, self.new = why, new


class DecodingProcess:
    """A running program that decodes one picture at a time.

    Args:
        limits: of each picture.

    Raises:
        Unavailable: `package-missing`, `decoder-fails`.
    """

    def __init__(self, limits: Limits):
        self._limits = limits
        self._new = True
        self._file = _memory_file()
        self._socket, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", child.__file__, str(_packages()), *_arguments(limits)],
                stdin=other.fileno(), stdout=self._file, stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT, start_new_session=True,  # a Ctrl-C is for the parent
            )  # fmt: skip
        try:
            started = self._reply(_START_S)[0] == child.READY
        except Died:
            started = False
        if not started:
            self.close()
            fix = f"raise memory_mb (it is {limits.memory_mb}), or reinstall pillow"
            raise Unavailable(Problem("decoder-fails", "the program that decodes pictures does not start", fix=fix))

    def decode(self, data: bytes, *, largest: int, square: int) -> Answer:
        """Has one picture decoded.

        Raises:
            Died: close it then.
        """
        try:
            _write(self._file, data)
            self._socket.send(child.REQUEST.pack(len(data), largest, square))
        except OSError as error:
            raise self._died("crash") from error
        state, kind, animated, width, height, *size = self._reply(self._limits.wait_s)
        if state == child.NO_MEMORY:
            raise self._died("memory")
        answer = Answer(state, kind, bool(animated), (width, height), self._pixels(*size))
        self._new = False
        return answer

    def _died(self, why: Literal["slow", "memory", "crash"]) -> Died:
        return Died(why, new=self._new)

    def _reply(self, wait_s: float) -> tuple[int, ...]:
        """The next reply; the clock on the wall counts here, the program watches its own CPU time."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(wait_s * 1000):
            raise self._died("slow")
        try:
            reply = self._socket.recv(child.REPLY.size)
        except OSError:  # it died before it had read the request
            reply = b""
        if len(reply) != child.REPLY.size:
            raise self._died("slow" if self._ended() == -signal.SIGPROF else "crash")
        fields: tuple[int, ...] = child.REPLY.unpack(reply)
        return fields

    def _ended(self) -> int | None:
        try:
            return self._process.wait(5)
        except subprocess.TimeoutExpired:
            return None

    def _pixels(self, width: int, height: int) -> NDArray[np.uint8]:
        """What the program left in the file; its word is checked, for it may have been taken over."""
        if width * height > self._limits.pixels:
            raise self._died("crash")
        pixels = np.empty((height, width, 3), np.uint8)
        if pixels.size and _read(self._file, pixels.reshape(-1).data) < pixels.size:
            raise self._died("crash")
        if pixels.size > _KEEP:
            os.ftruncate(self._file, 0)
        return pixels

    @property
    def pid(self) -> int:
        """Of the program."""
        return self._process.pid

    def close(self) -> None:
        """Ends the program at once."""
        self._socket.close()
        self._process.kill()
        self._process.wait()
        os.close(self._file)

    def forget(self) -> None:
        """In a fork of the process that started it: leaves the program to that process."""
        self._socket.close()
        os.close(self._file)
        self._process.returncode = 0  # not ours to wait for


def _arguments(limits: Limits) -> list[str]:
    return [str(limits.cpu_s), str(limits.memory_mb), str(limits.pixels)]


def _packages() -> Path:
    """The folder that holds Pillow, found without importing it."""
    spec = importlib.util.find_spec("PIL")
    if spec is None or not spec.submodule_search_locations:
        fix = "pip install 'winnow-engine[images]'"
        raise Unavailable(Problem("package-missing", "the package `pillow` is not installed", fix=fix))
    return Path(spec.submodule_search_locations[0]).parent


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("winnow-picture")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(file: int, data: bytes) -> None:
    place, view = 0, memoryview(data)
    while place < len(data):
        place += os.pwrite(file, view[place:], place)


def _read(file: int, into: memoryview) -> int:
    place = 0
    while place < len(into) and (got := os.preadv(file, [into[place:]], place)):
        place += got
    return place
