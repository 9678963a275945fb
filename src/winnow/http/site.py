"""The site: what one worker process holds, shared by all its routes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from starlette.types import Scope

from winnow.monitoring import metrics
from winnow.project import Project
from winnow.retrieval.probe import Measured
from winnow.serving.desk import Desk
from winnow.serving.runtime import Runtime
from winnow.serving.trace import Trace

T = TypeVar("T")
_WRITERS = 16  # threads that wait for the disk together: one sync serves all of them


class Site:
    """A project with a runtime and threads to work in.

    Args:
        project: what is served.
    """

    def __init__(self, project: Project):
        self.project = project
        self.runtime = Runtime(project, observe=observe, measured=self._measured, aged=metrics.stored_lists)
        self._rankers = ThreadPoolExecutor(project.settings.server.threads, thread_name_prefix="rank")
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="write")

    async def ranking(self, work: Callable[..., T], *given: Any) -> T:
        """The result of work that keeps a processor busy."""
        return await asyncio.get_running_loop().run_in_executor(self._rankers, partial(work, *given))

    async def writing(self, work: Callable[..., T], *given: Any) -> T:
        """The result of work that waits for the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._writers, partial(work, *given))

    def _measured(self, system: str, last: Measured) -> None:
        observe_index(self.runtime.desk(system), last)

    def close(self) -> None:
        """Waits for what is being done, then lets go of everything."""
        self._rankers.shutdown()
        self._writers.shutdown()
        self.runtime.close()
        self.project.log.close()


def observe(system: str, trace: Trace) -> None:
    """Counts what happened in the stages of one request."""
    for stage in trace.stages:
        metrics.STAGE_SECONDS.labels(system, stage.name).observe(stage.ms / 1000)
        metrics.CANDIDATES.labels(system, stage.name).observe(stage.left)
    for part in trace.degraded:
        metrics.DEGRADED.labels(system, part["stage"]).inc()


def observe_index(desk: Desk, last: Measured) -> None:
    """Exports what is known of the vector index of a system."""
    system, index = desk.system.name, desk.system.labels.item.name
    metrics.INDEX_REFUSED.labels(system, index).inc(desk.kit.bundle.vectors.refusals())
    metrics.live_index(system, index, recall=last.recall, items=last.items, made_at=last.made_at)


def site_of(scope: Scope) -> Site:
    """The site behind a request."""
    site: Site = scope["app"].state.site
    return site
