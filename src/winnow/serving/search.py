"""A search by picture: which pictures are like this one, like a part of it, or like a picture of the collection."""

import hashlib
import time
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from winnow.core.candidates import Candidates
from winnow.core.errors import InputError, NotFound, Problem
from winnow.core.system import System
from winnow.serving import policy
from winnow.serving.desk import Desk
from winnow.serving.kit import Kit
from winnow.serving.pictures import PictureFiles
from winnow.serving.query import Query
from winnow.serving.request import Condition, Factors, Id, Item, RankReply, RankRequest, invalid
from winnow.serving.trace import Trace

Pixels = NDArray[np.uint8]
UPLOAD = "upload-"  # begins the id of what was searched for and is no item


class SearchRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a client may ask for: one of `id` and `picture`, and what the other options of a rank request are.

    Args:
        id: of an item of the collection.
        picture: a JPEG, PNG, WebP, GIF or BMP file; base64 in JSON.
        box: the part to look for: left, top, right, bottom as shares of the picture, 0 to 1.
        size, exclude, filter, boost, context, explain, reasons, deadline_ms: as in a rank request.
    """

    id: Id | None = None
    picture: bytes = b""
    box: Annotated[list[float], Meta(min_length=4, max_length=4)] | None = None
    size: Annotated[int, Meta(ge=1, le=1000)] | None = None
    exclude: Annotated[list[Id], Meta(max_length=10_000)] = []
    filter: dict[str, Condition] = {}
    boost: dict[str, Factors] = {}
    context: dict[str, str | int | float | None] = {}
    explain: bool = False
    reasons: bool = False
    deadline_ms: Annotated[float, Meta(gt=0)] | None = None


class Found(Item, kw_only=True, frozen=True, omit_defaults=True):
    """An item of a reply, and where its thumbnail is."""

    thumbnail: str


class SearchReply(RankReply, kw_only=True, frozen=True):
    """What a client gets: a list, and the id to be sent as what asked, with every event that the list leads to."""

    query: str
    items: list[Found]  # type: ignore[assignment]


def parse(data: Any) -> SearchRequest:
    """A request from JSON bytes, or from plain data.

    Raises:
        InputError: `bad-json`; `bad-request` naming the parameter.
    """
    try:
        if isinstance(data, bytes):
            return msgspec.json.decode(data, type=SearchRequest)
        return msgspec.convert(data, SearchRequest)
    except msgspec.ValidationError as error:
        raise InputError(invalid(str(error), known=SearchRequest.__struct_fields__)) from error
    except msgspec.DecodeError as error:
        raise InputError(Problem("bad-json", f"the body is not JSON: {error}", fix="send one JSON object")) from error


def search(desk: Desk, request: SearchRequest, *, log: bool = True) -> SearchReply:
    """The reply to a search.

    Args:
        desk: of a system whose items are pictures and which answers an item with items.
        request: as it came in.
        log: whether the reply is logged as served.

    Raises:
        InputError: `not-a-picture-search`, `bad-request`, `bad-box`, what decoding raises, and every bad parameter.
        NotFound: `unknown-picture`, also for one that may not be shown; `no-picture`.
        Unavailable: `no-release`.
    """
    start, kit, files = time.perf_counter(), desk.kit, searched(desk)
    picture = _picture(desk, request, kit, files)
    asker = str(request.id) if request.id is not None else named(request)
    options = {f: getattr(request, f) for f in SearchRequest.__struct_fields__ if f not in ("id", "picture", "box")}
    reply = desk.rank(RankRequest(user=asker, **options), log=log, picture=picture)
    found = {f: getattr(reply, f) for f in RankReply.__struct_fields__}
    found |= {"items": [_found(item, kit.system) for item in reply.items]}
    found["ms"] = round((time.perf_counter() - start) * 1000, 3)
    return SearchReply(query=asker, **found)


def searched(desk: Desk) -> PictureFiles:
    """The pictures that a system searches.

    Raises:
        InputError: `not-a-picture-search`.
    """
    if desk.pictures is None or not desk.system.alike:
        what = f"{desk.system.name} does not answer a picture with pictures"
        raise InputError(Problem("not-a-picture-search", what, "system", fix="use its rank route"))
    return desk.pictures


def shown(desk: Desk, item: Id) -> int:
    """The row of a picture that may be shown.

    Raises:
        NotFound: `unknown-picture`: there is none of this id, or policy hides it.
    """
    kit = desk.kit
    row = desk.row(str(item))
    query = Query("", "", row, kit.live.watermark, 1, 0.0)
    some = Candidates.of(np.array([row] if row >= 0 else [], np.int64))
    if not len(policy.admit(kit.system.pipeline.policy, some, query, kit, Trace())):
        raise NotFound(Problem("unknown-picture", f"there is no picture `{item}`", "id", fix="upload it first"))
    return row


def named(request: SearchRequest) -> str:
    """The id of a search for something that is no item: the same for the same picture and box."""
    return UPLOAD + hashlib.sha256(request.picture + str(request.box).encode()).hexdigest()[:32]


def _picture(desk: Desk, request: SearchRequest, kit: Kit, files: PictureFiles) -> Pixels | None:
    """What to look for; None for an item as a whole whose vector is known."""
    if (request.id is None) == (not request.picture):
        what, fix = "a search takes an id or a picture, one of them", 'send the picture, or {"id": ...}'
        raise InputError(Problem("bad-request", what, "id", fix=fix))
    if request.id is None:
        return _cut(files.gallery.decode(request.picture), request.box)
    row = shown(desk, request.id)
    if request.box is None and not np.isnan(kit.bundle.vectors.of(np.array([row]))).any():
        return None
    return _cut(files.gallery.pixels(files.file(row)), request.box)


def _cut(pixels: Pixels, box: list[float] | None) -> Pixels:
    from winnow.media.pictures import crop

    return pixels if box is None else crop(pixels, box)


def _found(item: Item, system: System) -> Found:
    facts = {name: getattr(item, name) for name in Item.__struct_fields__}
    return Found(**facts, thumbnail=f"/v1/systems/{quote(system.name)}/pictures?id={quote(item.id, safe='')}")
