"""Routes about content: decide, policies, appeals, review, prevalence, and the doors for clients of other services.

What a post holds never gets into an error or a log: bodies are checked here rather than by the framework, which quotes
what it does not like, and what fails unexpectedly is logged by the places in the code that it went through.
"""

import logging
import math
import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from winnow.core.errors import Conflict, InputError, Problem, WinnowError
from winnow.http.errors import json
from winnow.http.site import site_of
from winnow.moderation import bodies
from winnow.moderation.addresses import Fetcher
from winnow.moderation.chain import Head
from winnow.moderation.deciding import listed, strikes, told
from winnow.moderation.doors import Analyze, DoorError, Moderations, attributes, google_error
from winnow.moderation.labels import reviewed
from winnow.moderation.likeness import shown
from winnow.moderation.moderation import Moderation
from winnow.moderation.parsing import parse, parse_toml
from winnow.moderation.post import Post
from winnow.moderation.prevalence import prevalence
from winnow.moderation.targets import Sample
from winnow.moderation.verdicts import counted
from winnow.monitoring import metrics

router = APIRouter(tags=["moderation"])
_log = logging.getLogger(__name__)
_opening = Lock()
_SAFE = re.compile(r"(Expected `[^`]*`(?:, got `[^`]*`)?|Object missing required field `[^`]*`)(?: - at `\$\.?(.*)`)?")
T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most")]
Before = Annotated[int, Query(ge=0, description="only records before this one; 0 for the newest")]


class Failure(WinnowError):
    """A fault of ours."""

    status = 500


# Decisions


@router.post("/v1/moderation/decisions", openapi_extra=bodies.described(bodies.SentPost))
async def decide(request: Request) -> Response:
    """Decides about one post and records it; sending it again under its request id changes nothing."""
    sent = await _body(request, bodies.SentPost)
    return await _answered(request, lambda m: _decided(m, [sent])[0])


@router.post("/v1/moderation/decisions/batch", openapi_extra=bodies.described(bodies.Batch))
async def decide_many(request: Request) -> Response:
    """Decides about up to 1,000 posts, all of them or none."""
    sent = await _body(request, bodies.Batch)
    return await _answered(request, lambda m: {"items": _decided(m, sent.posts)})


@router.get("/v1/moderation/decisions")
async def decisions(
    request: Request, limit: Limit = 100, before: Before = 0, author: str = "", action: str = ""
) -> Response:
    """Decisions, newest first: what was decided and what holds now."""

    def work(m: Moderation) -> dict[str, Any]:
        found = listed(m.ledger, before=before, limit=limit, author=author, action=action)
        extra = {"strikes": strikes(m.ledger, author)} if author else {}
        return {"items": found, "next": found[-1]["seq"] if len(found) == limit else None} | extra

    return await _answered(request, work)


@router.get("/v1/moderation/decisions/{decision}")
async def decision(request: Request, decision: str) -> Response:
    """Everything about one decision: as it was made, what became of it, and why."""
    return await _answered(request, lambda m: told(m.ledger, decision))


@router.get("/v1/moderation/verify")
async def verify(request: Request, seq: Annotated[int, Query(ge=0)] = 0, hash: str = "") -> Response:
    """Whether the log is as it was written; with `seq` and `hash` of a reply, whether it still holds that record."""
    outside = Head(seq, hash) if seq else None
    return await _answered(request, lambda m: asdict(m.ledger.verify(outside=outside)))


@router.put("/v1/moderation/known", openapi_extra=bodies.described(bodies.KnownContent))
async def add_known(request: Request) -> Response:
    """Makes content known by its SHA-256."""
    sent, who = await _body(request, bodies.KnownContent), request.state.who

    def work(m: Moderation) -> dict[str, Any]:
        m.add_known(sent.key, sent.harm, who=who, why=sent.why)
        return {"key": sent.key, "harm": sent.harm}

    return await _answered(request, work)


@router.delete("/v1/moderation/known/{key}")
async def drop_known(request: Request, key: str, why: str = "") -> Response:
    """Makes content unknown again."""
    who = request.state.who

    def work(m: Moderation) -> dict[str, Any]:
        m.known.withdraw(key, who=who, why=why)
        return {"key": key}

    return await _answered(request, work)


# Policies


@router.get("/v1/moderation/policies")
async def policies(request: Request) -> Response:
    """All versions of the policy, newest first."""
    return await _answered(request, lambda m: {"items": [v.to_data() for v in m.book.versions()]})


