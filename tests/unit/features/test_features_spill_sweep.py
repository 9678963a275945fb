"""What a killed process has spilled is removed; what is in use is not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from winnow.features import spill
from winnow.features.spill import Budget, Shelves, sweep

SPILLING = """
import sys, time
from pathlib import Path
from winnow.features.spill import Budget, Shelves
shelves = Shelves(None, Budget(1 << 20, Path(sys.argv[1])), None)
print("spilled", flush=True)
time.sleep(60)
"""


def spilling(scratch: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", SPILLING, str(scratch)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "spilled\n"
    return process


def test_only_the_folders_of_dead_processes_go(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    processes = [spilling(scratch), spilling(scratch)]
    try:
        both = set(scratch.iterdir())
        assert len(both) == 2
        assert sweep(scratch) == 0, "both live"
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait()
        assert sweep(scratch) == 1
        left = set(scratch.iterdir())
        assert len(left) == 1
        assert left < both
        mine = Shelves(None, Budget(1 << 20, scratch), None)  # type: ignore[arg-type]
        assert len(list(scratch.iterdir())) == 2
        del mine
        assert set(scratch.iterdir()) == left, "a folder goes with what it was made for"
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def test_a_folder_that_has_no_lock_yet_may_be_about_to_get_one(tmp_path: Path) -> None:
    new, old, other = (tmp_path / f"{spill._PREFIX}new", tmp_path / f"{spill._PREFIX}old", tmp_path / "other")
    for folder in (new, old, other):
        folder.mkdir()
    os.utime(old, (1, 1))
    assert sweep(tmp_path) == 1
    assert [folder.exists() for folder in (new, old, other)] == [True, False, True]
    assert sweep(tmp_path / "absent") == 0
