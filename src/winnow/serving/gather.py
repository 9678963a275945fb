"""Sources asked side by side, each within its share of the deadline; who fails or is late is left out."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from winnow.core.candidates import Floats, Ints
from winnow.serving.trace import Trace

Proposal = tuple[Ints, Floats]
Ask = Callable[[], Proposal]
STUCK = 4  # calls of one source that may hang at once before it is no longer asked
SHARE = 0.4  # of the time left that sources may take together


@dataclass(frozen=True)
class Answer:
    """What one source gave, and how long it took."""

    proposal: Proposal
    ms: float


class Gatherer:
    """The threads in which a worker asks its sources.

    Args:
        threads: how many sources are asked at once, over all requests of the worker.
    """

    def __init__(self, threads: int = 8) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="source")
        self._busy: Counter[str] = Counter()
        self._lock = threading.Lock()

    def ask(self, asks: Sequence[tuple[str, Ask]], *, left_s: float, trace: Trace) -> list[Proposal | None]:
        """The proposals of named sources; None for those that failed, were late, or hang from earlier requests.

        Args:
            asks: name and call of each source.
            left_s: time until the deadline of the request, seconds.
            trace: gets one stage per source.
        """
        until = time.monotonic() + max(left_s, 0.0) * SHARE
        calls = [(name, self._submit(name, ask)) for name, ask in asks]
        wait([call for _, call in calls if call], timeout=max(until - time.monotonic(), 0))
        return [self._settle(name, call, trace) for name, call in calls]

    def close(self) -> None:
        """Lets the threads end; what still hangs is abandoned."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, name: str, ask: Ask) -> "Future[Answer] | None":
        with self._lock:
            if self._busy[name] >= STUCK:
                return None
            self._busy[name] += 1
        call = self._pool.submit(_timed, ask)
        call.add_done_callback(lambda _: self._free(name))
        return call

    def _free(self, name: str) -> None:
        with self._lock:
            self._busy[name] -= 1

    def _settle(self, name: str, call: "Future[Answer] | None", trace: Trace) -> Proposal | None:
        with trace.stage("source", name, came=0) as stage:
            if call is None:
                trace.fail(stage, "earlier calls of it still hang", told="its candidates are missing")
                return None
            if not call.done():
                call.cancel()
                trace.fail(stage, "late", told="its candidates are missing")
                return None
            answer = trace.attempt(stage, call.result, otherwise=None, told="its candidates are missing")
            if answer is None:
                return None
            stage.left = len(answer.proposal[0])
        stage.ms = answer.ms
        return answer.proposal


def _timed(ask: Ask) -> Answer:
    start = time.perf_counter()
    proposal = ask()
    return Answer(proposal, (time.perf_counter() - start) * 1000)