@router.put("/v1/moderation/policies", openapi_extra=bodies.described(bodies.SentPolicy))
async def put_policy(request: Request) -> Response:
    """Stores a version; it is not in force before it was previewed and activated."""
    sent, who = await _body(request, bodies.SentPolicy), request.state.who

    def work(m: Moderation) -> dict[str, Any]:
        policy = parse_toml(sent.toml, file="toml") if sent.toml else parse(sent.policy)
        return m.book.put(policy, who=who, why=sent.why, samples=_samples(m, sent)).to_data()

    return await _answered(request, work)


@router.post("/v1/moderation/policies/{version}/preview")
async def preview(request: Request, version: int, since: Annotated[int, Query(ge=0)] = 0) -> Response:
    """What a version would have done with past posts, and what that changes."""
    who = request.state.who
    return await _answered(request, lambda m: asdict(m.book.preview(version, who=who, since=since)))


@router.post("/v1/moderation/policies/{version}/activate", openapi_extra=bodies.described(bodies.Why))
async def activate(request: Request, version: int) -> Response:
    """Puts a previewed version in force."""
    sent, who = await _body(request, bodies.Why), request.state.who
    return await _answered(request, lambda m: m.activate(version, who=who, why=sent.why, force=sent.force).to_data())


# Appeals


@router.post("/v1/moderation/appeals", openapi_extra=bodies.described(bodies.SentAppeal))
async def appeal(request: Request) -> Response:
    """Opens an appeal against a decision."""
    sent = await _body(request, bodies.SentAppeal)

    def work(m: Moderation) -> dict[str, Any]:
        post = _post(m, sent.post) if sent.post else None
        return m.appeals.open(sent.decision, statement=sent.statement, post=post)

    return await _answered(request, work)


@router.get("/v1/moderation/appeals")
async def appeals(request: Request, state: str = "open", limit: Limit = 100) -> Response:
    """Appeals in a state, oldest first."""
    return await _answered(request, lambda m: {"items": m.appeals.listed(state=state, limit=limit)})


@router.post("/v1/moderation/appeals/{appeal}/decide", openapi_extra=bodies.described(bodies.Outcome))
async def decide_appeal(request: Request, appeal: str) -> Response:
    """Decides an appeal; whoever had a part in the decision may not."""
    sent = await _body(request, bodies.Outcome)
    who = _reviewer(request, sent.reviewer)

    def work(m: Moderation) -> Any:
        done = m.appeals.decide(appeal, sent.outcome, reviewer=who, why=sent.why, source_too=sent.source_too)
        metrics.APPEALS.labels(sent.outcome).inc()
        return done

    return await _answered(request, work)


# Review


@router.get("/v1/moderation/review")
async def queue(request: Request, reviewer: str = "") -> Response:
    """How much waits, and how well reviewers agree."""
    who = reviewer if request.state.who == "anybody" else request.state.who

    def work(m: Moderation) -> dict[str, Any]:
        found = asdict(counted(m.ledger))
        kappa = [{"reviewers": list(pair), "kappa": k, "posts": n} for pair, (k, n) in found["kappa"].items()]
        return m.review.counts(who) | {"agreement": found | {"kappa": kappa}}

    return await _answered(request, work)


@router.post("/v1/moderation/review/next", openapi_extra=bodies.described(bodies.Who))
async def next_post(request: Request) -> Response:
    """The post that the reviewer looks at next; its content comes by a route of its own, when it is asked for."""
    who = _reviewer(request, (await _body(request, bodies.Who)).reviewer)

    def work(m: Moderation) -> dict[str, Any]:
        item, counts = m.review.next(who), m.review.counts(who)
        metrics.REVIEW_WAITING.set(counts["waiting"])
        return {"item": item, "counts": counts}

    return await _answered(request, work)


@router.post("/v1/moderation/review/{task}/content", openapi_extra=bodies.described(bodies.Who))
async def content(request: Request, task: str) -> Response:
    """The text of a post that the reviewer holds, and its image made anew as a JPEG, in base64."""
    who = _reviewer(request, (await _body(request, bodies.Who)).reviewer)

    def work(m: Moderation) -> dict[str, Any]:
        text, image = m.review.content(task, reviewer=who)
        seen = shown(image) if image else None
        return {"text": text, "image": seen, "unshown": image is not None and seen is None}

    return await _answered(request, work)


@router.post("/v1/moderation/review/{task}/verdict", openapi_extra=bodies.described(bodies.Finding))
async def verdict(request: Request, task: str) -> Response:
    """What the reviewer found."""
    sent = await _body(request, bodies.Finding)
    who = _reviewer(request, sent.reviewer)
    return await _answered(request, lambda m: m.review.verdict(task, sent.heads, reviewer=who))


