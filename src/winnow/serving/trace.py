"""What happened to one request: per stage the counts in and out, the time, and what failed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import structlog

from winnow.core.candidates import Candidates, Ints

T = TypeVar("T")
_log = structlog.get_logger(__name__)


@dataclass
class Stage:
    """One stage of one request.

    Args:
        name: source, filter, ... by the name of its part.
        kind: the stage of the pipeline.
        came: candidates in.
        left: candidates out.
        ms: how long it took.
        error: why it failed; empty when it did not.
        removed: rows dropped here, kept only for explanations.
    """

    name: str
    kind: str
    came: int = 0
    left: int = 0
    ms: float = 0.0
    error: str = ""
    removed: Ints | None = None

    def to_data(self) -> dict[str, Any]:
        """Plain data without the rows."""
        data = asdict(self)
        del data["removed"]
        return data | {"ms": round(self.ms, 3), "in": data.pop("came"), "out": data.pop("left")}


@dataclass
class Trace:
    """The stages of one request in order.

    Args:
        full: keep the rows that each stage dropped, and every order of the slate.
    """

    full: bool = False
    stages: list[Stage] = field(default_factory=list)
    degraded: list[dict[str, str]] = field(default_factory=list)
    orders: list[tuple[str, Candidates]] = field(default_factory=list)

    @contextmanager
    def stage(self, kind: str, name: str, *, came: int) -> Iterator[Stage]:
        """Times a stage; whoever runs in it says what left."""
        stage = Stage(name, kind, came, came)
        self.stages.append(stage)
        start = time.perf_counter()
        try:
            yield stage
        finally:
            stage.ms = (time.perf_counter() - start) * 1000

    def attempt(self, stage: Stage, work: Callable[[], T], *, otherwise: T, told: str) -> T:
        """What `work` gives; when it raises, `otherwise`, and the reply says so.

        Args:
            stage: where it happens.
            work: what is tried.
            otherwise: what stands in for it.
            told: what that means for the reply, in words.
        """
        try:
            return work()
        except Exception as error:
            _log.warning("stage failed", stage=stage.name, kind=stage.kind, exc_info=True)
            self.fail(stage, f"{type(error).__name__}: {error}", told=told)
            return otherwise

    def fail(self, stage: Stage, error: str, *, told: str) -> None:
        """Records that a stage did not do its work; the inner error stays in the trace and in the server's log."""
        stage.error = error
        self.degraded.append({"stage": stage.kind, "part": stage.name, "effect": told})

    def cut(self, stage: Stage, before: Candidates, after: Candidates) -> None:
        """Records what a stage dropped."""
        stage.left = len(after)
        if self.full and len(after) < len(before):
            stage.removed = before.rows[~_within(before.rows, after.rows)]


def _within(rows: Ints, others: Ints) -> Any:
    import numpy as np

    return np.isin(rows, others)
