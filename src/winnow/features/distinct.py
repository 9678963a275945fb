"""How many different values have been seen: each value counts where its latest event is.

Going through the events of a (key, value) as they became known, one that is newer than all before it adds 1 at its own
time and takes 1 away at the own time of the newest before it. The sum of these over a window is the number of values
with an event in it, late events included.
"""

import numpy as np
from numpy.typing import NDArray

from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.extremes import Dominance
from winnow.features.keys import field
from winnow.features.source import Log
from winnow.features.timeline import Codes, Timeline


class Distinct:
    """The different values of a field under each key.

    Args:
        lines: the events under their keys.
        log: all events.
        aggregate: tells the field and the tests that events must pass.
    """

    def __init__(self, lines: Timeline, log: Log, aggregate: Aggregate):
        events, name = log.events, str(aggregate.value)

        def valued(event: Ints) -> NDArray[np.bool_]:
            there = np.asarray(field(events, log.some(event, {name}), name) >= 0)
            return there & log.passed(aggregate.conditions, event)

        kept = lines.kept(valued)
        codes, event = kept.codes(slice(None)), kept.places(slice(None))
        values = field(events, log.some(event, {name}), name)
        self._enter(codes, event, values, log)

    def _enter(self, codes: Ints, event: Ints, values: Ints, log: Log) -> None:
        pairs = Timeline(Codes((codes, values), len(event)).take(), None, size=len(event))
        order, pair = pairs.places(slice(None)), pairs.codes(slice(None))
        codes, event, own = codes[order], event[order], log.own_order[event[order]]
        new = np.concatenate([[True], pair[1:] != pair[:-1]])[: len(pair)]
        before = _newest_before(new, own, len(log))
        raised = np.flatnonzero(own > before)
        again = raised[~new[raised]]
        self._first = Timeline(codes[new], event[new], size=len(log))
        self._entries = Dominance(
            np.concatenate([codes[raised], codes[again]]),
            np.concatenate([event[raised], event[again]]),
            np.concatenate([own[raised], before[again]]),
            np.repeat([1, -1], [len(raised), len(again)]),
            size=len(log),
            join=np.add,
        )

    def ever(self, codes: Ints, known: Ints) -> Ints:
        """How many values each key had before each place, int64 [n]."""
        return self._first.before(codes, known) - self._first.before(codes, 0)

    def since(self, codes: Ints, known: Ints, own: Ints) -> Ints:
        """How many of them have an event that is not older than a place in the order of own time, int64 [n]."""
        return self._entries.of(codes, known, own)


def _newest_before(new: NDArray[np.bool_], own: Ints, size: int) -> Ints:
    """The newest own place among the events of the same pair before each, -1 for its first; int64 [m]."""
    line = np.cumsum(new)
    newest = np.maximum.accumulate(line * (size + 1) + own) - line * (size + 1)
    return np.where(new, -1, np.concatenate([[-1], newest[:-1]])[: len(new)])
