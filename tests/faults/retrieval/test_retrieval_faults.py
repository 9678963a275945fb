"""A process that saves an index is killed: what was saved before, or what is being saved, opens whole."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np

from winnow.retrieval import kinds
from winnow.retrieval.live import Live
from winnow.retrieval.shelf import Shelf

ITEMS = 1_000
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TURN = f"""
import json, os, shutil, signal, sys
import numpy as np
from pathlib import Path
from winnow.retrieval.kinds import open_index
from winnow.retrieval.shelf import Shelf

def next_turn(live, turn):
    # Every vector says in which turn it was made, and one row exists in that turn only.
    live.upsert(np.arange({ITEMS}), np.full(({ITEMS}, 8), turn, np.float32), encoder="v1")
    live.upsert(np.array([{ITEMS} + turn]), np.full((1, 8), turn, np.float32), encoder="v1")
    live.delete(np.array([{ITEMS} + turn - 1]))
    if turn % 2:
        live.rebuild(kind="IVF")

def turn_of(live):
    found = live.search(np.ones((1, 8), np.float32), {ITEMS} + 10, encoder="v1")
    real = found.rows[0] >= 0
    turns = np.unique(found.scores[0][real] / 8)
    whole = real.sum() == len(live) == {ITEMS} + 1 and len(turns) == 1 and int(turns[0]) + {ITEMS} in live
    return int(turns[0]) if whole else -1
"""
FOREVER = f"""{TURN}
shelf = Shelf(Path(sys.argv[1]))
live, turn = shelf.open(encoder="v1"), int(sys.argv[2])
print("ready", flush=True)
while True:
    turn += 1
    next_turn(live, turn)
    shelf.save(live)
    print(turn, flush=True)
"""
EVERY_STEP = f"""{TURN}
def killed_at(step, work):
    # Dies as the step-th change of a file begins; False when there are fewer.
    if not (child := os.fork()):
        steps = [0]
        def watch(event, given):
            changes = event == "open" and ("w" in str(given[1]) or given[2] & os.O_CREAT)
            if changes or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
                steps[0] += 1
                if steps[0] == step:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(watch)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

def shelved(root, turn):
    # Each step on a copy of the same shelf, saved from turn 1 to `turn`.
    told, step = [], 1
    while True:
        folder = Path(f"{{root}}-{{turn}}-{{step}}")
        shutil.copytree(root, folder)
        shelf = Shelf(folder)
        live = shelf.open(encoder="v1")
        for t in range(2, turn + 1):
            next_turn(live, t)
        if not killed_at(step, lambda: shelf.save(live)):
            return told
        told.append(turn_of(Shelf(folder).open(encoder="v1")))
        shelf = Shelf(folder)
        shelf.save(live)  # what the dead process left is in nobody's way
        told.append(-2 if turn_of(Shelf(folder).open(encoder="v1")) != turn else 0)
        step += 1

def stored(root):
    base, told, step = Shelf(root).open(encoder="v1").snapshot.base, [], 1
    while killed_at(step, lambda: base.save(root.parent / f"alone-{{step}}")):
        folder = root.parent / f"alone-{{step}}"
        told.append(len(open_index(folder, encoder="v1")) if folder.exists() else 0)
        step += 1
    return told

root = Path(sys.argv[1])
print(json.dumps([shelved(root, 2), shelved(root, 3), stored(root)]))
"""


def shelf(folder):
    rows = np.concatenate([np.arange(ITEMS), [ITEMS + 1]])
    Shelf(folder).save(Live(kinds.build(np.ones((ITEMS + 1, 8), np.float32), rows, "v1", kind="IVF")))
    return folder


def turn_of(live):
    """The one turn that an index is of."""
    found = live.search(np.ones((1, 8), np.float32), ITEMS + 10, encoder="v1")
    real = found.rows[0] >= 0
    assert real.sum() == len(live) == ITEMS + 1
    turns = np.unique(found.scores[0][real] / 8)
    assert len(turns) == 1
    assert int(turns[0]) + ITEMS in live
    return int(turns[0])


def test_a_kill_at_any_step_of_a_save_leaves_a_whole_index(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", EVERY_STEP, str(shelf(tmp_path / "shelf"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    changes, rebuilt, alone = json.loads(done.stdout)
    # 0: the save after the kill was whole too.
    assert set(changes) == {0, 1, 2}
    assert set(rebuilt) == {0, 1, 3}
    assert len(rebuilt) > len(changes) >= 6
    assert set(alone) <= {0, ITEMS + 1}
    assert len(alone) >= 5


def test_kills_at_random_moments_lose_nothing_acknowledged(tmp_path):
    rng, folder, turn = random.Random(4), shelf(tmp_path / "shelf"), 1
    for _ in range(4):
        command = [sys.executable, "-c", FOREVER, str(folder), str(turn)]
        saver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        assert saver.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.05, 0.5))
        saver.send_signal(signal.SIGKILL)
        told = [int(line) for line in saver.stdout.read().split()]
        saver.stdout.close()
        saver.wait()
        acknowledged = max(told, default=turn)
        turn = turn_of(Shelf(folder).open(encoder="v1"))
        assert turn in (acknowledged, acknowledged + 1)
    assert turn > 3
