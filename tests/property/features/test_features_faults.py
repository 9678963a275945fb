"""Each fault, planted once, turns the parity test red: a check that cannot fail would prove nothing."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from features_oracle import Happened, OracleState
from features_shop import START, click, plan, seen, user, video, watch
from features_world import World, worlds
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_features_parity import SETTINGS, check_parity, some_requests

from winnow.core.time import MICROS
from winnow.features import history, keys
from winnow.features.batch import FeatureBatch
from winnow.features.live import LiveWriter, changes, feed, lists, records, values
from winnow.features.live.feed import Prepared
from winnow.features.state import NEVER, SET_WIDTH
from winnow.features.timeline import Places, find
from winnow.features.view import Moments

Patch = Callable[[pytest.MonkeyPatch], None]


def known_at_the_moment_counts(patch: pytest.MonkeyPatch) -> None:
    """`<=` instead of `<`."""
    patch.setattr(Places, "at", lambda self, at: find(self.known_at, at + 1))


def window_one_hop_long_in_history(patch: pytest.MonkeyPatch) -> None:
    windows = history.Group.windows

    def longer(self: Any, aggregates: Any, keys: Any, at: Any) -> Any:
        return [windows(self, [a], keys, at - a.hop)[0] for a in aggregates]

    patch.setattr(history.Group, "windows", longer)


def window_one_hop_long_in_live(patch: pytest.MonkeyPatch) -> None:
    read = records.Reading.read

    def longer(self: Any, sheet: Any, rows: Any, at: Any) -> Any:
        return read(self, sheet, rows, at - int(self._hop.max(initial=0)))

    patch.setattr(records.Reading, "read", longer)


def late_events_lost_in_history(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(history.Straddlers, "before", lambda self, codes, boundary, at: 0)


def late_events_lost_in_live(patch: pytest.MonkeyPatch) -> None:
    cells = records.moved_cells

    def forgetful(op: Any, sheet: Any, move: Any, *, of: Any, step: Any, values: Any) -> Any:
        adds = np.ones(len(of), np.int64) if values is None else values
        return cells(op, sheet, move, of=of, step=step, values=np.where(step < move.kept.shape[1], 0, adds))

    patch.setattr(records, "moved_cells", forgetful)


def late_events_put_first_in_lists(patch: pytest.MonkeyPatch) -> None:
    fresh = lists.Lists._fresh

    def later(self: Any, place: Any, new: Any, held: Any, empty: Any) -> Any:
        return fresh(self, place, new + (1 << 50) if empty == NEVER else new, held, empty)

    patch.setattr(lists.Lists, "_fresh", later)


def sums_in_float32(patch: pytest.MonkeyPatch) -> None:
    exact = keys.millionths
    patch.setattr(keys, "millionths", lambda v: exact(v.astype(np.float32)) if v.dtype.kind == "f" else exact(v))


def applied_twice(patch: pytest.MonkeyPatch) -> None:
    apply = LiveWriter.apply

    def twice(self: Any, chunks: Any) -> int:
        before = self._tables.header.applied
        apply(self, chunks)
        self._tables.header.applied = before
        return apply(self, chunks)

    patch.setattr(LiveWriter, "apply", twice)


def table_changes_come_after_the_batch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(changes, "last_before", lambda change, rows, known_at, seq: np.full(len(rows), -1))


def deletions_are_ignored(patch: pytest.MonkeyPatch) -> None:
    index = history.Versions.index

    def kept(self: Any, rows: Any, places: Any) -> Any:
        self._deleted[:] = False
        return index(self, rows, places)

    patch.setattr(history.Versions, "index", kept)


def one_write_is_lost(patch: pytest.MonkeyPatch) -> None:
    publish = LiveWriter._publish

    def careless(self: Any, prepared: Prepared) -> None:
        del prepared.writes[-1:]
        publish(self, prepared)

    patch.setattr(LiveWriter, "_publish", careless)


def maxima_forget_what_came_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(history.Group, "_shuffled", property(lambda self: np.zeros(0, np.int64)))


def values_seen_again_count_twice(patch: pytest.MonkeyPatch) -> None:
    def every(rows: Any, slots: Any, at: Any, last: Any) -> Any:
        return rows, at, np.ones(len(rows), np.int64)

    patch.setattr(feed, "first_seen", every)


def decay_counts_from_arrival(patch: pytest.MonkeyPatch) -> None:
    of = values.Values.of

    def arrived(self: Any, a: Any) -> Any:
        adds, passed = of(self, a)
        return adds if a.half_life is None else keys.decay_units(self._columns["known_at"], a.half_life), passed

    patch.setattr(values.Values, "of", arrived)


FAULTS: list[Patch] = [
    known_at_the_moment_counts, window_one_hop_long_in_history, window_one_hop_long_in_live,
    late_events_lost_in_history,
    late_events_lost_in_live, late_events_put_first_in_lists, sums_in_float32, applied_twice,
    table_changes_come_after_the_batch, deletions_are_ignored, one_write_is_lost,
    maxima_forget_what_came_late, values_seen_again_count_twice, decay_counts_from_arrival,
]  # fmt: skip


@pytest.fixture(scope="module")
def shown() -> tuple[World, list[tuple[int, Moments]], list[FeatureBatch]]:
    """A seeded world in which every rule matters, and what the oracle says about it."""
    world = World([user, video], [seen, click, watch], plan, happened(random.Random(5), 40))
    users, videos = (a.ravel() for a in np.meshgrid(np.arange(2), np.arange(3)))
    times = sorted({h.known_at for h in world.log[3::4]} | {h.known_at + 61 * MICROS for h in world.log[::9]})
    asked = [(t, Moments(np.array([t]), {"user": users, "video": videos})) for t in times]
    return world, asked, [plan.compute(request, OracleState(world.log)) for _, request in asked]


def happened(random_: random.Random, size: int) -> list[Happened]:
    """Few keys, many ties, every third event late, rows that change and go."""
    log, now = [], START
    for seq in range(1, size + 1):
        now += random_.choice([0, 1, 7 * MICROS, 60 * MICROS, 1800 * MICROS])
        late = random_.choice([0, 0, 0, 61 * MICROS, 290 * MICROS, 3000 * MICROS])
        of = random_.choice([seen, click, watch, watch, video] if seq > 3 else [video])
        if of is video:
            row, deleted = (seq - 1) % 3, seq > 3 and random_.random() < 0.3
            tags = [*random_.sample(range(3), 2), *[-1] * (SET_WIDTH - 2)]
            columns = {"author": random_.randrange(2), "tags": tags, "price": random_.random(), "made": now}
            log.append(Happened(seq, now, now, of, {} if deleted else columns, row, deleted))
        else:
            fields = {
                "seconds": random_.choice([0.1, 16777217.0, -16777216.0]),
                "long": random_.choice([-1, 0, 1]),
                "clicked": 1,
            }
            both = {"user": random_.randrange(2), "video": random_.randrange(3)}
            kept = {k: v for k, v in fields.items() if k in of.fields} | both
            log.append(Happened(seq, now, now - late, of, {"position": 1.0, "surface": 0} | kept))
    return log


def test_parity_holds_without_a_fault(shown: Any) -> None:
    check_parity(*shown)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_parity_catches(fault: Patch, shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        check_parity(*shown)


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_random_worlds_catch(fault: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)

    @given(world=worlds(size=60), data=st.data())
    @settings(max_examples=3000, database=None, derandomize=True, phases=[Phase.generate], **SETTINGS)
    def parity(world: World, data: Any) -> None:
        check_parity(world, some_requests(world, data, 6))

    with pytest.raises((AssertionError, ExceptionGroup)):
        parity()
