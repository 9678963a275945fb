"""Routes in the shapes of other services, for clients of theirs."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from winnow.core.errors import WinnowError
from winnow.http.errors import json
from winnow.http.moderation.answering import answered, body_of
from winnow.moderation import bodies
from winnow.moderation.doors import Analyze, DoorError, Moderations, attributes, google_error
from winnow.moderation.moderation import Moderation

router = APIRouter()


@router.post("/v1alpha1/comments:analyze", openapi_extra=bodies.described(Analyze))
async def analyze(request: Request) -> Response:
    """Scores in the shape of Perspective's API."""
    try:
        sent = await body_of(request, Analyze)
        return await answered(request, lambda m: m.perspective.analyze(sent))
    except DoorError as error:
        return json(error.body, status=error.status)
    except WinnowError as error:
        return json(google_error(error), status=error.status)


@router.post("/v1/moderations", openapi_extra=bodies.described(Moderations))
async def moderations(request: Request) -> Response:
    """Scores in the shape of OpenAI's API."""
    sent = await body_of(request, Moderations)
    return await answered(request, lambda m: m.openai.moderate(sent))


@router.get("/v1/moderation/doors")
async def doors(request: Request) -> Response:
    """Which attributes and categories of other services are answered, and by which head."""

    def work(m: Moderation) -> dict[str, Any]:
        heads = m.judge.heads
        openai = {name: head for name, head in m.openai.mapped().items() if head in heads}
        return {"perspective": attributes(m.config.doors, heads), "openai": openai}

    return await answered(request, work)
