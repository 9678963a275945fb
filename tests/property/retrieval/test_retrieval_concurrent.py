"""Threads search and write while the encoder changes, again and again: every answer is of one encoder as a whole."""

import threading
import time

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winnow.core.errors import Conflict
from winnow.retrieval import kinds
from winnow.retrieval.changeover import Changing
from winnow.retrieval.live import Live

DIMENSIONS = {"a": 8, "b": 12, "c": 12, "d": 8}  # two pairs of equal size: a mix would not show by its shape
SHIFT = {"a": 0, "b": 0, "c": 5, "d": 3}
WRITTEN = 1_000  # this row comes and goes all the while


def encoded(rows, encoder):
    """An encoder puts a row on one axis; which one, differs between encoders."""
    rows, size = np.asarray(rows), DIMENSIONS[encoder]
    made = np.zeros((len(rows), size), np.float32)
    made[np.arange(len(rows)), (rows + SHIFT[encoder]) % size] = 1
    return made


class Readers:
    """Threads that encode by the encoder of the moment, as requests do, and look at what they get."""

    def __init__(self, index, items, least):
        self.index, self.items, self.least = index, items, least
        self.answers, self.wrong = 0, []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.read, args=(seed,)) for seed in range(2)]
        self.threads.append(threading.Thread(target=self.write))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def read(self, seed):
        rng = np.random.default_rng(seed)
        while not self.stop.is_set():
            encoder = self.index.present.encoder
            query = encoded([int(rng.integers(self.items))], encoder)
            if rng.random() < 0.3:
                time.sleep(0.001)  # a change may take over between the encoding and the search
            self.look(query, encoder)
            self.answers += 1

    def look(self, query, encoder):
        try:
            found = self.index.search(query, self.items + 1, encoder=encoder)
        except Conflict as error:
            if error.code != "encoder-differs":  # the time of grace is over: refused, not mixed
                self.wrong.append(error)
            return
        got = set(found.rows[0][found.scores[0] > 0.5].tolist()) - {WRITTEN}
        rows = np.arange(self.items)
        near = set(rows[encoded(rows, encoder) @ query[0] > 0.5].tolist())
        if not near >= got or len(got) < self.least * len(near):
            self.wrong.append((encoder, query, got))

    def write(self):
        while not self.stop.is_set():
            encoder = self.index.encoder
            try:
                self.index.upsert(np.array([WRITTEN]), encoded([WRITTEN], encoder), encoder=encoder)
                self.index.delete(np.array([WRITTEN]))
            except Conflict as error:
                if error.code != "encoder-differs":
                    self.wrong.append(error)

    def more(self, count):
        """Waits for so many more answers."""
        upto, end = self.answers + count, time.monotonic() + 20
        while self.answers < upto and time.monotonic() < end:
            time.sleep(0.0005)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    items=st.sampled_from([30, 300, 600]),
    changes=st.lists(st.sampled_from("abcd"), min_size=2, max_size=4),
    kind=st.sampled_from(["Exact", "HNSW", "IVF"]),
    batch=st.sampled_from([50, 200]),
    grace=st.sampled_from([0, 2_000, 60_000_000]),
)
def test_no_answer_mixes_encoders(items, changes, kind, batch, grace):
    rows = np.arange(items)
    index = Changing(Live(kinds.build(encoded(rows, "a"), rows, "a", kind=kind)), grace=grace)
    with Readers(index, items, least=1 if kind == "Exact" else 0.9) as readers:
        for encoder in changes:

            def encode(wanted, encoder=encoder):
                readers.more(2)
                return encoded(wanted, encoder)

            if encoder == index.encoder:
                index.present.rebuild(kind=kind)
            else:
                index.change(encoder, encode, batch=batch, kind=kind)
            readers.more(10)
    assert not readers.wrong
    assert readers.answers >= 10 * len(changes)
    assert index.changing is False
