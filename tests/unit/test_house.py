"""The rules of the house that no single layer can check for itself."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_layers_import_only_from_below():
    command = shutil.which("lint-imports", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    result = run(str(command))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "module", ["winnow.http.app", "winnow.console.app", "winnow.systems.video_recommendation", "winnow.project"]
)
def test_a_server_and_a_declaration_never_import_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    result = run(sys.executable, "-W", "ignore", "-c", code)
    assert result.returncode == 0, result.stderr


def test_help_answers_at_once():
    def once() -> float:
        before = os.times()
        run(sys.executable, "-m", "winnow.cli", "--help")
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    # CPU time, so that other work on the machine does not count; 0.2 s alone, twice that beside busy neighbours.
    assert min(once() for _ in range(5)) < 0.45


def test_system_files_are_short_and_have_six_numbered_steps():
    for path in (ROOT / "src" / "winnow" / "systems").glob("[!_]*.py"):
        text = path.read_text()
        assert text.count("\n") <= 120, path.name
        assert re.findall(r"^# (\d)\. (\w+)", text, re.MULTILINE) == [
            ("1", "Frame"), ("2", "Data"), ("3", "Features"), ("4", "Model"), ("5", "Serve"), ("6", "Learn"),
        ]  # fmt: skip


def test_no_banned_names():
    banned = {"utils", "helpers", "manager", "misc", "common"}
    found = [p for p in (ROOT / "src").rglob("*") if p.stem in banned]
    assert not found


def test_nothing_in_serving_reads_pickles():
    pattern = re.compile(r"import pickle|pickle\.loads?\(|torch\.load\(|allow_pickle=True|import joblib")
    found = [str(p) for p in (ROOT / "src").rglob("*.py") if pattern.search(p.read_text())]
    assert not found
