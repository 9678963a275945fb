"""Renewal: the kit of the moment becomes the next one, in the background; requests keep the one they began with."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from winnow.core.candidates import Candidates, Floats, Ints
from winnow.core.declare import digest
from winnow.core.errors import Conflict, NotFound, Problem, Unavailable, WinnowError
from winnow.core.system import System
from winnow.core.time import now_us
from winnow.data.ids import IdMap
from winnow.features.live import LiveReader
from winnow.features.live.layout import pair_name
from winnow.features.nights import Nights
from winnow.releases import manifest as manifests
from winnow.releases.registry import Pointers, Registry
from winnow.releases.release import Release
from winnow.serving import policy
from winnow.serving.aggregates import needed
from winnow.serving.bundle import Bundle, damaged, load
from winnow.serving.catalogue import Catalogue, Proposal, existing
from winnow.serving.kit import Kit, Steady
from winnow.serving.nights import Calendars
from winnow.serving.pictures import PictureFiles
from winnow.serving.query import Query
from winnow.serving.sources import Follower, Popular, Source
from winnow.serving.tail import Tail
from winnow.serving.trace import Trace
from winnow.serving.trial import Trial
from winnow.serving.vectors import VectorSpace

WAITING = ("live-missing", "live-not-ready")  # troubles that pass once the ingester has caught up
_log = logging.getLogger(__name__)


class Renewal:
    """Makes kits for one system.

    Args:
        system: the declaration.
        registry: says which release serves and with which weights.
        live: live state.
        ids: ids and row numbers.
        tail: follows the log, so that changed items are encoded again at once; None to see new and gone ones only,
            with every renewal.
        pictures: of the items, for systems that search by them.
        folder: of the project.
        clock: the present, microseconds UTC.
        calendars: of the items; None where no column has any.
    """

    def __init__(
        self, system: System, *, registry: Registry, live: LiveReader, ids: IdMap, tail: Tail | None = None,
        pictures: PictureFiles | None = None, folder: Path | None = None, clock: Callable[[], int] = now_us,
        calendars: Calendars | None = None,
    ):  # fmt: skip
        self._system, self._registry, self._live, self._ids = system, registry, live, ids
        self._tail, self._pictures, self._folder, self._calendars = tail, pictures, folder, calendars
        self._clock = clock
        self._followers: dict[str, Follower | None] = {}  # by what declares them
        self.trouble: Problem | None = None  # why the release that should serve does not, or not wholly

    def next(self, now: Kit | None) -> Kit | None:
        """The kit that follows: of the release and the weights that the registry names, with a new look at the items.

        A release that cannot be loaded leaves the present one in place, and `trouble` says why. Without a present one
        the parts of it that can be loaded serve.

        Args:
            now: the present kit; None at the start.

        Raises:
            Unavailable: the registry, the log or the live state cannot be read.
        """
        pointers = self._registry.pointers(self._system.name)
        if pointers.champion is None:
            return now
        bundle = self._bundle(pointers.champion, now.bundle if now else None)
        if bundle is None:
            return now
        weights, version, trial = self._weights(bundle, pointers, now)
        changed = self._changed(bundle.space)  # before the look at the items: it shows all that this has seen
        nights = self._follow_calendars()
        kit = Kit(
            bundle.system, bundle, self._live, self._look(bundle), weights, version, trial, folder=self._folder,
            nights=nights, followers=self._following(bundle.system),
        )  # fmt: skip
        self._follow(kit, *changed)
        self._keep_up(kit)
        return kit

    def _bundle(self, release: str, now: Bundle | None) -> Bundle | None:
        if now is not None and now.release == release:
            self.trouble = None
            return now
        try:
            bundle = load(self._registry.open(self._system.name, release), self._system, pictures=self._pictures)
            self._demand_live(bundle.system)
        except WinnowError as error:
            return self._stand_in(release, error, now)
        except Exception as error:
            what = f"release {release} does not load: {type(error).__name__}: {error}"
            return self._stand_in(release, Unavailable(Problem("release-unusable", what)), now)
        self.trouble = None
        return bundle

    def _demand_live(self, system: System) -> None:
        """Refuses a release whose live state is not built yet; the ingester builds it beside what is in use."""
        if missing := self._live.missing(needed([system])):
            what = f"{len(missing)} live aggregates of the release are not built yet, the first is {missing[0]}"
            raise Conflict(Problem("live-not-ready", what, system.name, fix="the ingester builds them; wait for it"))

    def _stand_in(self, release: str, error: WinnowError, now: Bundle | None) -> Bundle | None:
        """The present release; without one, what can be used of the damaged one."""
        if self.trouble != error.problems[0]:
            waits = error.problems[0].code in WAITING
            what = "waits for its features" if waits else "cannot be served"
            _log.log(logging.INFO if waits else logging.ERROR, "release %s of %s %s: %s", release, self._system.name,
                     what, error)  # fmt: skip
        self.trouble = error.problems[0]
        if now is not None or isinstance(error, Conflict | NotFound):
            return now
        folder = self._registry.root / self._system.name / release
        try:
            found, bad = Release(folder, manifests.read(folder)), damaged(error, folder)
            return load(found, self._system, bad=bad, pictures=self._pictures)
        except WinnowError:
            return None

    def _weights(
        self, bundle: Bundle, pointers: Pointers, now: Kit | None
    ) -> tuple[dict[str, float], int, Trial | None]:
        """The live weights, else those of the declaration, and the experiment on them."""
        if now is not None and now.bundle is bundle and now.weights_version == pointers.weights_version:
            return dict(now.weights), now.weights_version, now.trial
        live = self._registry.weights(self._system.name) if pointers.weights_version else None
        if live is None:
            return dict(bundle.system.pipeline.value.weights), 0, None
        return dict(live.values), live.version, Trial.of(live.experiment)

    def _look(self, bundle: Bundle) -> Catalogue:
        system, at, state = bundle.system, self._live.watermark, Steady(self._live)
        item = system.labels.item
        rows = np.arange(self._ids.size(item.name) if system.pipeline.ranks else 0)
        now = max(at, self._clock())  # time goes on where nothing happens
        exists = self._live.consistently(lambda s: existing(item, rows, s, now, system.alive))
        catalogue = Catalogue(at, exists, lost=self._lost(system))
        # What policy would not show takes no place in a list.
        query = Query("", "", -1, at, 0, 0.0, now=now)
        kit = Kit(system, bundle, self._live, catalogue, {}, folder=self._folder)
        shown, hidden = _shown(rows[exists], query, kit)
        sources: Sequence[Source] = system.pipeline.sources
        found = {source.name: source.refresh(shown, state, at) for source in sources}
        lists = {name: proposal for name, proposal in found.items() if proposal is not None}
        indexes = {source.name: source.index(shown, state, at) for source in sources}
        popular = [lists[s.name] for s in sources if isinstance(s, Popular)]
        flags = np.zeros(len(rows), bool)
        flags[hidden] = True
        return replace(
            catalogue, hidden=flags, lists=lists, indexes=indexes, popularity=_by_row(popular[:1], len(rows))
        )

    def _lost(self, system: System) -> frozenset[str]:
        """The tables of pairs, among those that policy rests on, that have turned pairs away or taken some out."""
        asked = {pair_name(a.subject) for rule in system.pipeline.policy for a in rule.aggregates() if len(a.by) > 1}
        if not asked:
            return frozenset()
        tables = self._live.stats()["tables"]
        told = {name: tables.get(name, {}) for name in asked}
        return frozenset(name for name, t in told.items() if t.get("refused", 0) or t.get("evicted", 0))

    def _follow(self, kit: Kit, seq: int, changed: Ints) -> None:
        """New items join the index, deleted ones leave; when that fails the index stays as it was."""
        if (space := kit.bundle.space) is None:
            return
        with self._noting():
            space.hide(np.arange(len(kit.catalogue.hidden)), kit.catalogue.hidden)
            space.follow(kit.catalogue.exists, changed, Steady(self._live), at=kit.catalogue.at, seq=seq)

    def _follow_calendars(self) -> Mapping[str, Nights]:
        """Which nights items are free, up to what live state knows."""
        if self._calendars is None:
            return {}
        self._calendars.follow(self._live.applied_seq)
        return self._calendars.columns

    def catch_up(self, kit: Kit) -> None:
        """The indexes and the calendars take in what changed since they last did; cheap when nothing has."""
        self._keep_up(kit)
        with self._noting():
            self._follow_calendars()
        if self._tail is None or (space := kit.bundle.space) is None:
            return
        with self._noting():
            seq, rows = self._changed(space)
            if len(rows):
                query = Query("", "", -1, at := self._live.watermark, 0, 0.0, now=self._clock())
                exists = kit.existing(query, rows)
                space.hide(rows, np.isin(rows, _shown(rows[exists], query, kit)[1]))
                space.catch_up(rows, exists, Steady(self._live), at=at, seq=seq)

    def close(self) -> None:
        """Lets go of what follows the log."""
        for follower in filter(None, self._followers.values()):
            follower.close()

    def _keep_up(self, kit: Kit) -> None:
        for name, follower in kit.followers.items():
            with self._noting(f"`{name}` does not follow the log"):
                follower.catch_up(self._live.applied_seq)

    def _following(self, system: System) -> dict[str, Follower]:
        """Source → what follows the log for it; what two releases declare alike is made once."""
        found: dict[str, Follower] = {}
        if self._tail is None or self._folder is None:
            return found
        for source in system.pipeline.sources:
            if (declared := digest(source)) not in self._followers:
                self._followers[declared] = source.follow(self._tail.log, self._folder)
            if (follower := self._followers[declared]) is not None:
                found[source.name] = follower
        return found

    def _changed(self, space: VectorSpace | None) -> tuple[int, Ints]:
        """How far live state has come in the log, and the items that changed since the index took them in."""
        if self._tail is None or space is None:
            return 0, np.empty(0, np.int64)
        seq = self._live.applied_seq
        self._tail.follow(seq, since=space.seq)
        return seq, self._tail.changed_after(space.seq)

    @contextmanager
    def _noting(self, told: str = "new items cannot be found by vector") -> Iterator[None]:
        """What fails is told, and tried again the next time."""
        try:
            yield
        except Exception as error:
            what = f"{told}: {type(error).__name__}: {error}"
            trouble = Problem("items-not-encoded", what, self._system.name)
            if self.trouble != trouble:  # once a renewal, not with every try in between
                _log.error("new items of %s were not encoded", self._system.name, exc_info=True)
            self.trouble = trouble


def _shown(rows: Ints, query: Query, kit: Kit) -> tuple[Ints, Ints]:
    """Which of some existing rows policy shows, and which it hides; a rule that fails shows nothing and hides nothing.

    Rules that depend on who asks are left to the request.

    What is hidden here takes no place among the nearest; whether it may be shown is asked again with every request.
    """
    trace = Trace()
    rules = [rule for rule in kit.system.pipeline.policy if not rule.personal]
    shown = policy.admit(rules, Candidates.of(rows), query, kit, trace).rows
    return shown, np.setdiff1d(rows, shown) if not trace.degraded else rows[:0]


def _by_row(lists: Sequence[Proposal], size: int) -> Floats:
    """Scores of a list by row, float32 [size]; 0 for rows that are not in it."""
    scores = np.zeros(size, np.float32)
    for rows, values in lists:
        scores[rows] = values
    return scores
