"""The routes by which pictures come in and are looked at."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from winnow.core.errors import InputError, Problem
from winnow.data.schema import Table
from winnow.http.errors import answer, json, request_id
from winnow.http.site import Site, site_of
from winnow.serving.gallery import SMALL
from winnow.serving.search import searched, shown

router = APIRouter(prefix="/v1/systems/{name}/pictures", tags=["pictures"])
Id = Annotated[str, Query(min_length=1, max_length=512, description="id of the picture")]
Side = Annotated[int, Query(ge=16, le=1024, description="pixels along the longer side")]
_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.put("", openapi_extra=_BODY)
async def put(request: Request, name: str, id: Id) -> Response:
    """Takes a picture into the collection; further parameters are columns of its row. Found within a second."""
    body = await request.body()
    return await site_of(request.scope).writing(_put, request, name, id, body)


@router.get("", response_class=Response)
def get(request: Request, name: str, id: Id, side: Side = SMALL) -> Response:
    """A picture as a small JPEG; one that policy hides is not there."""
    desk = site_of(request.scope).runtime.desk(name)
    files = searched(desk)
    return jpeg(files.gallery.thumbnail(files.file(shown(desk, id)), side))


def _put(request: Request, name: str, key: str, body: bytes) -> Response:
    desk = site_of(request.scope).runtime.desk(name)
    searched(desk)
    return kept(request, desk.system.labels.item, key, body)


def kept(request: Request, table: Table, key: str, body: bytes) -> Response:
    """Takes a picture or video in; further parameters of the request are columns of its row."""
    site = site_of(request.scope)
    columns = columns_of(site, request, table.name)
    receipt = site.project.collection.put(table, key, body, columns=columns)
    if receipt.problems:
        return answer(InputError(*receipt.problems), request_id(request.scope))
    return json({"id": key, "accepted": receipt.accepted})


def jpeg(data: bytes) -> Response:
    """A picture that may be shown to whoever asks now: that can change at any moment, so that nobody between may keep
    it."""
    headers = {"cache-control": "private, no-cache", "x-content-type-options": "nosniff"}
    return Response(data, media_type="image/jpeg", headers=headers)


def columns_of(site: Site, request: Request, table: str) -> dict[str, Any]:
    """Columns of the row from the query string.

    Raises:
        InputError: `unknown-field`, `wrong-type`.
    """
    kinds, given = site.project.intake.kinds(table), dict[str, Any]()
    for column, text in request.query_params.items():
        if column == "id":
            continue
        if column not in kinds or kinds[column].media in ("image", "video"):
            what = f"`{table}` takes no `{column}` here"
            raise InputError(Problem("unknown-field", what, column, fix="leave it out"))
        given[column] = _read(kinds[column].storage, column, text)
    return given


def _read(storage: str, column: str, text: str) -> Any:
    try:
        if storage == "flag":
            return {"0": 0, "1": 1, "false": 0, "true": 1}[text.lower()]
        if storage == "number":
            return float(text)
    except (KeyError, ValueError) as error:
        raise InputError(Problem("wrong-type", f"`{text}` is no {storage}", column, fix=f"give a {storage}")) from error
    return text.split(",") if storage == "categories" else text
