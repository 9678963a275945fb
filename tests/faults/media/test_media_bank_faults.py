"""A process that saves a bank is killed, at every step and at any moment: the bank opens whole."""

import os
import random
import signal
import subprocess
import sys
import time

COMMON = """
import os, shutil, signal, sys
import numpy as np
from pathlib import Path
from winnow.media.bank import HashBank

def hash_of(turn):
    return np.random.default_rng(turn).integers(0, 2**64, (1, 4), dtype=np.uint64)

def next_turn(bank, turn):
    # Exactly one hash is of a turn: the one of the turn before goes.
    row = bank.add(hash_of(turn), [f"turn {turn}"])[0]
    bank.remove([row - 1])
    if turn % 3 == 0:
        bank.rebuild()

def turn_of(bank):
    found = [turn for turn in range(400) if len(bank.within(hash_of(turn)[0])[0])]
    rows, _ = bank.within(hash_of(found[0])[0])
    whole = len(found) == 1 and len(bank) == 1001 and bank.labels(rows) == [f"turn {found[0]}"]
    return found[0] if whole else -1

def fresh(folder):
    hashes = np.random.default_rng(10**6).integers(0, 2**64, (1000, 4), dtype=np.uint64)
    bank = HashBank.build(hashes, ["base"] * 1000)
    bank.add(hash_of(0), ["turn 0"])
    bank.save(folder)
    return bank
"""
FOREVER = f"""{COMMON}
folder, turn = Path(sys.argv[1]), int(sys.argv[2])
bank = HashBank.open(folder, verify=True) if (folder / "current.json").exists() else fresh(folder)
print("ready", flush=True)
while True:
    turn += 1
    next_turn(bank, turn)
    bank.save(folder)
    print(turn, flush=True)
"""
TURN = f"{COMMON}\nprint(turn_of(HashBank.open(Path(sys.argv[1]), verify=True)))"
EVERY_STEP = f"""{COMMON}
def killed_at(step, work):
    # Dies as the step-th change of a file begins; False when there are fewer.
    if not (child := os.fork()):
        steps = [0]
        def watch(event, given):
            changes = event == "open" and ("w" in str(given[1]) or given[2] & os.O_CREAT)
            if changes or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"):
                steps[0] += 1
                if steps[0] == step:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(watch)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

root, step = Path(sys.argv[1]), 1
while True:
    folder = root / str(step)
    bank = fresh(folder)
    for turn in range(1, 4):  # the third builds a new base
        next_turn(bank, turn)
        if turn < 3:
            bank.save(folder)
    dead = killed_at(step, lambda: bank.save(folder))
    print(turn_of(HashBank.open(folder, verify=True)), flush=True)
    again = HashBank.open(folder)
    next_turn(again, 3) if turn_of(again) == 2 else None
    again.save(folder)
    if turn_of(HashBank.open(folder, verify=True)) != 3 or len(list(folder.iterdir())) != 3:
        print("not mended", flush=True)
    if not dead:
        break
    step += 1
"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def ran(script, *arguments):
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_a_save_killed_at_any_step_leaves_the_one_before_or_itself(tmp_path):
    told = ran(EVERY_STEP, tmp_path)
    assert len(told) > 12
    assert set(told) == {"2", "3"}
    assert told == sorted(told)  # before the pointer the old one, from then on the new one


def test_a_bank_killed_at_any_moment_opens_whole(tmp_path):
    rng, turn = random.Random(0), 0
    for _ in range(4):
        command = [sys.executable, "-W", "ignore", "-c", FOREVER, str(tmp_path / "bank"), str(turn)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as saving:
            assert saving.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.02, 0.4))
            saving.send_signal(signal.SIGKILL)
            told = [int(line) for line in saving.stdout.read().split()]
        found = int(ran(TURN, tmp_path / "bank")[0])
        last = told[-1] if told else turn
        assert found in (last, last + 1)
        turn = found
