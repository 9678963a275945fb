"""What programs that decode files from strangers have in common; each runs one as its own process, within limits.

They run without numpy and without the rest of this package, so that they start fast and leave nearly all of their
memory to what they decode. Descriptor 0 is a socket on which requests come and replies go, each of a fixed size;
descriptor 1 is a file in memory that holds the bytes to decode, and afterwards the pixels. Once a program is ready it
cannot open anything: no file, no connection.
"""

import os
import resource
import signal
import warnings
from collections.abc import Callable
from struct import Struct

READY, DONE, DAMAGED, CUT_SHORT, TOO_LARGE, NO_MEMORY = range(6)
SOCKET, FILE = 0, 1


def limit(memory_mb: int, file_bytes: int) -> None:
    """No more than this much address space, and this much in the exchanged file; nothing can be opened any more."""
    warnings.simplefilter("ignore")
    for kind, most in (
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def serve(request: Struct, reply: Callable[..., None], answer: Callable[..., None], *, cpu_s: float) -> None:
    """Answers until the other end of the socket closes.

    Args:
        request: how requests are packed.
        reply: sends a reply; called with `READY` at first.
        answer: called with the fields of each request; replies.
        cpu_s: seconds of CPU for one request; taking longer ends the program by `SIGPROF`.
    """
    reply(READY)
    while asked := os.read(SOCKET, request.size):
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        answer(*request.unpack(asked))
        signal.setitimer(signal.ITIMER_PROF, 0)


def put(data: bytes | memoryview, place: int) -> int:
    """Writes into the exchanged file; returns where it ends.

    Raises:
        MemoryError: it is full.
    """
    if os.pwrite(FILE, data, place) != len(data):
        raise MemoryError
    return place + len(data)
