"""What happened to one request: per stage the counts in and out, the time, and what failed."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import numpy as np

from winnow.core.candidates import Candidates, Ints, Mask

T = TypeVar("T")
_log = logging.getLogger(__name__)


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

    def attempt(self, stage: Stage, work: Callable[..., T], *given: Any, otherwise: T, told: str) -> T:
        """What `work(*given)` gives; when it raises, `otherwise`, and the reply says so.

        Args:
            stage: where it happens.
            work: what is tried.
            given: its arguments.
            otherwise: what stands in for its result.
            told: what that means for the reply, in words.
        """
        try:
            return work(*given)
        except Exception as error:
            _log.warning("%s %s failed", stage.kind, stage.name, exc_info=True)
            self.fail(stage, f"{type(error).__name__}: {error}", told=told)
            return otherwise

    def fail(self, stage: Stage, error: str, *, told: str) -> None:
        """Records that a stage did not do its work; the inner error stays in the trace and in the server's log."""
        stage.error = error
        self.degraded.append({"stage": stage.kind, "part": stage.name, "effect": told})

    def keep_order(self, name: str, candidates: Candidates) -> None:
        """Keeps the order that a step of the slate made, for explanations."""
        if self.full:
            self.orders.append((name, candidates))

    def sift(
        self,
        kind: str,
        name: str,
        test: Callable[..., Mask],
        candidates: Candidates,
        *given: Any,
        open_: bool,
        told: str,
    ) -> Candidates:
        """The candidates that pass a test.

        Args:
            kind: the stage of the pipeline.
            name: the part that tests.
            test: called with the candidates and what is given; gives bool [N].
            candidates: those to test.
            given: further arguments of the test.
            open_: whether all pass, rather than none, when the test fails.
            told: what a failure means for the reply, in words.
        """
        with self.stage(kind, name, came=len(candidates)) as stage:
            otherwise = candidates.take(np.full(len(candidates), open_))
            passed = self.attempt(stage, _passing, test, candidates, *given, otherwise=otherwise, told=told)
            stage.left = len(passed)
            if self.full and len(passed) < len(candidates):
                stage.removed = candidates.rows[~np.isin(candidates.rows, passed.rows)]
        return passed


def _passing(test: Callable[..., Mask], candidates: Candidates, *given: Any) -> Candidates:
    if not len(candidates):
        return candidates
    mask = np.asarray(test(candidates, *given))
    # Whole numbers would be taken for places, and the wrong candidates would pass.
    if mask.dtype != np.bool_ or mask.shape != (len(candidates),):
        raise TypeError(f"a test must give bool [{len(candidates)}], this one gave {mask.dtype} {list(mask.shape)}")
    return candidates.take(mask)
