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
from struct import Struct
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import winnow
from winnow.core.errors import Problem, Unavailable
from winnow.media.decoding_loop import NO_MEMORY, READY

_START_S = 60.0  # to start on a busy machine
_KEEP = 1 << 24  # bytes of the exchanged file that stay allocated between two requests
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "LC_ALL": "C.UTF-8"}
_START = "import sys; sys.path += sys.argv[1:3]; from {0} import main; main(*sys.argv[3:])"


class Program(NamedTuple):
    """A program that decodes.

    Args:
        module: whose `main` it is; called with `cpu_s`, `memory_mb` and `arguments`.
        package: what it imports to decode, its name at the registry, and the extra that brings it.
        request, reply: how they are packed; a reply starts with its state.
        cpu_s: seconds of CPU that one request may take.
        memory_mb: megabytes of address space.
        wait_s: seconds that one request may take by the clock on the wall.
        arguments: further limits.
    """

    module: str
    package: tuple[str, str, str]
    request: Struct
    reply: Struct
    cpu_s: float
    memory_mb: int
    wait_s: float
    arguments: tuple[int, ...]


class Died(Exception):
    """The program is of no more use; `new` if this was its first request."""

    def __init__(self, why: Literal["slow", "memory", "crash"], *, new: bool):
        super().__init__(why)
        self.why, self.new = why, new


class DecodingProcess:
    """A running program that answers one request at a time.

    Args:
        program: which, and its limits.

    Raises:
        Unavailable: `package-missing`, `decoder-fails`.
    """

    def __init__(self, program: Program):
        self._program = program
        self._new = True
        self._file = _memory_file()
        self._socket, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START.format(program.module), *_folders(program),
                 str(program.cpu_s), str(program.memory_mb), *map(str, program.arguments)],
                stdin=other.fileno(), stdout=self._file, stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT, start_new_session=True,  # a Ctrl-C is for the parent
            )  # fmt: skip
        try:
            started = self._reply(_START_S)[0] == READY
        except Died:
            started = False
        if not started:
            self.close()
            fix = f"raise memory_mb (it is {program.memory_mb}), or reinstall {program.package[1]}"
            what = f"the program `{program.module.rpartition('.')[2]}` does not start"
            raise Unavailable(Problem("decoder-fails", what, fix=fix))

    def ask(self, data: bytes | memoryview, *asked: int) -> tuple[int, ...]:
        """The fields of the reply to one request.

        Args:
            data: what is to be decoded.
            asked: the fields of the request after the number of bytes.

        Raises:
            Died: close it then.
        """
        try:
            _write(self._file, data)
            self._socket.send(self._program.request.pack(len(data), *asked))
        except OSError as error:
            raise self.died("crash") from error
        reply = self._reply(self._program.wait_s)
        if reply[0] == NO_MEMORY:
            raise self.died("memory")
        return reply

    def read(self, place: int, shape: tuple[int, ...], kind: Any = np.uint8) -> NDArray[Any]:
        """An array that the program left in the exchanged file; its word is checked, for it may have been taken over.

        Raises:
            Died: there is less.
        """
        found = np.empty(shape, kind)
        if found.size and _read(self._file, found.reshape(-1).view(np.uint8).data, place) < found.nbytes:
            raise self.died("crash")
        return found

    def done(self) -> None:
        """What the program left has been read."""
        self._new = False
        if os.fstat(self._file).st_size > _KEEP:
            os.ftruncate(self._file, 0)

    def died(self, why: Literal["slow", "memory", "crash"]) -> Died:
        """Why it is of no more use."""
        return Died(why, new=self._new)

    def _reply(self, wait_s: float) -> tuple[int, ...]:
        """The next reply; the clock on the wall counts here, the program watches its own CPU time."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(wait_s * 1000):
            raise self.died("slow")
        try:
            reply = self._socket.recv(self._program.reply.size)
        except OSError:  # it died before it had read the request
            reply = b""
        if len(reply) != self._program.reply.size:
            raise self.died("slow" if self._ended() == -signal.SIGPROF else "crash")
        fields: tuple[int, ...] = self._program.reply.unpack(reply)
        return fields

    def _ended(self) -> int | None:
        try:
            return self._process.wait(5)
        except subprocess.TimeoutExpired:
            return None

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


def _folders(program: Program) -> tuple[str, str]:
    """Where this package lies, and where the one that decodes does, found without importing it."""
    name, install, extra = program.package
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        fix = f"pip install 'winnow-engine[{extra}]'"
        raise Unavailable(Problem("package-missing", f"the package `{install}` is not installed", fix=fix))
    return str(Path(winnow.__file__).parents[1]), str(Path(spec.submodule_search_locations[0]).parent)


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("winnow-media")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(file: int, data: bytes | memoryview) -> None:
    place, view = 0, memoryview(data)
    while place < len(view):
        place += os.pwrite(file, view[place:], place)


def _read(file: int, into: memoryview, start: int) -> int:
    place = 0
    while place < len(into) and (got := os.preadv(file, [into[place:]], start + place)):
        place += got
    return place
