"""Processes that are killed, that write all at once, and a disk that is full: the log stays one whole chain."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from moderation_world import post

from winnow.core.errors import Unavailable
from winnow.moderation.moderation import Moderation

WRITER = """
import sys
sys.path.insert(0, sys.argv[4])
from moderation_world import post
from winnow.moderation.moderation import Moderation
court = Moderation(sys.argv[1])
name, most = sys.argv[2], int(sys.argv[3])
for i in range(most):
    made = court.decide([post(f"grumble {i}", f"{name}-{i}"), post("fine", f"shared-{i}")])
    print(made[0]["id"], made[0]["record"]["seq"], made[0]["record"]["hash"], flush=True)
court.close()
"""
WORLD = str(Path(__file__).resolve().parents[2] / "unit" / "moderation")


def writer(folder, name, most):
    command = [sys.executable, "-c", WRITER, str(folder), name, str(most), WORLD]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)


def test_several_processes_keep_one_chain(make):
    court = make()
    writers = [writer(court.folder, f"w{i}", 40) for i in range(3)]
    told = [line.split() for w in writers for line in w.communicate(timeout=120)[0].splitlines()]
    assert all(w.returncode == 0 for w in writers)
    found = court.ledger.verify()
    assert found.ok
    # 2 for the policy, 40 of each writer, and 40 that all three sent: decided once.
    assert found.records == 2 + 3 * 40 + 40
    records = {r.key: r for r in court.ledger.records(kind="decision")}
    assert all(records[key].seq == int(seq) and records[key].hash == hash_ for key, seq, hash_ in told)


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_process_leaves_a_whole_log_with_all_that_it_acknowledged(make, seed):
    court = make()
    process = writer(court.folder, "w", 10_000)
    first = process.stdout.readline()
    time.sleep(random.Random(seed).uniform(0.05, 0.6))
    process.send_signal(signal.SIGKILL)
    told = [first, *process.stdout.read().splitlines()]
    process.wait(30)
    process.stdout.close()
    found = court.ledger.verify()
    assert found.ok, found
    whole = [line.split() for line in told if len(line.split()) == 3 and len(line.split()[2]) == 64]
    assert whole
    for key, seq, hash_ in whole:
        record = court.ledger.find("decision", key)
        assert (record.seq, record.hash) == (int(seq), hash_)
    # What was acknowledged is sealed: cutting it off is found.
    last = int(whole[-1][1])
    court.close()
    with sqlite3.connect(court.ledger.folder / "decisions.db") as c:
        c.execute("DELETE FROM record WHERE seq >= ?", (last,))
    c.close()
    found = court.ledger.verify()
    assert found.first_bad == last
    assert found.problem.endswith("are missing at the end")


def test_reviewers_in_several_processes_never_share_a_post(make):
    court = make()
    court.decide([post(f"grumble {i}", f"r{i}") for i in range(60)])
    code = """
import sys
from winnow.moderation.moderation import Moderation
court, who = Moderation(sys.argv[1]), sys.argv[2]
while item := court.review.next(who):
    court.review.verdict(item["task"], {"insult": True}, reviewer=who)
    print(item["task"])
court.close()
"""
    command = [sys.executable, "-c", code, str(court.folder)]
    people = [subprocess.Popen([*command, who], stdout=subprocess.PIPE, text=True) for who in ("kim", "lee", "mia")]
    tasks = [t for p in people for t in p.communicate(timeout=120)[0].split()]
    assert sorted(tasks) == sorted(f"r{i}" for i in range(60))
    assert court.ledger.verify().ok


def test_a_full_disk_decides_nothing_and_loses_nothing(make):
    court = make()
    court.decide([post("grumble", "before")])
    court.close()
    code = f"""
import resource, signal, sys
sys.path.insert(0, {WORLD!r})
from moderation_world import post
from winnow.core.errors import Unavailable
from winnow.moderation.moderation import Moderation
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
court = Moderation({str(court.folder)!r})
size = max(p.stat().st_size for p in court.ledger.folder.iterdir()) + 40_000
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
done = 0
try:
    for i in range(10_000):
        court.decide([post("fine", f"r{{i}}")])
        done = i + 1
except Unavailable as error:
    print(error.code, done)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert told[0] in ("log-full", "seal-unwritable")
    again = Moderation(court.folder)
    found = again.ledger.verify()
    assert found.ok, found
    assert {f"r{i}" for i in range(int(told[1]))} <= {r.key for r in again.ledger.records(kind="decision")}
    assert again.decide([post("grumble", "after")])[0]["action"] == "demote"
    again.close()


def test_a_seal_that_cannot_be_written_is_told(make):
    court = make()
    court.ledger.seals.path.unlink()
    court.ledger.seals.path.mkdir()
    with pytest.raises(Unavailable) as caught:
        court.decide([post("fine", "r1")])
    assert caught.value.code == "seal-unwritable"
    court.ledger.seals.path.rmdir()


def test_processes_that_begin_at_once_agree_on_the_key(tmp_path):
    code = "import sys; from winnow.moderation.seals import Seals; from pathlib import Path; " \
           "print(Seals(Path(sys.argv[1])).key.decode())"  # fmt: skip
    several = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "m")], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert len({p.communicate(timeout=60)[0] for p in several}) == 1
    assert len(list((tmp_path / "m").iterdir())) == 1
