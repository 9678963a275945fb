"""A search: by text, by picture, by a part of one, or by an item of the collection."""

import hashlib
import math
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
from winnow.serving.clips import moments
from winnow.serving.desk import Desk
from winnow.serving.hydrate import hydrate
from winnow.serving.kit import Kit
from winnow.serving.pictures import PictureFiles
from winnow.serving.query import Query
from winnow.serving.request import Condition, Factors, Id, Item, RankReply, RankRequest, invalid
from winnow.serving.search_text import (
    LONGEST,
    Cause,
    Correction,
    Understood,
    asked_as,
    by_text,
    causes,
    named,
    ranked,
    understood,
)  # fmt: skip
from winnow.serving.trace import Trace

Pixels = NDArray[np.uint8]
_ASKED = ("text", "language", "correct", "remember", "id", "picture", "box")
UPLOAD = "upload-"  # begins the id of what was searched for and is no item


class SearchRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a client may ask for: one of `text`, `id` and `picture`, and what the other options of a rank request are.

    Args:
        text: words; "phrases in quotation marks" must stand as they are, -words must not be there.
        language: of the text, such as `en`; items are stemmed each in its own language, the text in this one.
        correct: whether words that no item has are corrected by those that items have.
        remember: whether the text and the reply may be logged; what is not logged teaches nothing.
        id: of an item of the collection.
        picture: a JPEG, PNG, WebP, GIF or BMP file; base64 in JSON.
        box: the part to look for: left, top, right, bottom as shares of the picture, 0 to 1.
        size, exclude, filter, boost, context, explain, reasons, deadline_ms: as in a rank request.
    """

    text: Annotated[str, Meta(max_length=LONGEST)] = ""
    language: Annotated[str, Meta(max_length=16)] = ""
    correct: bool = True
    remember: bool = True
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
    """An item of a reply, where its thumbnail is, and, of a video, the second that fits best."""

    thumbnail: str = ""
    moment_s: float | None = None


class SearchReply(RankReply, kw_only=True, frozen=True):
    """What a client gets: a list, and the id to be sent as what asked, with every event that the list leads to.

    Args:
        query: that id; of a text it is made from its words.
        text: what was searched for.
        corrected: words that were replaced; send `correct: false` to search for what was typed.
        unknown: words that no item has.
        why_empty: when nothing was found, which word or filter left nothing over, and what to do.
    """

    query: str
    text: str = ""
    corrected: tuple[Correction, ...] = ()
    unknown: tuple[str, ...] = ()
    why_empty: tuple[Cause, ...] = ()
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
        desk: of a system that is asked by text, or whose items are pictures and which answers an item with items.
        request: as it came in.
        log: whether the reply is logged as served.

    Raises:
        InputError: `not-a-picture-search`, `not-a-text-search`, `empty-text`, `bad-request`, `bad-box`, what decoding
            raises, and every bad parameter.
        NotFound: `unknown-picture`, also for one that may not be shown; `no-picture`.
        Unavailable: `no-release`.
    """
    start, log = time.perf_counter(), log and request.remember
    options = {f: getattr(request, f) for f in SearchRequest.__struct_fields__ if f not in _ASKED}
    by = _by_text if _is_text(desk, request) else _by_picture
    found = by(desk, request, options, log=log)
    return msgspec.structs.replace(found, ms=round((time.perf_counter() - start) * 1000, 3))


def searchable(desk: Desk) -> None:
    """Refuses a system that is searched neither by text nor by picture.

    Raises:
        InputError: `not-a-search`.
    """
    if not by_text(desk.system) and not (desk.pictures is not None and desk.system.alike):
        what = f"{desk.system.name} is searched neither by text nor by picture"
        raise InputError(Problem("not-a-search", what, "system", fix="use its rank route"))


def _is_text(desk: Desk, request: SearchRequest) -> bool:
    searchable(desk)
    if request.text and (request.id is not None or request.picture):
        what, fix = "a search takes a text, an id or a picture, one of them", 'send {"text": ...}'
        raise InputError(Problem("bad-request", what, "text", fix=fix))
    return bool(request.text) or (by_text(desk.system) and request.id is None and not request.picture)


def _by_text(desk: Desk, request: SearchRequest, options: dict[str, Any], *, log: bool) -> SearchReply:
    meant = understood(desk, request.text, language=request.language, correct=request.correct)
    reply = ranked(desk, meant, log=log, **options)
    why = () if reply.items else causes(desk, meant, options)
    found = _answer(desk, reply, named(meant.text, meant.language), text=meant.text, corrected=meant.corrected,
                   unknown=meant.unknown, why_empty=why)  # fmt: skip
    return msgspec.structs.replace(found, items=_with_moments(desk, meant, options, found.items))


def _with_moments(desk: Desk, meant: Understood, options: dict[str, Any], items: list[Found]) -> list[Found]:
    """The items with the second that fits best, and the picture of it, where they are videos that we hold."""
    if desk.clips is None or not items:
        return items
    rows = desk.ids.rows(desk.system.labels.item.name, [item.id for item in items])
    if not desk.clips.held(rows).any():
        return items
    at = moments(desk.clips, rows, hydrate(asked_as(desk, meant, options), desk.kit, desk.ids), desk.kit)
    return [_with_moment(desk, *pair) for pair in zip(items, at.tolist(), strict=True)]


def _with_moment(desk: Desk, item: Found, at: float) -> Found:
    if math.isnan(at):
        return item
    place = f"/v1/systems/{quote(desk.system.name)}/videos?id={quote(item.id, safe='')}&at={at:.3f}"
    return msgspec.structs.replace(item, moment_s=round(at, 3), thumbnail=place)


def _by_picture(desk: Desk, request: SearchRequest, options: dict[str, Any], *, log: bool) -> SearchReply:
    picture = _picture(desk, request, desk.kit, searched(desk))
    asked = str(request.id) if request.id is not None else picture_named(request)
    return _answer(desk, desk.rank(RankRequest(user=asked, **options), log=log, picture=picture), asked)


def _answer(desk: Desk, reply: RankReply, asked: str, **more: Any) -> SearchReply:
    facts = {f: getattr(reply, f) for f in RankReply.__struct_fields__}
    facts["items"] = [_found(item, desk.system) for item in reply.items]
    return SearchReply(query=asked, **facts, **more)


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


def picture_named(request: SearchRequest) -> str:
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
    if not system.picture:
        return Found(**facts)
    return Found(**facts, thumbnail=f"/v1/systems/{quote(system.name)}/pictures?id={quote(item.id, safe='')}")
