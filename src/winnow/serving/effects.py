"""Effects: what was shown, and why, goes to the event log in the background; a request never waits for it."""

import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from winnow.core.candidates import Floats
from winnow.core.system import System
from winnow.data.batch import Batch, Coded, Draft
from winnow.data.chunk import Column
from winnow.data.log import EventLog
from winnow.data.schema import Events, number, text, time
from winnow.serving.pipeline import Ranking
from winnow.serving.query import Query

_log = logging.getLogger(__name__)
_BATCH = 64  # replies written at once
_OWN = frozenset({"recommendation_id"})
_WAIT_S = 0.05  # how long a reply waits for others to be written with


def served_events(system: System, feature_names: Sequence[str]) -> Events:
    """The event type `<system>_served`: one row per item of a reply, with all that led to its place."""
    numbers = ["position", "propensity", "value", "sources"]
    numbers += [note for step in system.pipeline.slate for note in step.notes]
    numbers += [f"head_{name}" for name in system.labels.heads] + [f"feature_{name}" for name in feature_names]
    fields = dict.fromkeys(numbers, number) | {"as_of": time, "release": text, "arm": text}
    return Events(f"{system.name}_served", refs=dict(system.labels.of.refs), fields=fields)


class Loggable(Protocol):
    """Rows for the log."""

    def __len__(self) -> int: ...

    def drafts(self, start: int) -> list[Draft]:
        """The rows, the first of them at this place of its batch."""
        ...


@dataclass(frozen=True, eq=False)
class Served:
    """One reply as it was sent, one row per shown item.

    Args:
        events: as `served_events` declares them.
        query: what was asked.
        release, arm: as in the reply.
        at: when it was asked, microseconds UTC.
        ranking: what was shown, and why.
        introduced: whether who asked becomes a row of its table, as the request told, if the log does not know it.
    """

    events: Events
    query: Query
    release: str
    arm: str
    at: int
    ranking: Ranking
    introduced: bool = False

    def __len__(self) -> int:
        return len(self.ranking.shown) + self._new

    def drafts(self, start: int) -> list[Draft]:
        """See `Loggable`."""
        return [self._asker(start), self._served(start + 1)] if self._new else [self._served(start)]

    @property
    def _new(self) -> bool:
        return self.introduced and not self.query.known

    def _asker(self, start: int) -> Draft:
        """Who asked, as known just before the features of the reply were read: training sees what they saw."""
        table, at = next(iter(self.events.refs.values())), np.array([self.ranking.as_of - 1])
        columns: dict[str, Column | Coded] = {"row": self._named(1), "deleted": np.zeros(1, np.int64)}
        for name, said in self.query.said.items():
            kind, told = table.columns[name], self.query.told[f"{table.name}.{name}"]
            if kind.storage == "text":
                columns[name] = [str(said)]
            else:
                columns[name] = (
                    Coded(table.domain(name), [str(said)], np.zeros(1, np.int64)) if kind.has_domain else told
                )
        return Draft("row", table.name, np.array([start]), at, columns, None, backfill=True)

    def _named(self, n: int) -> Coded:
        table = next(iter(self.events.refs.values()))
        return Coded(table.name, [self.query.user_id], np.zeros(n, np.int64))

    def _served(self, start: int) -> Draft:
        shown, user, item = self.ranking.shown, next(iter(self.events.refs)), list(self.events.refs)[-1]
        n = len(shown)
        columns: dict[str, Column | Coded] = {
            "recommendation_id": [self.query.recommendation_id] * n,
            user: self._named(n) if self._new else np.full(n, self.query.profile),  # whose features these are
            item: shown.rows,
            "position": np.arange(1.0, n + 1),
            "propensity": shown.propensity,
            "value": shown.value,
            "sources": shown.sources.astype(np.float64),
            "as_of": np.full(n, self.ranking.as_of),
            "release": [self.release] * n,
            "arm": [self.arm] * n,
        }
        columns |= {name: values.astype(np.float64) for name, values in shown.noted.items()}
        columns |= matrix("head_", self.ranking.heads, shown.heads)
        if (features := self.ranking.features) is not None:
            columns |= matrix("feature_", features.numeric_names, features.numeric[shown.place])
        columns = {name: values for name, values in columns.items() if name in self.events.columns or name in _OWN}
        return Draft("event", self.events.name, start + np.arange(n), np.full(n, self.at), columns)


class ServedLog:
    """Writes replies to the log from a thread of its own.

    Args:
        log: the event log.
        limit: replies that may wait; beyond it they are dropped and counted, so that a slow disk slows no request.
    """

    def __init__(self, log: EventLog, *, limit: int = 10_000) -> None:
        self._log = log
        self._waiting: queue.Queue[Loggable | None] = queue.Queue(limit)
        self.dropped = 0
        self.written = 0
        self._thread = threading.Thread(target=self._run, name="served-log", daemon=True)
        self._thread.start()

    def put(self, served: Loggable) -> None:
        """Takes a reply; returns at once."""
        try:
            self._waiting.put_nowait(served)
        except queue.Full:
            self.dropped += 1

    def flush(self) -> None:
        """Waits until everything taken so far is in the log, or was dropped."""
        self._waiting.join()

    def close(self) -> None:
        """Writes what waits, then ends."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            batch = self._next()
            open_ = None not in batch
            served = [s for s in batch if s is not None]
            try:
                if served:
                    self._log.append(Batch([draft for s, start in _starts(served) for draft in s.drafts(start)]))
                    self.written += len(served)
            except Exception:
                self.dropped += len(served)
                _log.error("%d replies could not be logged", len(served), exc_info=True)
            finally:
                for _ in batch:
                    self._waiting.task_done()

    def _next(self) -> list[Loggable | None]:
        """At least one reply, and those that come within a moment."""
        batch = [self._waiting.get()]
        while len(batch) < _BATCH and batch[-1] is not None:
            try:
                batch.append(self._waiting.get(timeout=_WAIT_S))
            except queue.Empty:
                break
        return batch


def _starts(served: Sequence[Loggable]) -> list[tuple[Loggable, int]]:
    ends = np.cumsum([len(s) for s in served])
    return [(s, int(end) - len(s)) for s, end in zip(served, ends, strict=True)]


def matrix(prefix: str, names: Sequence[str], values: Floats) -> dict[str, Column | Coded]:
    """A column of numbers for each of the names."""
    return {f"{prefix}{name}": values[:, i].astype(np.float64) for i, name in enumerate(names)}