@router.post("/v1/moderation/review/{task}/skip", openapi_extra=bodies.described(bodies.Who))
async def skip(request: Request, task: str) -> Response:
    """Gives a post to somebody else."""
    who = _reviewer(request, (await _body(request, bodies.Who)).reviewer)

    def work(m: Moderation) -> dict[str, Any]:
        m.review.skip(task, reviewer=who)
        return {"task": task}

    return await _answered(request, work)


@router.post("/v1/moderation/review/undo", openapi_extra=bodies.described(bodies.Undo))
async def undo(request: Request) -> Response:
    """Takes a verdict back, with all that came of it."""
    sent = await _body(request, bodies.Undo)
    who = _reviewer(request, sent.reviewer)
    return await _answered(request, lambda m: m.review.undo(sent.verdict, reviewer=who))


@router.post("/v1/moderation/review/golden", openapi_extra=bodies.described(bodies.Golden))
async def golden(request: Request) -> Response:
    """Puts a post with a known answer among the others."""
    sent, who = await _body(request, bodies.Golden), request.state.who
    return await _answered(request, lambda m: {"task": m.add_golden(_post(m, sent.post), sent.truth, who=who)})


@router.get("/v1/moderation/prevalence")
async def how_much(request: Request, since: Annotated[int, Query(ge=0)] = 0) -> Response:
    """How much of each harm there is, from a random sample of everything, with its interval."""

    def work(m: Moderation) -> dict[str, Any]:
        return {"items": [asdict(prevalence(m.ledger, h, since=since)) for h in m.book.in_force().policy.harms]}

    return await _answered(request, work)


# Doors


@router.post("/v1alpha1/comments:analyze", openapi_extra=bodies.described(Analyze))
async def analyze(request: Request) -> Response:
    """Scores in the shape of Perspective's API."""
    try:
        sent = await _body(request, Analyze)
        return await _answered(request, lambda m: m.perspective.analyze(sent))
    except DoorError as error:
        return json(error.body, status=error.status)
    except WinnowError as error:
        return json(google_error(error), status=error.status)


@router.post("/v1/moderations", openapi_extra=bodies.described(Moderations))
async def moderations(request: Request) -> Response:
    """Scores in the shape of OpenAI's API."""
    sent = await _body(request, Moderations)
    return await _answered(request, lambda m: m.openai.moderate(sent))


@router.get("/v1/moderation/doors")
async def doors(request: Request) -> Response:
    """Which attributes and categories of other services are answered, and by which head."""

    def work(m: Moderation) -> dict[str, Any]:
        heads = m.judge.heads
        openai = {name: head for name, head in m.openai.mapped().items() if head in heads}
        return {"perspective": attributes(m.config.doors, heads), "openai": openai}

    return await _answered(request, work)


# What they share


def moderation_of(request: Request) -> Moderation:
    """The moderation of the project that is served, opened on first use."""
    state = request.app.state
    with _opening:
        if not hasattr(state, "moderation"):
            state.moderation = Moderation(Path(site_of(request.scope).project.folder))
    found: Moderation = state.moderation
    return found


async def _answered(request: Request, work: Callable[[Moderation], Any]) -> Response:
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


async def _body(request: Request, kind: type[T]) -> T:
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


def _decided(moderation: Moderation, sent: Sequence[bodies.SentPost]) -> list[dict[str, Any]]:
    replies = moderation.decide([_post(moderation, one) for one in sent])
    for reply in replies:
        metrics.DECISIONS.labels(reply["action"], reply["harm"]).inc()
        for harm in reply["not_evaluated"]:
            metrics.UNJUDGED.labels(harm).inc()
    return replies


def _post(moderation: Moderation, sent: bodies.SentPost) -> Post:
    """The post itself, with its image fetched if it was named by address."""
    fields = {name: getattr(sent, name) for name in Post.__struct_fields__}
    if sent.image_url:
        fields["image"] = Fetcher(moderation.config.addresses).get(sent.image_url)
    return Post(**fields)


def _samples(moderation: Moderation, sent: bodies.SentPolicy) -> dict[str, Sample] | None:
    if sent.reviewed:
        return reviewed(moderation.ledger)
    return None if sent.samples is None else {h: Sample(s.probability, s.label) for h, s in sent.samples.items()}


def _reviewer(request: Request, given: str) -> str:
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
