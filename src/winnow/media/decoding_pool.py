"""The decoding programs of one decoder: started when first needed, kept for the next request, replaced when dead."""

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from winnow.core.errors import InputError, Problem, Unavailable
from winnow.media.decoding_process import DecodingProcess, Died, Program

T = TypeVar("T")


class Programs:
    """Those of one decoder, whichever process it is used in. Threads may share one.

    Args:
        program: which, and its limits.
        workers: requests that are answered at a time.
        patience_s: seconds that a call waits for a free program.
    """

    def __init__(self, program: Program, workers: int, patience_s: float):
        self._program, self._workers, self._patience_s = program, workers, patience_s
        self._pool = self._new_pool()

    def answer(self, ask: Callable[[DecodingProcess], T], *, ended: Callable[[Died], InputError]) -> T:
        """What `ask` gets from a program, from a new one when an older one dies: that may be due to what it did before,
        or to somebody's `kill`.

        Args:
            ask: talks to a program.
            ended: the error for what ends even a new program, or takes too long.

        Raises:
            Unavailable: `package-missing`, `decoder-fails`, `decoder-busy`.
        """
        if self._pool.owner != os.getpid():  # this process is a fork
            self._pool.close()
            self._pool = self._new_pool()
        for new in (False, True):
            try:
                with self._pool.taken(self._patience_s, new=new) as process:
                    return ask(process)
            except Died as died:
                if died.new or died.why == "slow":
                    raise ended(died) from None
        raise AssertionError  # a new program either answers or dies

    def close(self) -> None:
        """Ends the programs; another request would start one again."""
        self._pool.close()

    def _new_pool(self) -> "_Pool":
        pool = _Pool(self._program, self._workers)
        weakref.finalize(self, pool.close)
        return pool


class _Pool:
    """The programs of one process."""

    def __init__(self, program: Program, workers: int):
        self.owner = os.getpid()
        self._program, self._free, self._lock = program, threading.BoundedSemaphore(workers), threading.Lock()
        self._idle: list[DecodingProcess] = []
        self._closings = 0

    @contextmanager
    def taken(self, patience_s: float, *, new: bool) -> Iterator[DecodingProcess]:
        """A program for one request; it ends with the request if that raises."""
        if not self._free.acquire(timeout=patience_s):
            what = f"no decoder was free for {patience_s:g} s"
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
        return process if process and not new else DecodingProcess(self._program)

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
