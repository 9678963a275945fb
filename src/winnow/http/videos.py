"""The routes by which videos come in, and by which their frames are looked at."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from winnow.http.pictures import Side, jpeg, kept
from winnow.http.site import site_of
from winnow.serving.clips import shown, watched
from winnow.serving.gallery import SMALL

router = APIRouter(prefix="/v1/systems/{name}/videos", tags=["videos"])
Id = Annotated[str, Query(min_length=1, max_length=512, description="id of the video")]
At = Annotated[float | None, Query(ge=0, description="seconds from the start; the middle when left out")]
_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"video/*": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.put("", openapi_extra=_BODY)
async def put(request: Request, name: str, id: Id) -> Response:
    """Takes a video in; further parameters are columns of its row. Its frames are kept, the file is not."""
    body = await request.body()
    return await site_of(request.scope).writing(_put, request, name, id, body)


@router.get("", response_class=Response)
def get(request: Request, name: str, id: Id, at: At = None, side: Side = SMALL) -> Response:
    """The frame of a video that is seen nearest to a moment, as a small JPEG; one that policy hides is not there."""
    desk = site_of(request.scope).runtime.desk(name)
    files = watched(desk)
    return jpeg(files.thumbnail(shown(desk, id), at, side))


def _put(request: Request, name: str, key: str, body: bytes) -> Response:
    desk = site_of(request.scope).runtime.desk(name)
    watched(desk)
    return kept(request, desk.system.labels.item, key, body)
