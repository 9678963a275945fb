"""The runtime: what a process holds to answer rank requests of every system of a project."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

import msgspec

from winnow.core.errors import Conflict, InputError, unknown
from winnow.core.time import now_us
from winnow.encoders.encodings import MEDIA
from winnow.features.live import LiveReader
from winnow.retrieval.probe import Measured
from winnow.serving.charging import charging
from winnow.serving.clips import ClipFiles, Clips
from winnow.serving.desk import Desk, Observe, unobserved
from winnow.serving.effects import ServedLog
from winnow.serving.gallery import Gallery
from winnow.serving.gather import Gatherer
from winnow.serving.ingester import LIVE, Ingester
from winnow.serving.nights import Calendars
from winnow.serving.pictures import PictureFiles
from winnow.serving.renew import WAITING, Renewal
from winnow.serving.request import RankReply, RankRequest, invalid
from winnow.serving.search import SearchReply, SearchRequest, search
from winnow.serving.stored import ages
from winnow.serving.stores import Stores
from winnow.serving.tail import Tail

_RETRY_S = 0.2
_CATCH_UP_S = 0.1  # between two looks for changed items
_log = logging.getLogger(__name__)
Measure = Callable[[str, Measured], None]
Aged = Callable[[str, str, float], None]


def unmeasured(system: str, measured: Measured) -> None:
    """Nobody looks at measurements."""


def unaged(system: str, source: str, age_s: float) -> None:
    """Nobody looks at the age of lists."""


class Runtime:
    """Answers rank requests, and renews what it answers with in the background.

    Args:
        stores: the project.
        clock: the present, microseconds UTC.
        served: whether replies are logged.
        observe: called with the system's name and the trace of every request.
        measured: called with the system's name and how much its vector index finds, about once a minute.
        aged: called with the system's name, the name of a source and the median age of its stored lists in seconds,
            with every renewal.
    """

    def __init__(
        self,
        stores: Stores,
        *,
        clock: Callable[[], int] = now_us,
        served: bool = True,
        observe: Observe = unobserved,
        measured: Measure = unmeasured,
        aged: Aged = unaged,
    ):
        self._measured, self._aged = measured, aged
        self._stop, self._threads = threading.Event(), list[threading.Thread]()
        self._gatherer = Gatherer()
        self.served = ServedLog(stores.log) if served else None
        self._refresh_s = stores.settings.server.refresh_s
        live, ids = _live(stores), stores.log.ids
        self.gallery = Gallery(stores.folder / MEDIA)
        self.clips = Clips(self.gallery)
        self.desks = dict[str, Desk]()
        for name, system in stores.systems.items():
            tail = Tail(stores.log, system.labels.item.name, system.picture or system.video)
            files = PictureFiles(tail, self.gallery) if system.picture else None
            clips = ClipFiles(tail, self.clips) if system.video and not system.picture else None
            renewal = Renewal(
                system,
                registry=stores.registry,
                live=live,
                ids=ids,
                tail=tail,
                pictures=files,
                folder=stores.folder,
                clock=clock,
                calendars=Calendars(stores.log, system.labels.item),
            )
            self.desks[name] = Desk(
                system,
                renewal,
                ids,
                gatherer=self._gatherer,
                served=self.served,
                pictures=files,
                clips=clips,
                observe=observe,
                clock=clock,
            )

    @classmethod
    def open(cls, stores: Stores) -> Self:
        """A runtime for a notebook or a command: ready when this returns, and kept up to date until `close`.

        Where no server runs, it follows the log itself.
        """
        ingester = _own_ingester(stores)
        runtime = cls(stores)
        if ingester is not None:
            poll_s, charges = stores.settings.ingest.poll_ms / 1000, charging(stores)
            runtime._spawn("ingester", lambda: _follow(ingester, runtime._stop, poll_s=poll_s, each=charges))
        runtime.start()
        return runtime

    def start(self) -> None:
        """Gets ready, then renews in the background."""
        self.refresh()
        self._spawn("refresh", self._keep_fresh)
        self._spawn("catch-up", self._keep_up)

    def refresh(self) -> None:
        """One renewal of every system; what fails is logged and tried again the next time."""
        for name, desk in self.desks.items():
            before = desk.trouble
            try:
                desk.refresh()
            except Exception as error:
                waits = desk.trouble is not None and desk.trouble.code in WAITING
                if desk.trouble != before and not waits:  # once, not with every try
                    _log.warning("%s could not be renewed: %s", name, error)
            self._probe(name, desk)

    def _probe(self, name: str, desk: Desk) -> None:
        """Sees to it that the recall of a vector index is measured now and then, and tells the last result, and how
        old stored lists are."""
        if not desk.ready:
            return
        for source, age_s in ages(desk.kit, now_us()).items():
            self._aged(name, source, age_s)
        if (space := desk.kit.bundle.space) is not None:
            space.probe.start_when_due()
            if space.probe.last is not None:
                self._measured(name, space.probe.last)

    def desk(self, system: str) -> Desk:
        """Who answers for a system.

        Raises:
            NotFound: `unknown-system`.
        """
        if system not in self.desks:
            raise unknown("system", system, self.desks, where="system")
        return self.desks[system]

    def answer(self, system: str, request: RankRequest, *, log: bool = True) -> RankReply:
        """The reply to a request, logged as served unless nobody will see it (`log=False`).

        Raises:
            NotFound: `unknown-system`.
            InputError: with every bad parameter.
            Unavailable: `no-release`.
        """
        return self.desk(system).rank(request, log=log)

    def rank(self, system: str, request: Mapping[str, Any], *, log: bool = True) -> dict[str, Any]:
        """As `answer`, from and to plain data."""
        try:
            wanted = msgspec.convert(request, RankRequest)
        except msgspec.ValidationError as error:
            raise InputError(invalid(str(error), known=RankRequest.__struct_fields__)) from error
        data: dict[str, Any] = msgspec.to_builtins(self.answer(system, wanted, log=log))
        return data

    def search(self, system: str, request: SearchRequest, *, log: bool = True) -> SearchReply:
        """What is found for a picture or a text; see `serving.search`."""
        return search(self.desk(system), request, log=log)

    def explain(self, system: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """As `rank`, with everything that led to the reply; nobody is shown it, so it is not logged."""
        return self.rank(system, {**request, "explain": True, "reasons": True}, log=False)

    def close(self) -> None:
        """Ends the background work and writes what waits to be logged."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for desk in self.desks.values():
            desk.close()
        self._gatherer.close()
        self.gallery.close()
        self.clips.close()
        if self.served is not None:
            self.served.close()

    def _spawn(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep_fresh(self) -> None:
        while not self._stop.wait(self._pause_s):
            self.refresh()

    def _keep_up(self) -> None:
        """Indexes take changed items in between two renewals: what is new is found within a second."""
        while not self._stop.wait(_CATCH_UP_S):
            for desk in self.desks.values():
                desk.catch_up()

    @property
    def _pause_s(self) -> float:
        """Short while a system cannot be served yet, as when live tables are still being built."""
        waiting = any(not desk.ready and desk.trouble is not None for desk in self.desks.values())
        return min(_RETRY_S, self._refresh_s) if waiting else self._refresh_s


def _live(stores: Stores) -> LiveReader:
    """Live state: that of this machine, or its copy in Redis."""
    settings = stores.settings
    if settings.server.state == "local":
        return LiveReader(stores.folder / LIVE, encodings=stores.encodings)
    from winnow.features.remote import RedisReader

    return RedisReader(settings.features.redis, encodings=stores.encodings)


def _own_ingester(stores: Stores) -> Ingester | None:
    """An ingester that has caught up, or None where another process follows the log."""
    try:
        ingester = Ingester.of(stores)
    except Conflict:
        return None
    while ingester.step():
        pass
    return ingester


def _follow(ingester: Ingester, stop: threading.Event, *, poll_s: float, each: Callable[[], None]) -> None:
    ingester.run(stop, poll_s=poll_s, each=each)
    ingester.close()
