"""Routes about appeals."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from winnow.http.moderation.answering import Limit, answered, body_of, post_of, reviewer_of
from winnow.moderation import bodies
from winnow.moderation.likeness import shown
from winnow.moderation.moderation import Moderation
from winnow.monitoring import metrics

router = APIRouter()


@router.post("/v1/moderation/appeals", openapi_extra=bodies.described(bodies.SentAppeal))
async def appeal(request: Request) -> Response:
    """Opens an appeal against a decision."""
    sent = await body_of(request, bodies.SentAppeal)

    def work(m: Moderation) -> dict[str, Any]:
        post = post_of(m, sent.post) if sent.post else None
        return m.appeals.open(sent.decision, statement=sent.statement, post=post)

    return await answered(request, work)


@router.get("/v1/moderation/appeals")
async def appeals(request: Request, state: str = "open", limit: Limit = 100, reviewer: str = "") -> Response:
    """Appeals in a state, oldest first, and whether whoever asks may decide them."""
    who = reviewer if request.state.who == "anybody" else request.state.who
    return await answered(request, lambda m: {"items": m.appeals.listed(state=state, limit=limit, reviewer=who)})


@router.get("/v1/moderation/decisions/{decision}/notice")
async def notice(request: Request, decision: str) -> Response:
    """What the author of a post may know about a decision, and whether an appeal is possible."""

    def work(m: Moderation) -> dict[str, Any]:
        reasons = {name: harm.reason for name, harm in m.book.in_force().policy.harms.items()}
        return m.appeals.notice(decision, reasons=reasons)

    return await answered(request, work)


@router.post("/v1/moderation/appeals/{appeal}/content", openapi_extra=bodies.described(bodies.Who))
async def content(request: Request, appeal: str) -> Response:
    """The post and the statement of an open appeal, for somebody who may decide it."""
    who = reviewer_of(request, (await body_of(request, bodies.Who)).reviewer)

    def work(m: Moderation) -> dict[str, Any]:
        case = m.appeals.case(appeal, reviewer=who)
        seen = shown(case.image) if case.image else None
        found = {"text": case.text, "image": seen, "unshown": case.image is not None and seen is None}
        return found | {"statement": case.statement, "kept": case.text is not None}

    return await answered(request, work)


@router.post("/v1/moderation/appeals/{appeal}/decide", openapi_extra=bodies.described(bodies.Outcome))
async def decide_appeal(request: Request, appeal: str) -> Response:
    """Decides an appeal; whoever had a part in the decision may not."""
    sent = await body_of(request, bodies.Outcome)
    who = reviewer_of(request, sent.reviewer)

    def work(m: Moderation) -> Any:
        done = m.appeals.decide(appeal, sent.outcome, reviewer=who, why=sent.why, source_too=sent.source_too)
        metrics.APPEALS.labels(sent.outcome).inc()
        return done

    return await answered(request, work)
