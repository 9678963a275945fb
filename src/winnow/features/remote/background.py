"""One call at a time in a thread of its own, so that a slow or dead Redis holds nobody up."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
Call = Callable[[], T]


class Background(Generic[T]):
    """Runs calls in a thread.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str):
        self._calls: SimpleQueue[Call[T] | None] = SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._result: T | Exception | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether the last call has ended."""
        return self._idle.is_set()

    def start(self, call: Call[T]) -> None:
        """Begins a call; the one before has ended."""
        self._idle.clear()
        self._calls.put(call)

    def result(self) -> T | Exception | None:
        """What the last call has returned or raised, once."""
        result, self._result = self._result, None
        return result

    def wait(self, seconds: float) -> bool:
        """Waits for the last call to end; whether it has."""
        return self._idle.wait(seconds)

    def close(self) -> None:
        """Lets the thread end."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._result = call()
            except Exception as error:
                self._result = error
            self._idle.set()
