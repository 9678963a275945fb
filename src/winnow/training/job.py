"""A training job: its facts and finished steps on disk, so that a killed run goes on where it was."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.core.declare import canonical, digest
from winnow.releases.release import sync

_FACTS, _DONE = "job.json", ".done"


@dataclass(frozen=True)
class Job:
    """One run of training.

    Args:
        folder: where steps leave their files.
        as_of: the moment that the run takes as its present, microseconds UTC; kept when it is resumed.
    """

    folder: Path
    as_of: int

    def step(self, name: str, work: Callable[[Path], None]) -> Path:
        """Run a step unless it is finished; `work` gets its folder, and finds there what a killed run had left.

        Returns:
            the folder of the finished step.
        """
        folder = self.folder / name
        if not (folder / _DONE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            start = time.perf_counter()
            work(folder)
            (folder / _DONE).write_text(f"{time.perf_counter() - start:.1f}")
            sync(folder)
        return folder

    def seconds(self) -> dict[str, float]:
        """Finished step → how long its last run took."""
        found = sorted(self.folder.rglob(_DONE))
        return {str(p.parent.relative_to(self.folder)): float(p.read_text()) for p in found}

    def finish(self) -> None:
        """Remove the working files."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def opened(root: Path, facts: dict[str, Any], *, now: int) -> Iterator[Job]:
    """The job with these facts: the unfinished one if there is one, else a new one. Other unfinished jobs go.

    Args:
        root: where jobs of one system live.
        facts: what decides the outcome (declaration, position in the log, seed); JSON data.
        now: microseconds UTC.
    """
    folder = root / digest(facts)
    if not (folder / _FACTS).exists():
        shutil.rmtree(root, ignore_errors=True)
        folder.mkdir(parents=True)
        draft = folder / f"{_FACTS}.tmp"
        draft.write_text(canonical({**facts, "as_of": now}))
        os.replace(draft, folder / _FACTS)
    yield Job(folder, int(json.loads((folder / _FACTS).read_text())["as_of"]))


def copy_files(source: Path, target: Path) -> None:
    """Hard links of a finished step's files, without its mark and without checkpoints."""
    shutil.copytree(source, target, copy_function=os.link, ignore=shutil.ignore_patterns(_DONE, "checkpoint*"))
