"""Processes killed at any moment: what was acknowledged is there, once; what was not is there whole or not at all."""

import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from winnow.data import history as history_module
from winnow.data.batch import Receipt
from winnow.data.history import History
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.data.schema import Events, Table

user, video = Table("user", key="user_id"), Table("video", key="video_id")
both = {"user": user, "video": video}
events = {n: Events(n, refs=both) for n in ("click", "like")}

WRITER = """
import sys, threading
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.data.schema import Events, Table

path, name = sys.argv[1:]
user, video = Table("user", key="user_id"), Table("video", key="video_id")
both = {"user": user, "video": video}
intake = Intake(SqliteLog(path), both, {n: Events(n, refs=both) for n in ("click", "like")})
lock = threading.Lock()

def work(thread):
    for i in range(1_000_000):
        ids = [f"{name}-{thread}-{i}-{j}" for j in range(7)]
        types = ["click", "like"] * 4
        rows = [{"event_id": e, "type": t, "user": e, "video": f"{i % 50}"} for e, t in zip(ids, types)]
        again = [dict(r, event_id=f"{name}-{thread}-{i - 1}-{j}") for j, r in enumerate(rows) if i]
        intake.events(rows + again[:2])
        with lock:
            print(f"{name}-{thread}-{i}", flush=True)

for t in range(2):
    threading.Thread(target=work, args=(t,)).start()
"""

COPIER = """
import sys
import winnow.data.history as h
from winnow.data.log import SqliteLog
from winnow.data.schema import Events, Table

log_path, folder = sys.argv[1:]
user, video = Table("user", key="user_id"), Table("video", key="video_id")
both = {"user": user, "video": video}
h.COPIED = 40
log = SqliteLog(log_path)
history = h.History(folder, both, {n: Events(n, refs=both) for n in ("click", "like")})
print("ready", flush=True)
history.sync(log)
print("done", flush=True)
"""


def started(code, *args):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], stdout=subprocess.PIPE, text=True)


def landed(log):
    return Counter(i for c in log.read(0, 10**9) for i in c.texts("event_id"))


def check_log(path, acknowledged):
    log = SqliteLog(path)
    found = landed(log)
    assert set(found.values()) == {1}
    batches = Counter(i.rsplit("-", 1)[0] for i in found)
    assert set(batches.values()) == {7}, "a batch is there whole or not at all"
    assert acknowledged <= batches.keys()
    seqs = sorted(s for c in log.read(0, 10**9) for s in c.ints("seq").tolist())
    assert seqs == list(range(1, len(found) + 1))
    with log.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM event_id").fetchone()[0] == len(found)
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert len(set(log.ids.all("user"))) == log.ids.size("user")
    log.close()


def killed_at_random(path, name, seed):
    """Two writers on one file, both killed in the middle of their work; returns what they had acknowledged."""
    writers = [started(WRITER, path, f"{name}{k}") for k in "ab"]
    heard = [w.stdout.readline() for w in writers]
    time.sleep(random.Random(seed).uniform(0.0, 0.12))
    for w in writers:
        w.kill()
    lines = [
        line
        for w, first in zip(writers, heard, strict=True)
        for line in (first, *w.stdout.read().splitlines(keepends=True))
    ]
    for w in writers:
        w.wait()
        w.stdout.close()
    return {line.strip() for line in lines if line.endswith("\n")}


def test_nothing_acknowledged_is_lost_by_24_kills(tmp_path):
    path, acknowledged = tmp_path / "truth.db", set()
    for k in range(12):
        acknowledged |= killed_at_random(path, f"r{k}", seed=k)
        check_log(path, acknowledged)
    assert len(acknowledged) > 24


def test_the_check_sees_a_lost_batch(tmp_path):
    """The check above can fail: an acknowledgement without the event is found out."""
    acknowledged = killed_at_random(tmp_path / "truth.db", "x", seed=1)
    with pytest.raises(AssertionError):
        check_log(tmp_path / "truth.db", acknowledged | {"never-sent"})


def filled(path, *, batches):
    log = SqliteLog(path)
    intake = Intake(log, both, events)
    total = Receipt()
    for b in range(batches):
        rows = [{"event_id": f"{b}-{i}", "type": ("click", "like")[i % 2], "user": i, "video": b} for i in range(10)]
        total += intake.events(rows)
    assert total.accepted == batches * 10
    return log


def check_history(log, history):
    history.sync(log)
    for name in events:
        ids = history.events(name).collect()["event_id"].to_list()
        want = [i for c in log.read(0, 10**9) if c.name == name for i in c.texts("event_id")]
        assert ids == want


def test_a_copy_killed_anywhere_copies_exactly_once(tmp_path):
    log = filled(tmp_path / "truth.db", batches=120)
    folder = tmp_path / "history"
    chance = random.Random(3)
    for _ in range(6):
        copier = started(COPIER, tmp_path / "truth.db", folder)
        assert copier.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.0, 0.2))
        copier.kill()
        copier.wait()
        copier.stdout.close()
    check_history(log, History(folder, both, events))
    log.close()


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_copy_broken_off_between_two_tables(tmp_path, monkeypatch, fails_at):
    log = filled(tmp_path / "truth.db", batches=4)
    history = History(tmp_path / "history", both, events)
    real, calls = history_module.write_deltalake, []

    def failing(*args, **more):
        calls.append(1)
        if len(calls) == fails_at:
            raise KeyboardInterrupt
        real(*args, **more)

    monkeypatch.setattr(history_module, "write_deltalake", failing)
    monkeypatch.setattr(history_module, "COPIED", 20)
    with pytest.raises(KeyboardInterrupt):
        history.sync(log)
    check_history(log, history)
    log.close()
