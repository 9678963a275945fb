"""What every event log must do. An implementation is tested by a subclass that says how to open it."""

import threading
import uuid

import numpy as np
import pytest

from winnow.data.batch import Batch, Coded, Draft, Reject
from winnow.data.log import EventLog, SqliteLog

T0 = 1_750_000_000_000_000


def draft(ids, *, at=T0, backfill=False, name="click", first=0, users=None):
    n = len(ids)
    users = users or ["u"] * n
    distinct = list(dict.fromkeys(users))
    columns = {
        "recommendation_id": [None] * n,
        "user": Coded("user", distinct, np.array([distinct.index(u) for u in users])),
        "seconds": np.arange(n, dtype=float),
        "tags": Coded("tag", ["a", "b"], np.tile([0, 1, -1], (n, 1))),
    }
    order = np.arange(first, first + n)
    return Draft("event", name, order, np.full(n, at), columns, list(ids), backfill)


def all_ids(log):
    return [i for c in log.read(0, 10**9) for i in c.texts("event_id")]


class EventLogContract:
    """Subclass it and define `open`."""

    def open(self, folder, clock) -> EventLog:
        raise NotImplementedError

    @pytest.fixture
    def now(self):
        return [T0]

    @pytest.fixture
    def log(self, tmp_path, now):
        log = self.open(tmp_path, lambda: now[0])
        yield log
        log.close()

    def test_empty(self, log):
        assert (log.read(), log.last_seq()) == ([], 0)

    def test_what_is_appended_is_read_in_order(self, log):
        receipt = log.append(Batch([draft(["a", "b"], users=["x", "y"])]))
        log.append(Batch([draft(["c"])]))
        first, second = log.read()
        assert (receipt.accepted, receipt.duplicates) == (2, 0)
        assert (first.kind, first.name, len(first), first.first_seq, first.until) == ("event", "click", 2, 1, 2)
        assert second.ints("seq").tolist() == [3]
        assert first.ints("tags").tolist() == [[0, 1, -1]] * 2
        assert log.ids.ids("user", first.ints("user")) == ["x", "y"]
        assert log.last_seq() == 3

    def test_an_event_id_counts_once(self, log):
        log.append(Batch([draft(["a"])]))
        receipt = log.append(Batch([draft(["b", "a", "b"]), draft(["a", "c"], name="like", first=3)]))
        assert (receipt.accepted, receipt.duplicates) == (2, 3)
        assert sorted(all_ids(log)) == ["a", "b", "c"]
        assert log.append(Batch([draft(["a", "b", "c"])])).accepted == 0
        assert log.last_seq() == 3

    def test_types_of_one_batch_share_the_order(self, log):
        one, two = draft(["a", "c"]), draft(["b"], name="like", first=1)
        one = Draft("event", "click", np.array([0, 2]), one.at, one.columns, one.event_id)
        log.append(Batch([one, two]))
        assert {c.name: c.ints("seq").tolist() for c in log.read()} == {"click": [1, 3], "like": [2]}

    def test_reading_in_pages_misses_nothing_and_repeats_nothing(self, log):
        for i in range(20):
            one, two = draft([f"a{i}", f"c{i}"]), draft([f"b{i}"], name="like", first=1)
            log.append(Batch([Draft("event", "click", np.array([0, 2]), one.at, one.columns, one.event_id), two]))
        for limit in (1, 2, 3, 4, 7, 1000):
            seqs, after = [], 0
            while page := log.read(after, limit):
                seqs += [int(s) for c in page for s in c.ints("seq")]
                after = page[-1].until
            assert sorted(seqs) == list(range(1, 61))

    def test_known_at_only_grows_even_when_the_clock_goes_back(self, log, now):
        for step in (5, 0, -100, 7):
            now[0] += step
            log.append(Batch([draft([uuid.uuid4().hex], at=now[0])]))
        known = [int(c.ints("known_at")[0]) for c in log.read()]
        assert known == sorted(set(known))
        assert all((c.ints("at") <= c.ints("known_at")).all() for c in log.read())

    def test_backfill_is_known_at_its_own_time_and_moves_no_clock(self, log, now):
        log.append(Batch([draft(["a"], at=T0 - 1000, backfill=True)]))
        log.append(Batch([draft(["b"])]))
        assert [int(c.ints("known_at")[0]) for c in log.read()] == [T0 - 1000, T0]

    def test_nothing_becomes_known_before_a_watermark_later_on(self, log, now):
        log.append(Batch([draft(["a"])]))
        now[0] += 1000
        mark = log.watermark()
        now[0] -= 10_000_000
        log.append(Batch([draft(["b"])]))
        before, after = (int(c.ints("known_at")[0]) for c in log.read())
        assert before < mark <= after
        assert log.watermark() > after

    def test_refused_rows_are_counted_with_the_batch(self, log):
        reject = Reject("event", "click", "bad", "x", "why", "how", "{}")
        assert log.append(Batch([draft(["a"])], [reject])).quarantined == 1

    def test_a_batch_that_breaks_leaves_no_trace_and_harms_no_other(self, log):
        broken = draft(["a"], users=["nobody"])
        broken = Draft("event", "click", broken.order, broken.at, broken.columns | {"odd": object()}, broken.event_id)
        with pytest.raises(Exception, match=r"odd|object|dtype"):
            log.append(Batch([broken]))
        assert (log.last_seq(), log.ids.size("user")) == (0, 0)
        log.append(Batch([draft(["a"], users=["somebody"])]))
        assert log.ids.rows("user", ["nobody", "somebody"]).tolist() == [-1, 0]

    def test_threads_append_together(self, log):
        def work(k):
            for i in range(25):
                log.append(
                    Batch([draft([f"{k}-{i}-{j}" for j in range(4)], users=[f"u{(k * i + j) % 17}" for j in range(4)])])
                )

        threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(set(all_ids(log))) == len(all_ids(log)) == log.last_seq() == 600
        assert sorted(s for c in log.read(0, 10**9) for s in c.ints("seq").tolist()) == list(range(1, 601))
        assert sorted(log.ids.all("user")) == sorted(set(log.ids.all("user")))
        assert log.ids.size("user") == 17

    def test_closing_and_opening_again_keeps_everything(self, log, tmp_path, now):
        log.append(Batch([draft(["a"])]))
        log.close()
        again = self.open(tmp_path, lambda: now[0])
        assert all_ids(again) == ["a"]
        assert again.append(Batch([draft(["a"])])).duplicates == 1
        again.close()
        assert all_ids(log) == ["a"]


class TestSqliteLog(EventLogContract):
    def open(self, folder, clock):
        return SqliteLog(folder / "truth.db", clock=clock)


class TestSqliteLogOfTwoProcesses(EventLogContract):
    """The same file seen through a second connection set: nothing may depend on what one object remembers."""

    def open(self, folder, clock):
        first, second = (SqliteLog(folder / "truth.db", clock=clock) for _ in range(2))

        class Both:
            ids = second.ids
            turn = 0

            def append(self, batch):
                Both.turn += 1
                return (first if Both.turn % 2 else second).append(batch)

            read, last_seq, watermark = second.read, second.last_seq, first.watermark

            def close(self):
                first.close()
                second.close()

        return Both()
