"""What a system does by itself to keep learning, and when: training, calibration, updates, monitors."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import msgspec

from winnow.continual.derive import PARENT
from winnow.continual.online import Resumable
from winnow.core.system import System
from winnow.core.time import to_us
from winnow.releases.registry import Registry

Move = Literal["monitor", "train", "update", "calibrate"]
MOVES: tuple[Move, ...] = ("monitor", "train", "update", "calibrate")  # in this order when several are due
# Where nothing else is said, so many times in the interval of full trainings.
_OFTEN: Mapping[Move, int] = {"monitor": 24, "train": 1, "update": 12, "calibrate": 4}
RETRY = 10  # after a failure, a tenth of the interval
LEAST = timedelta(minutes=1)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A move that was begun.

    Args:
        at: when, microseconds UTC.
        state: `begun` (what a killed process leaves), `done`, or `failed`.
        what: what came of it, in words.
    """

    at: int
    state: Literal["begun", "done", "failed"] = "begun"
    what: str = ""


class Diary:
    """What has been done, in a file that a kill leaves whole: the state before a line or after it.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, dict[str, Done]]:
        """System → move → the last time."""
        if not self._path.exists():
            return {}
        return msgspec.json.decode(self._path.read_bytes(), type=dict[str, dict[str, Done]])

    def note(self, system: str, move: Move, done: Done) -> None:
        """Writes down what a move came to, on disk when this returns."""
        known = self.read()
        known.setdefault(system, {})[move] = done
        draft = self._path.with_suffix(".tmp")
        with draft.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(known)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self._path)


@dataclass(frozen=True)
class Due:
    """A move and when it is due next.

    Args:
        at: microseconds UTC; in the past when it is overdue.
        every: how often it comes.
        last: what came of it the last time.
    """

    system: str
    move: Move
    at: int
    every: timedelta
    last: Done | None = None


def cadence(system: System, given: Mapping[Move, timedelta]) -> dict[Move, timedelta]:
    """How often each move comes; those that mean nothing for the system, or are given as zero, do not come.

    Args:
        system: the declaration.
        given: intervals that take the place of the usual ones.
    """
    usual = {move: max(system.retrain.every / times, LEAST) for move, times in _OFTEN.items()}
    chosen = usual | {m: every for m, every in given.items() if m != "train"}
    return {move: chosen[move] for move in MOVES if chosen[move] > timedelta(0) and _means(system, move)}


def _means(system: System, move: Move) -> bool:
    if move == "calibrate":
        return system.ranking is not None and system.ranking.calibrate is not None
    if move == "update":
        return system.ranking is not None and isinstance(system.ranking.serving, Resumable)
    return move == "train" or bool(system.monitors)


def plan(
    system: System, registry: Registry, known: Mapping[str, Done], *, now: int,
    given: Mapping[Move, timedelta] | None = None,
) -> list[Due]:  # fmt: skip
    """When each move of a system is due, the next first.

    A full training is due its interval after the last one, by whomever it was begun; at once where there is none. What
    a kill cut short is due at once. Everything else begins to count with the release that serves.

    Args:
        system: the declaration.
        registry: tells when the last full training was.
        known: what the diary knows of the system.
        now: microseconds UTC.
        given: see `cadence`.
    """
    trained = _trained(registry, system.name)
    found = list(_dues(system, known, trained=trained, given=given or {}))
    return sorted(found, key=lambda d: (max(d.at, now), MOVES.index(d.move)))


def _dues(
    system: System, known: Mapping[str, Done], *, trained: int | None, given: Mapping[Move, timedelta]
) -> Iterator[Due]:
    for move, every in cadence(system, given).items():
        last = known.get(move)
        if move == "train":
            yield Due(system.name, move, _train_at(last, trained, every), every, last)
        elif trained is not None:
            since = (
                max(trained, _counted(last, every)) if last is None or last.state == "done" else _counted(last, every)
            )
            yield Due(system.name, move, since + to_us(every), every, last)


def _train_at(last: Done | None, trained: int | None, every: timedelta) -> int:
    if last is None:
        return 0 if trained is None else trained + to_us(every)
    if last.state == "begun" and (trained is None or trained < last.at):
        return last.at
    return max(trained or 0, _counted(last, every)) + to_us(every)


def _counted(last: Done | None, every: timedelta) -> int:
    """The moment from which the interval counts: a failure is tried again sooner, what was cut short at once."""
    if last is None:
        return 0
    waited = {"done": timedelta(0), "failed": every - max(every / RETRY, LEAST), "begun": every}[last.state]
    return last.at - to_us(waited)


def _trained(registry: Registry, system: str) -> int | None:
    """When the newest full training made its release, by whomever it was asked for."""
    full = [r.created_at for r in registry.releases(system) if PARENT not in r.manifest.models]
    return max(full, default=None)
