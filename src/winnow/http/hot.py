"""The hot routes, without the framework between bytes and columns: events, table rows, rank."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from winnow.core.errors import InputError, Problem
from winnow.data.batch import Receipt
from winnow.http.errors import answer, json, request_id
from winnow.http.site import Site, site_of
from winnow.monitoring import metrics
from winnow.serving.request import parse


class Handler:
    """A route that reads the whole body and answers with JSON."""

    method, path = "POST", ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.handle(scope, await _body(receive))
        await response(scope, receive, send)

    async def handle(self, scope: Scope, body: bytes) -> Response:
        """The response to a body."""
        raise NotImplementedError


class Events(Handler):
    """`POST /v1/events`."""

    path = "/v1/events"

    async def handle(self, scope: Scope, body: bytes) -> Response:
        site, rows = site_of(scope), _objects(body, "events")
        return _receipt(scope, await site.writing(_append, site, rows))


class Rows(Handler):
    """`PUT /v1/tables/{name}`."""

    method, path = "PUT", "/v1/tables/{name}"

    async def handle(self, scope: Scope, body: bytes) -> Response:
        site, rows = site_of(scope), _objects(body, "rows")
        return _receipt(scope, await site.writing(site.project.intake.rows, scope["path_params"]["name"], rows))


class Rank(Handler):
    """`POST /v1/systems/{name}/rank`."""

    path = "/v1/systems/{name}/rank"

    async def handle(self, scope: Scope, body: bytes) -> Response:
        site, name = site_of(scope), scope["path_params"]["name"]
        site.runtime.desk(name)  # an unknown system comes before a mistake in the body
        reply = await site.ranking(site.runtime.answer, name, parse(body))
        metrics.RANK_SECONDS.labels(name).observe(reply.ms / 1000)
        return json(reply)


def routes() -> list[Route]:
    """The hot routes."""
    return [Route(handler.path, handler, methods=[handler.method]) for handler in (Events(), Rank(), Rows())]


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InputError(Problem("disconnected", "the client left before the body was complete", "body"))
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _objects(body: bytes, name: str) -> list[Any]:
    """The rows of a batch: a JSON list, or an object that holds it under `name`."""
    try:
        data = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        what, fix = f"the body is not JSON: {error}", f'send [...] or {{"{name}": [...]}}; NaN is not JSON, use null'
        raise InputError(Problem("bad-json", what, "body", fix=fix)) from error
    if isinstance(data, Mapping) and set(data) == {name}:
        data = data[name]
    if not isinstance(data, list):
        what = f"the body is {type(data).__name__}, not a list"
        raise InputError(Problem("not-a-batch", what, "body", fix=f'send [...] or {{"{name}": [...]}}'))
    return data


def _append(site: Site, rows: Sequence[Any]) -> Receipt:
    with metrics.timed(metrics.APPEND_SECONDS):
        receipt = site.project.intake.events(rows)
    outcomes = {"accepted": receipt.accepted, "duplicate": receipt.duplicates, "quarantined": receipt.quarantined}
    for outcome, count in outcomes.items():
        metrics.EVENTS.labels("all", outcome).inc(count)
    return receipt


def _receipt(scope: Scope, receipt: Receipt) -> Response:
    """The receipt; as an error when not one row was of use."""
    counts = {name: getattr(receipt, name) for name in ("accepted", "duplicates", "quarantined", "refused")}
    if receipt.problems and not receipt.accepted and not receipt.duplicates:
        return answer(InputError(*receipt.problems), request_id(scope), **counts)
    problems = [{"code": p.code, "message": p.what, "param": p.where, "fix": p.fix} for p in receipt.problems]
    return json(counts | {"problems": problems})
