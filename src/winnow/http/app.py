"""The HTTP application of a project."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

import winnow
from winnow.http import control, errors, hot, moderation, pictures, search, videos
from winnow.http.guard import Guard
from winnow.http.keys import Keys
from winnow.http.limits import Limits
from winnow.http.openapi import describe
from winnow.http.process import project_folder
from winnow.http.site import Site
from winnow.project import Project


def create(project: Project | None = None) -> FastAPI:
    """The application; routes may be added to it before it starts.

    Args:
        project: what is served; by default the folder named by `WINNOW_PROJECT`, as the supervisor starts workers.
    """
    project = project or Project(project_folder())
    server = project.settings.server

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        app.state.site = site = await run_in_threadpool(Site, project)
        await run_in_threadpool(site.runtime.start)
        yield
        await run_in_threadpool(site.close)

    app = FastAPI(title="Winnow", version=winnow.__version__, lifespan=running, redirect_slashes=False)
    app.router.routes[:0] = hot.routes()
    for part in (control, search, pictures, videos, moderation):
        app.include_router(part.router)
    keys = None if project.settings.open_to_all else Keys(project.folder)
    limits = Limits(server.body_limit_bytes, server.picture_limit_bytes, server.video_limit_bytes)
    app.add_middleware(Guard, keys=keys, limits=limits)
    errors.register(app)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return app
