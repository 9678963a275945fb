"""How routes about content read bodies and answer.

What a post holds never gets into an error or a log: bodies are checked here rather than by the framework, which quotes
what it does not like, and what fails unexpectedly is logged by the places in the code that it went through.
"""

import logging
import math
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from winnow.core.errors import Conflict, InputError, Problem, WinnowError
from winnow.http.errors import json
from winnow.http.site import site_of
from winnow.moderation import bodies
from winnow.moderation.addresses import Fetcher
from winnow.moderation.moderation import Moderation
from winnow.moderation.post import Post
from winnow.project.moderating import opened

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most")]
_opening = Lock()
_SAFE = re.compile(r"(Expected `[^`]*`(?:, got `[^`]*`)?|Object missing required field `[^`]*`)(?: - at `\$\.?(.*)`)?")
_log = logging.getLogger(__name__)


class Failure(WinnowError):
    """A fault of ours."""

    status = 500


def moderation_of(request: Request) -> Moderation:
    """The moderation of the project that is served, opened on first use."""
    state = request.app.state
    with _opening:
        if not hasattr(state, "moderation"):
            site = site_of(request.scope)
            state.moderation = opened(site.project, site.runtime)
    found: Moderation = state.moderation
    return found


async def answered(request: Request, work: Callable[[Moderation], Any]) -> Response:
    """The result of work in a thread as JSON; what fails unexpectedly is told without its message."""
    try:
        return json(_finite(await run_in_threadpool(lambda: work(moderation_of(request)))))
    except WinnowError:
        raise
    except Exception as error:
        # Its message, and the values in its frames, may hold what somebody wrote.
        places = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
        _log.error("request %s failed: %s at %s", request.state.request_id, type(error).__name__, " ".join(places))
        fix = "try again; if it stays, look for the request id in the server's log"
        raise Failure(Problem("moderation-failed", "the server failed", fix=fix)) from None


async def body_of(request: Request, kind: type[T]) -> T:
    """The body as a struct; mistakes are told by field, never by what they hold."""
    try:
        return msgspec.json.decode(await request.body() or b"{}", type=kind)
    except msgspec.ValidationError as error:
        match = _SAFE.fullmatch(str(error))
        what, where = (match[1], match[2] or "body") if match else ("the body has a field or value too many", "body")
        fix = f"fields: {', '.join(f.encode_name for f in msgspec.structs.fields(kind))}"  # type: ignore[arg-type]
        raise InputError(Problem("bad-body", what, where, fix=fix)) from None
    except msgspec.DecodeError:
        raise InputError(Problem("bad-json", "the body is not JSON", "body", fix="send JSON in UTF-8")) from None


def post_of(moderation: Moderation, sent: bodies.SentPost) -> Post:
    """The post itself, with its image fetched if it was named by address."""
    fields = {name: getattr(sent, name) for name in Post.__struct_fields__}
    if sent.image_url:
        fields["image"] = Fetcher(moderation.config.addresses).get(sent.image_url)
    return Post(**fields)


def reviewer_of(request: Request, given: str) -> str:
    """Who reviews: the holder of the key, or the name given to a service without keys."""
    who = str(request.state.who)
    if who != "anybody":
        if given not in ("", who):
            why = "a second look must be somebody else's"
            raise Conflict(
                Problem("not-your-name", "the key belongs to somebody else", "reviewer", why, "leave it out")
            )
        return who
    if not given or len(given) > 200 or not given.isprintable():
        raise InputError(Problem("no-reviewer", "nobody says who reviews", "reviewer", fix="send your name"))
    return given


def _finite(data: Any) -> Any:
    """The same data with null for numbers that JSON does not have."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data
