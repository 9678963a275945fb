"""A killed fit goes on from its checkpoint and ends with the same bytes as one that was never interrupted."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import killed_fit
import pytest

HERE = Path(__file__).parent


def fit_in_a_process(name, folder, deadline):
    path = os.pathsep.join([str(HERE), str(HERE.parents[1] / "contracts" / "models"), *sys.path])
    command = [sys.executable, str(HERE / "killed_fit.py"), name, str(folder), str(deadline)]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path, "OMP_WAIT_POLICY": "PASSIVE"}, check=False
    ).returncode


def files(folder):
    return json.loads((folder / "meta.json").read_text())["files"]


@pytest.mark.parametrize(("name", "deadlines"), [("MultiTask", [4]), ("SequenceTower", [2])])
def test_killed_and_resumed_ends_the_same(name, deadlines, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    killed_fit.fit(name, whole)
    for deadline in deadlines:
        assert fit_in_a_process(name, broken, deadline) == -signal.SIGKILL
        assert list(broken.rglob("checkpoint.safetensors"))
        assert not (broken / "meta.json").exists()
    assert fit_in_a_process(name, broken, 0) == 0
    assert files(broken) == files(whole)


def test_a_checkpoint_of_another_run_is_not_continued(tmp_path):
    first, second, fresh = (tmp_path / n for n in ("first", "second", "fresh"))
    for folder in (first, second, fresh):
        folder.mkdir()
    killed_fit.fit("DCN", first)
    (second / "checkpoint.safetensors").write_bytes((first / "checkpoint.safetensors").read_bytes()[:100])
    killed_fit.fit("DCN", second)  # torn
    assert files(second) == files(first)
    (fresh / "checkpoint.safetensors").write_bytes((first / "checkpoint.safetensors").read_bytes())
    killed_fit.RANKING["Other"] = killed_fit.DCN(epochs=1, batch_size=64)
    killed_fit.fit("Other", fresh)
    assert files(fresh) != files(first)
