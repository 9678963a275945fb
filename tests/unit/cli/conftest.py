"""A trained shop for the tests of this folder, and commands run as the entry point runs them."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.fixtures import folder, project, template  # noqa: F401

from winnow.cli import printing
from winnow.cli.app import app
from winnow.core.errors import WinnowError

Ran = tuple[int, str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Ran]:
    """Runs a command in this process; its exit status and all that it printed."""
    from winnow.cli import featured

    for module in (printing, featured):
        monkeypatch.setattr(module, "out", Console(width=160))
    monkeypatch.setattr(printing, "err", Console(width=200, stderr=True))

    def run(command: str) -> Ran:
        status = 0
        try:
            app(shlex.split(command))
        except SystemExit as ended:
            status = int(ended.code or 0)
        except WinnowError as error:
            printing.print_problems(error)
            status = 2
        return status, "".join(capsys.readouterr())

    return run
