"""The route that searches, by text or by picture."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from winnow.core.errors import InputError, Problem
from winnow.http.errors import json
from winnow.http.site import site_of
from winnow.monitoring import metrics
from winnow.serving.search import SearchRequest, parse, searchable

router = APIRouter(tags=["pictures"])
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object", "description": "`text`, `id`, or `picture`; options"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}  # fmt: skip


@router.post("/v1/systems/{name}/search", openapi_extra=_BODY)
async def search(request: Request, name: str) -> Response:
    """What is found for a text (JSON with `text`), what looks like an item (`id`) or like a picture: the body, with its
    options in the query."""
    site = site_of(request.scope)
    searchable(site.runtime.desk(name))  # an unknown system comes before a mistake in the body
    reply = await site.ranking(site.runtime.search, name, wanted(request, await request.body()))
    metrics.RANK_SECONDS.labels(name).observe(reply.ms / 1000)
    return json(reply)


def wanted(request: Request, body: bytes) -> SearchRequest:
    """The search behind a request: JSON, or a picture with its options in the query string.

    Raises:
        InputError: `bad-json`; `bad-request` naming the parameter.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        return parse(body)
    options = {name: _value(text) for name, text in request.query_params.items()}
    if not body and not {"id", "text"} & options.keys():
        fix = "send JSON with a text or an id, or a picture"
        raise InputError(Problem("bad-request", "the body is empty", "body", fix=fix))
    return parse(options | ({"picture": body} if body else {}))


def _value(text: str) -> Any:
    """`5`, `[0, 0, 0.5, 1]` and `{"kind": "shirt"}` as what they say; anything else is text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
