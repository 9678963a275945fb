"""The page of a service: the HTTP API with a page in front and read-only routes that show tables and events to people.

The page's files hold no data and need no key; all data comes through `/v1/...` routes, which ask for a key like all
others.
"""

from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Query
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from winnow.console.mirror import Mirror
from winnow.console.origin import check_origin
from winnow.core.errors import WinnowError
from winnow.http import app as http
from winnow.http import errors
from winnow.http.process import project_folder
from winnow.project import Project
from winnow.serving.search_text import by_text

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HEADERS = {
    # Nothing but what the package itself brings may run, load or frame the page; it may show pictures that it holds.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_INDEX, _SEARCH, _REVIEW, _TEXT = "index.html", "search.html", "review.html", "search-text.html"
_STAYS = "stays.html"
_PLACES = {"/review": _REVIEW, "/appeals": "appeals.html"}

Limit = Annotated[int, Query(ge=1, le=200, description="how many at most")]
Ids = Annotated[list[str], Body(embed=True, max_length=1000, description="ids of rows")]


def create(project: Project | None = None) -> FastAPI:
    """The HTTP API of a project with the page at `/`.

    Args:
        project: what is served; by default the folder named by `WINNOW_PROJECT`, as the supervisor starts workers.
    """
    project = project or Project(project_folder())
    app = http.create(project)
    app.include_router(_reading(Mirror(project.log, project.tables, project.events)))
    app.add_middleware(Page, local=project.settings.open_to_all, index=_index(project))
    return app


def _index(project: Project) -> str:
    """The page of a project: that of the search, where every system is one; of review, where all decide on content."""
    systems = project.systems.values()
    if systems and not any(s.pipeline.ranks for s in systems):
        return _REVIEW
    if systems and all(map(by_text, systems)):
        return _TEXT
    if not systems or not all(s.alike for s in systems):
        return _INDEX
    return _SEARCH if all(s.picture for s in systems) else _STAYS


class Page:
    """ASGI middleware that answers for the page's files and passes everything else on.

    Args:
        app: the API.
        local: whether the API asks for no keys: then only this machine's own pages and programs may use it.
        index: the file that is the page at `/`.
    """

    def __init__(self, app: ASGIApp, *, local: bool, index: str = _INDEX) -> None:
        self._app, self._local = app, local
        folder = files("winnow.console") / "static"
        named = [file for file in folder.iterdir() if _suffix(file.name) in _TYPES]
        self._files = {f"/console/{file.name}": _reply(file.name, file.read_bytes()) for file in named}
        places = {"/": index, **_PLACES}
        self._files |= {place: self._files[f"/console/{name}"] for place, name in places.items()}
        for name in set(places.values()):
            del self._files[f"/console/{name}"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answers(scope)(scope, receive, send)

    def _answers(self, scope: Scope) -> ASGIApp:
        if scope["type"] != "http":
            return self._app
        if self._local:
            try:
                check_origin(dict(scope["headers"]))
            except WinnowError as error:
                return errors.answer(error, "")
        return self._files.get(scope["path"], self._app) if scope["method"] in ("GET", "HEAD") else self._app


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]


def _reply(name: str, content: bytes) -> Response:
    return Response(content, media_type=_TYPES[_suffix(name)], headers=_HEADERS)


def _reading(mirror: Mirror) -> APIRouter:
    router = APIRouter(prefix="/v1/tables/{name}", tags=["data"])

    @router.get("")
    def search(name: str, query: str = "", limit: Limit = 20) -> dict[str, Any]:
        """Rows whose id or text holds the words of `query`, ids that begin with them first."""
        return {"items": mirror.search(name, query, limit=limit)}

    @router.post("/rows")
    def rows(name: str, ids: Ids) -> dict[str, Any]:
        """The rows with these ids, in this order; unknown and deleted ones are left out."""
        return {"items": mirror.rows(name, ids)}

    @router.get("/{row}/events")
    def events(name: str, row: str, type: str, limit: Limit = 20) -> dict[str, Any]:
        """The latest events of one type by (or about) a row, newest first."""
        return {"items": mirror.events_of(name, row, type, limit=limit)}

    return router
