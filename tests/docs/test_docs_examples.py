"""The examples run: docstrings of every module, Python blocks of pages, and two pages from beginning to end.

A page that is run from beginning to end is made of blocks:

    ```csv title="data/log.csv"     a file to write
    ```diff title="shop/a.py"       a change of a file: lines with - go, lines with + come
    ```python                       runs, one namespace per page
    ```console                      `$ winnow …` runs; what follows must be in what it prints, `…` stands for anything
"""

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import pytest
from rich.console import Console

import winnow
from winnow.cli import printing
from winnow.cli.app import app
from winnow.core.errors import WinnowError

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(\w+)?(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WHOLE = ["howto/features.md", "howto/import.md", "howto/new_system.md", "tutorials/your_own_system.md"]


def modules():
    """Modules whose docstrings hold examples; the networks import torch, and hold none."""
    for info in pkgutil.walk_packages(winnow.__path__, "winnow."):
        if info.name.startswith("winnow.models.networks") or info.name.endswith("__main__"):
            continue
        source = importlib.util.find_spec(info.name).origin
        if source and ">>>" in Path(source).read_text():
            yield info.name


@pytest.mark.parametrize("name", list(modules()))
def test_docstrings_run(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"np": importlib.import_module("numpy")})
    assert result.attempted > 0
    assert result.failed == 0


def test_networks_hold_no_examples_that_nobody_runs():
    assert not [p for p in (ROOT / "src/winnow/models/networks").glob("*.py") if ">>>" in p.read_text()]


def blocks(page):
    return [match.groups() for match in BLOCK.finditer((DOCS / page).read_text())]


def pages_with_python():
    found = (str(p.relative_to(DOCS)) for p in sorted(DOCS.rglob("*.md")))
    return [p for p in found if p not in WHOLE and any(kind == "python" for kind, _, _ in blocks(p))]


@pytest.mark.parametrize("page", pages_with_python())
def test_python_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for kind, _, text in blocks(page):
        if kind == "python":
            exec(compile(text, page, "exec"), names)


@pytest.mark.parametrize("page", WHOLE)
def test_a_page_runs_from_beginning_to_end(page, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for kind, title, text in blocks(page):
        if kind == "diff":
            change(Path(title), text)
        elif title:
            Path(title).parent.mkdir(parents=True, exist_ok=True)
            Path(title).write_text(text)
        elif kind == "python":
            exec(compile(text, page, "exec"), names)
        elif kind == "console":
            for command, expected in commands(text):
                compare(run(command), expected)


def change(path, diff):
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    text = path.read_text()
    if text.count(before) == 0:  # a change within a line
        before, after = before.rstrip("\n"), after.rstrip("\n")
    assert text.count(before) == 1, before
    path.write_text(text.replace(before, after))


def commands(text):
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command as the entry point does, in this process: starting one for each would take most of the time."""
    monkeypatch.setattr(printing, "out", Console(width=120))
    monkeypatch.setattr(printing, "err", Console(width=200, stderr=True))

    def run(command):
        assert command.startswith("winnow ")
        try:
            app(shlex.split(command)[1:])
        except SystemExit:
            pass  # the pages show what is printed, not how a command ends
        except WinnowError as error:
            printing.print_problems(error)
        return "".join(capsys.readouterr())

    return run


def compare(printed, expected):
    """What the page shows is in what was printed, in this order; white space does not count."""
    flat = " ".join(printed.split())
    place = 0
    for fragment in (" ".join(part.split()) for part in expected.split("…")):
        found = flat.find(fragment, place)
        assert found >= 0, f"not printed: {fragment}\n---\n{printed}"
        place = found + len(fragment)
