"""Routes about decisions: deciding about posts, what was decided, and content that is known."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from winnow.http.moderation.answering import Limit, answered, body_of, post_of
from winnow.moderation import bodies
from winnow.moderation.chain import Head
from winnow.moderation.deciding import listed, strikes, told
from winnow.moderation.moderation import Moderation
from winnow.monitoring import metrics

router = APIRouter()
Before = Annotated[int, Query(ge=0, description="only records before this one; 0 for the newest")]


@router.post("/v1/moderation/decisions", openapi_extra=bodies.described(bodies.SentPost))
async def decide(request: Request) -> Response:
    """Decides about one post and records it; sending it again under its request id changes nothing."""
    sent = await body_of(request, bodies.SentPost)
    return await answered(request, lambda m: _decided(m, [sent])[0])


@router.post("/v1/moderation/decisions/batch", openapi_extra=bodies.described(bodies.Batch))
async def decide_many(request: Request) -> Response:
    """Decides about up to 1,000 posts, all of them or none."""
    sent = await body_of(request, bodies.Batch)
    return await answered(request, lambda m: {"items": _decided(m, sent.posts)})


@router.get("/v1/moderation/decisions")
async def decisions(
    request: Request, limit: Limit = 100, before: Before = 0, author: str = "", action: str = ""
) -> Response:
    """Decisions, newest first: what was decided and what holds now."""

    def work(m: Moderation) -> dict[str, Any]:
        found = listed(m.ledger, before=before, limit=limit, author=author, action=action)
        extra = {"strikes": strikes(m.ledger, author)} if author else {}
        return {"items": found, "next": found[-1]["seq"] if len(found) == limit else None} | extra

    return await answered(request, work)


@router.get("/v1/moderation/decisions/{decision}")
async def decision(request: Request, decision: str) -> Response:
    """Everything about one decision: as it was made, what became of it, and why."""
    return await answered(request, lambda m: told(m.ledger, decision))


@router.get("/v1/moderation/verify")
async def verify(request: Request, seq: Annotated[int, Query(ge=0)] = 0, hash: str = "") -> Response:
    """Whether the log is as it was written; with `seq` and `hash` of a reply, whether it still holds that record."""
    outside = Head(seq, hash) if seq else None
    return await answered(request, lambda m: asdict(m.ledger.verify(outside=outside)))


@router.put("/v1/moderation/known", openapi_extra=bodies.described(bodies.KnownContent))
async def add_known(request: Request) -> Response:
    """Makes content known by its SHA-256."""
    sent, who = await body_of(request, bodies.KnownContent), request.state.who

    def work(m: Moderation) -> dict[str, Any]:
        m.add_known(sent.key, sent.harm, who=who, why=sent.why)
        return {"key": sent.key, "harm": sent.harm}

    return await answered(request, work)


@router.delete("/v1/moderation/known/{key}")
async def drop_known(request: Request, key: str, why: str = "") -> Response:
    """Makes content unknown again."""
    who = request.state.who

    def work(m: Moderation) -> dict[str, Any]:
        m.known.withdraw(key, who=who, why=why)
        return {"key": key}

    return await answered(request, work)


def _decided(moderation: Moderation, sent: Sequence[bodies.SentPost]) -> list[dict[str, Any]]:
    replies = moderation.decide([post_of(moderation, one) for one in sent])
    for reply in replies:
        metrics.DECISIONS.labels(reply["action"], reply["harm"]).inc()
        for harm in reply["not_evaluated"]:
            metrics.UNJUDGED.labels(harm).inc()
    return replies
