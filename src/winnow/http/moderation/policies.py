"""Routes about policies: versions, previews, and which one is in force."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from winnow.http.moderation.answering import answered, body_of
from winnow.moderation import bodies
from winnow.moderation.labels import reviewed
from winnow.moderation.moderation import Moderation
from winnow.moderation.parsing import parse, parse_toml
from winnow.moderation.targets import Sample

router = APIRouter()


@router.get("/v1/moderation/policies")
async def policies(request: Request) -> Response:
    """All versions of the policy, newest first."""
    return await answered(request, lambda m: {"items": [v.to_data() for v in m.book.versions()]})


@router.put("/v1/moderation/policies", openapi_extra=bodies.described(bodies.SentPolicy))
async def put_policy(request: Request) -> Response:
    """Stores a version; it is not in force before it was previewed and activated."""
    sent, who = await body_of(request, bodies.SentPolicy), request.state.who

    def work(m: Moderation) -> dict[str, Any]:
        policy = parse_toml(sent.toml, file="toml") if sent.toml else parse(sent.policy)
        return m.book.put(policy, who=who, why=sent.why, samples=_samples(m, sent)).to_data()

    return await answered(request, work)


@router.post("/v1/moderation/policies/{version}/preview")
async def preview(request: Request, version: int, since: Annotated[int, Query(ge=0)] = 0) -> Response:
    """What a version would have done with past posts, and what that changes."""
    who = request.state.who
    return await answered(request, lambda m: asdict(m.book.preview(version, who=who, since=since)))


@router.post("/v1/moderation/policies/{version}/activate", openapi_extra=bodies.described(bodies.Why))
async def activate(request: Request, version: int) -> Response:
    """Puts a previewed version in force."""
    sent, who = await body_of(request, bodies.Why), request.state.who
    return await answered(request, lambda m: m.activate(version, who=who, why=sent.why, force=sent.force).to_data())


def _samples(moderation: Moderation, sent: bodies.SentPolicy) -> dict[str, Sample] | None:
    if sent.reviewed:
        return reviewed(moderation.ledger)
    return None if sent.samples is None else {h: Sample(s.probability, s.label) for h, s in sent.samples.items()}
