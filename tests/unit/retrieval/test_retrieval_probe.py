import threading

import numpy as np
import pytest

from winnow.retrieval import kinds
from winnow.retrieval.live import Live
from winnow.retrieval.probe import Probe


def vectors(count, seed=0, dimensions=16):
    return np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)


class Clock:
    now = 0

    def __call__(self):
        return self.now


@pytest.fixture
def live():
    return Live(kinds.build(vectors(3_000), np.arange(3_000), "v1", kind="IVF"))


def test_it_measures_with_the_queries_that_were_asked(live):
    clock, told = Clock(), []
    probe = Probe(lambda: live, size=64, clock=clock, told=told.append)
    first = probe.refresh()
    assert (first.asked, first.queries, first.kind, first.items, first.k) == (False, 64, "IVF", 3_000, 10)
    for query in vectors(100, seed=1):
        probe.note(query[None], encoder="v1")
    clock.now = 5
    second = probe.refresh()
    assert (second.asked, second.queries, second.at) == (True, 64, 5)
    assert 0.9 < second.recall <= 1
    assert told == [first, second]
    assert probe.last == second


def test_it_counts_what_changed_since_the_index_was_built(live):
    live.upsert(np.arange(3_000, 3_010), 9 * vectors(10, seed=2), encoder="v1")
    live.delete(np.arange(500))
    measured = Probe(lambda: live).refresh()
    assert measured.items == 2_510
    assert measured.recall > 0.95


def test_an_index_that_finds_too_little_looks_wider_from_then_on(live):
    base = live.snapshot.base
    base.breadth = 1
    probe = Probe(lambda: live, least=0.95)
    seen = [probe.refresh().recall for _ in range(8)]
    assert seen[0] < 0.9
    assert seen[-1] >= 0.95
    assert base.breadth > 1


def test_queries_of_another_encoder_are_not_asked(live):
    probe = Probe(lambda: live)
    probe.note(vectors(50, dimensions=8), encoder="v0")
    assert not probe.refresh().asked
    probe.note(vectors(50), encoder="v1")
    assert probe.refresh().asked


def test_an_empty_index_has_no_recall():
    empty = Live(kinds.build(vectors(0), np.arange(0), "v1"))
    assert np.isnan(Probe(lambda: empty).refresh().recall)


def test_it_measures_in_the_background_when_it_is_time(live, monkeypatch):
    clock, begun, go = Clock(), threading.Event(), threading.Event()
    probe = Probe(lambda: live, every=60, clock=clock)
    refresh = probe.refresh

    def slow():
        begun.set()
        assert go.wait(10)
        return refresh()

    monkeypatch.setattr(probe, "refresh", slow)
    thread = probe.start_when_due()
    assert begun.wait(10)
    assert probe.start_when_due() is None  # one at a time
    go.set()
    thread.join()
    assert probe.last.at == 0
    clock.now = 59
    assert probe.start_when_due() is None
    clock.now = 60
    probe.start_when_due().join()
    assert probe.last.at == 60


def test_a_measurement_that_fails_is_tried_again_at_its_time_only(live, monkeypatch):
    clock, tries = Clock(), []
    probe = Probe(lambda: live, every=60, clock=clock)
    monkeypatch.setattr("winnow.retrieval.probe.recall", lambda *given: tries.append(1) or 1 / 0)
    for clock.now in (0, 1, 59, 60, 61):
        if (thread := probe.start_when_due()) is not None:
            thread.join()
    assert len(tries) == 2
    assert probe.last is None
    assert "division by zero" in probe.trouble
    monkeypatch.undo()
    clock.now = 120
    probe.start_when_due().join()
    assert probe.trouble == ""
    assert probe.last.recall > 0.9
