"""One transaction, and one wait for the disk, for all threads that want to write at the same time."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from winnow.core.errors import WinnowError
from winnow.moderation.ledger import Ledger, Writer


class Gathering:
    """Runs what threads want to write, together.

    Args:
        ledger: where it goes.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: deque[_Ticket] = deque()
        self._turn = threading.Lock()

    def write(self, work: Callable[[Writer], Any]) -> Any:
        """The result of work whose records are on disk and sealed; what raises leaves none, and others unharmed.

        Raises:
            Unavailable: `log-full`, `log-busy`, `log-unwritable`, `seal-unwritable`.
        """
        ticket = _Ticket(work)
        self._waiting.append(ticket)
        # Whoever gets the turn writes for everybody who has queued up while the turn before waited for the disk.
        with self._turn:
            if not ticket.done:
                self._commit([self._waiting.popleft() for _ in range(len(self._waiting))])
        return ticket.result()

    def _commit(self, tickets: "list[_Ticket]") -> None:
        try:
            with self._ledger.writing() as writer:
                for ticket in tickets:
                    ticket.attempt(writer)
        except BaseException as error:
            for ticket in tickets:
                ticket.fail(error)
            if not isinstance(error, Exception):
                raise
        for ticket in tickets:
            ticket.done = True


class _Ticket:
    """What one thread wants to write."""

    def __init__(self, work: Callable[[Writer], Any]) -> None:
        self._work = work
        self._value: Any = None
        self._error: BaseException | None = None
        self.done = False

    def attempt(self, writer: Writer) -> None:
        with writer.undoable() as undo:
            try:
                self._value = self._work(writer)
            except Exception as error:
                self._error = error
                undo()

    def fail(self, error: BaseException) -> None:
        self._error, self.done = self._error or error, True

    def result(self) -> Any:
        if isinstance(self._error, WinnowError):
            raise type(self._error)(*self._error.problems) from self._error  # its own copy for each thread
        if isinstance(self._error, Exception):
            raise self._error
        if self._error is not None:
            raise RuntimeError("the transaction that this was part of was interrupted") from self._error
        return self._value
