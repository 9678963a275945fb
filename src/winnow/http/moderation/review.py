"""Routes about review: whose turn it is, verdicts, and how much harm there is."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from winnow.http.moderation.answering import answered, body_of, post_of, reviewer_of
from winnow.moderation import bodies
from winnow.moderation.likeness import shown
from winnow.moderation.moderation import Moderation
from winnow.moderation.prevalence import prevalence
from winnow.moderation.verdicts import counted
from winnow.monitoring import metrics

router = APIRouter()


@router.get("/v1/moderation/review")
async def queue(request: Request, reviewer: str = "") -> Response:
    """How much waits, and how well reviewers agree."""
    who = reviewer if request.state.who == "anybody" else request.state.who

    def work(m: Moderation) -> dict[str, Any]:
        found = asdict(counted(m.ledger))
        kappa = [{"reviewers": list(pair), "kappa": k, "posts": n} for pair, (k, n) in found["kappa"].items()]
        return m.review.counts(who) | {"agreement": found | {"kappa": kappa}}

    return await answered(request, work)


@router.post("/v1/moderation/review/next", openapi_extra=bodies.described(bodies.Who))
async def nextpost_of(request: Request) -> Response:
    """The post that the reviewer looks at next; its content comes by a route of its own, when it is asked for."""
    who = reviewer_of(request, (await body_of(request, bodies.Who)).reviewer)

    def work(m: Moderation) -> dict[str, Any]:
        item, counts = m.review.next(who), m.review.counts(who)
        metrics.REVIEW_WAITING.set(counts["waiting"])
        return {"item": item, "counts": counts}

    return await answered(request, work)


@router.post("/v1/moderation/review/{task}/content", openapi_extra=bodies.described(bodies.Who))
async def content(request: Request, task: str) -> Response:
    """The text of a post that the reviewer holds, and its image made anew as a JPEG, in base64."""
    who = reviewer_of(request, (await body_of(request, bodies.Who)).reviewer)

    def work(m: Moderation) -> dict[str, Any]:
        text, image = m.review.content(task, reviewer=who)
        seen = shown(image) if image else None
        return {"text": text, "image": seen, "unshown": image is not None and seen is None}

    return await answered(request, work)


@router.post("/v1/moderation/review/{task}/verdict", openapi_extra=bodies.described(bodies.Finding))
async def verdict(request: Request, task: str) -> Response:
    """What the reviewer found."""
    sent = await body_of(request, bodies.Finding)
    who = reviewer_of(request, sent.reviewer)
    return await answered(request, lambda m: m.review.verdict(task, sent.heads, reviewer=who))


@router.post("/v1/moderation/review/{task}/skip", openapi_extra=bodies.described(bodies.Who))
async def skip(request: Request, task: str) -> Response:
    """Gives a post to somebody else."""
    who = reviewer_of(request, (await body_of(request, bodies.Who)).reviewer)

    def work(m: Moderation) -> dict[str, Any]:
        m.review.skip(task, reviewer=who)
        return {"task": task}

    return await answered(request, work)


@router.post("/v1/moderation/review/undo", openapi_extra=bodies.described(bodies.Undo))
async def undo(request: Request) -> Response:
    """Takes a verdict back, with all that came of it."""
    sent = await body_of(request, bodies.Undo)
    who = reviewer_of(request, sent.reviewer)
    return await answered(request, lambda m: m.review.undo(sent.verdict, reviewer=who))


@router.post("/v1/moderation/review/golden", openapi_extra=bodies.described(bodies.Golden))
async def golden(request: Request) -> Response:
    """Puts a post with a known answer among the others."""
    sent, who = await body_of(request, bodies.Golden), request.state.who
    return await answered(request, lambda m: {"task": m.add_golden(post_of(m, sent.post), sent.truth, who=who)})


@router.get("/v1/moderation/prevalence")
async def how_much(request: Request, since: Annotated[int, Query(ge=0)] = 0) -> Response:
    """How much of each harm there is, from a random sample of everything, with its interval."""

    def work(m: Moderation) -> dict[str, Any]:
        return {"items": [asdict(prevalence(m.ledger, h, since=since)) for h in m.book.in_force().policy.harms]}

    return await answered(request, work)
