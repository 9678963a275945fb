"""The page of a service: static files, and the read-only routes that show tables and events to people.

The files hold no data and need no key; all data comes through `/v1/...` routes, which ask for a key like all others.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Query, Response
from fastapi.params import Depends

from winnow.console.mirror import Mirror
from winnow.core.errors import unknown

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HEADERS = {
    # Nothing but what the package itself brings may run, load or frame the page.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_STATIC = files("winnow.console") / "static"
_FILES = {entry.name: entry.read_bytes() for entry in _STATIC.iterdir() if entry.name.partition(".")[2] in _TYPES}

Limit = Annotated[int, Query(ge=1, le=200)]


def add_page(app: FastAPI, mirror: Mirror, *, guards: Sequence[Depends] = ()) -> None:
    """Adds the page at `/` and its routes to a service.

    Args:
        app: the HTTP API; it turns `WinnowError` into replies.
        mirror: what the routes show.
        guards: dependencies of every `/v1` route here: whatever asks for a key.
    """
    app.include_router(_pages())
    app.include_router(_reading(mirror), dependencies=list(guards))


def _pages() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def page() -> Response:
        return _file("index.html")

    @router.get("/console/{name}")
    def file(name: str) -> Response:
        return _file(name)

    return router


def _file(name: str) -> Response:
    if name not in _FILES:
        raise unknown("file", name, _FILES)
    return Response(_FILES[name], media_type=_TYPES[name.rpartition(".")[2]], headers=_HEADERS)


def _reading(mirror: Mirror) -> APIRouter:
    router = APIRouter(prefix="/v1/tables/{table}", tags=["tables"])

    @router.get("")
    def search(table: str, query: str = "", limit: Limit = 20) -> dict[str, Any]:
        """Rows whose id or text holds the words of `query`, ids that begin with them first."""
        return {"rows": mirror.search(table, query, limit=limit)}

    @router.post("/rows")
    def rows(table: str, ids: Annotated[list[str], Body(embed=True, max_length=1000)]) -> dict[str, Any]:
        """The rows with these ids, in this order; unknown and deleted ones are left out."""
        return {"rows": mirror.rows(table, ids)}

    @router.get("/{row}/events")
    def events(table: str, row: str, type: str, limit: Limit = 20) -> dict[str, Any]:
        """The latest events of one type by (or about) a row, newest first."""
        return {"events": mirror.events_of(table, row, type, limit=limit)}

    return router
