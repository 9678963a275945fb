"""A desk answers for one system: it holds the kit of the moment and serves every request from one."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Ints
from winnow.core.errors import Problem, Unavailable, WinnowError
from winnow.core.system import System
from winnow.core.time import now_us
from winnow.data.ids import IdMap
from winnow.serving import modes
from winnow.serving.clips import ClipFiles
from winnow.serving.effects import Served, ServedLog, served_events
from winnow.serving.explain import explain
from winnow.serving.gather import Gatherer
from winnow.serving.hydrate import hydrate
from winnow.serving.kit import Kit
from winnow.serving.pictures import PictureFiles
from winnow.serving.pipeline import Ranking
from winnow.serving.query import Query
from winnow.serving.renew import Renewal
from winnow.serving.reply import reply
from winnow.serving.request import RankReply, RankRequest
from winnow.serving.trace import Trace

_WARM_UPS = 3
_PATIENCE_S = 60.0  # of who looks without waiting
Observe = Callable[[str, Trace], None]


def unobserved(system: str, trace: Trace) -> None:
    """Nobody looks at traces."""


@dataclass(frozen=True, eq=False)
class Look:
    """A request from inside: the query, what it was served with, what the pipeline made of it, and whether wholly."""

    query: Query
    kit: Kit
    ranking: Ranking
    whole: bool


class Desk:
    """Serves one system.

    Args:
        system: the declaration.
        renewal: makes its kits.
        ids: ids and row numbers.
        gatherer: threads for the sources.
        served: where replies are logged; None leaves them out.
        pictures: of the items, for systems whose items are pictures.
        clips: of the items, for systems whose items are videos.
        observe: called with the system's name and the trace of every request.
        clock: the present, microseconds UTC.
    """

    def __init__(
        self,
        system: System,
        renewal: Renewal,
        ids: IdMap,
        *,
        gatherer: Gatherer,
        served: ServedLog | None = None,
        pictures: PictureFiles | None = None,
        clips: ClipFiles | None = None,
        observe: Observe = unobserved,
        clock: Callable[[], int] = now_us,
    ):
        self.system, self._renewal, self._ids = system, renewal, ids
        self._gatherer, self._served, self._observe, self._clock = gatherer, served, observe, clock
        self.pictures, self.clips = pictures, clips
        self._kit: Kit | None = None
        self._fault: Problem | None = Problem("starting", f"{system.name} is still being loaded", system.name)
        self._turn = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether requests can be served."""
        return self._kit is not None

    @property
    def trouble(self) -> Problem | None:
        """Why the release that should serve does not, or not wholly, or why the last renewal failed."""
        return self._renewal.trouble or self._fault

    @property
    def kit(self) -> Kit:
        """What requests are served with now.

        Raises:
            Unavailable: `no-release`, or why the first release could not be loaded.
        """
        if self._kit is None:
            raise Unavailable(self.trouble or _no_release(self.system.name))
        return self._kit

    @property
    def ids(self) -> IdMap:
        """Ids and row numbers."""
        return self._ids

    def row(self, item: str) -> int:
        """The row number of an item; -1 for an id that the log has never seen."""
        return int(self._ids.rows(self.system.labels.item.name, [item])[0])

    def refresh(self) -> None:
        """Moves to the next kit; see `Renewal.next`."""
        with self._turn, self._noting():
            kit = self._renewal.next(self._kit)
            if kit is not None and (self._kit is None or self._kit.bundle is not kit.bundle):
                self._warm(kit)
            self._kit = kit

    def close(self) -> None:
        """Lets go of what follows the log."""
        self._renewal.close()

    def catch_up(self) -> None:
        """Lets the indexes take in what changed since they last did."""
        if self._kit is not None:
            self._renewal.catch_up(self._kit)

    def rank(
        self, request: RankRequest, *, log: bool = True, picture: NDArray[np.uint8] | None = None,
        introduced: bool = False,
    ) -> RankReply:  # fmt: skip
        """The reply to a request, logged as served unless nobody will see it.

        Args:
            request: as it came in.
            log: whether it is logged.
            picture: what to look for, uint8 [H, W, 3], when that is no item.
            introduced: whether who asks is put into the log as the request tells, when the log does not know it.

        Raises:
            InputError: with every bad parameter.
            Unavailable: `no-release`.
        """
        start, kit = time.perf_counter(), self.kit.under(str(request.user))
        # Before the clock of the request starts: without its vector there is nothing that sources could do.
        vector = None if picture is None else kit.bundle.vectors.sides.look(picture)
        query = modes.applied(request, hydrate(request, kit, self._ids, vector, now=self._clock()), kit)
        trace = Trace(full=query.explain)
        ranking = kit.system.pipeline.execute(query, kit, gatherer=self._gatherer, trace=trace)
        if self._served is not None and log and len(ranking.shown):
            release = kit.bundle.release
            events = served_events(kit.system, kit.bundle.plan.numeric_names)
            self._served.put(Served(events, query, release, kit.arm, self._clock(), ranking, introduced=introduced))
        inside: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
        if query.explain:
            inside = explain(ranking, query, kit, self._ids, trace=trace)
        answer = reply(ranking, query, kit, self._ids, trace=trace)
        self._observe(self.system.name, trace)
        ms = (time.perf_counter() - start) * 1000
        return msgspec.structs.replace(answer, explanation=inside, ms=round(ms, 3))

    def look(self, request: RankRequest, *, weights: Mapping[str, float] | None = None) -> Look:
        """What a request would get, which nobody waits for, nobody is shown and nothing logs.

        Args:
            request: as it might come in.
            weights: head → weight, in place of those that are live for this person.

        Raises:
            InputError: with every bad parameter.
            Unavailable: `no-release`.
        """
        kit = self.kit.under(str(request.user)) if weights is None else replace(self.kit, weights=weights)
        query = modes.applied(request, hydrate(request, kit, self._ids, now=self._clock()), kit)
        query, trace = replace(query, deadline=time.monotonic() + _PATIENCE_S), Trace()
        ranking = kit.system.pipeline.execute(query, kit, gatherer=self._gatherer, trace=trace)
        return Look(query, kit, ranking, not trace.degraded)

    def names(self, domain: str, rows: Ints) -> list[str]:
        """The ids of rows of a domain."""
        return self._ids.ids(domain, rows)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Remembers why a renewal failed, until one succeeds."""
        try:
            yield
        except WinnowError as error:
            self._fault = error.problems[0]
            raise
        except Exception as error:
            what = f"{self.system.name} could not be renewed: {type(error).__name__}: {error}"
            self._fault = Problem("renewal-failed", what, self.system.name)
            raise
        self._fault = None

    def _warm(self, kit: Kit) -> None:
        """Ranks for nobody: the first use of models and memory maps is slow, and nobody should wait for it."""
        for _ in range(_WARM_UPS if kit.system.pipeline.ranks else 0):
            query = hydrate(RankRequest(user="", reasons=True), kit, self._ids)
            trace = Trace()
            ranking = kit.system.pipeline.execute(query, kit, gatherer=self._gatherer, trace=trace)
            reply(ranking, query, kit, self._ids, trace=trace)


def _no_release(system: str) -> Problem:
    why = "without models there is nothing to rank with"
    return Problem("no-release", f"no release of `{system}` serves yet", system, why, f"run `winnow train {system}`")
