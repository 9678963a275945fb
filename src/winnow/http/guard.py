"""The guard in front of every route: request id, key and role, size of the body, figures, the last net for errors."""

import logging
import re
import time
import uuid
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from winnow.core.errors import WinnowError
from winnow.http.errors import TooLarge, answer, unexpected
from winnow.http.keys import Keys
from winnow.http.limits import Limited, Limits
from winnow.http.roles import OPEN, demand
from winnow.monitoring import metrics

_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
_log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware.

    Args:
        app: what it guards.
        keys: None when the service asks for no keys.
        limits: of bodies.
    """

    def __init__(self, app: ASGIApp, *, keys: Keys | None, limits: Limits):
        self._app, self._keys, self._limits = app, keys, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, answered = time.perf_counter(), _Answered(send)
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _ID.fullmatch(given) else uuid.uuid4().hex
        answered.request_id = request_id
        scope.setdefault("state", {})["request_id"] = request_id
        try:
            scope["state"]["who"] = self._who(scope, headers)
            limited = answered.limited = Limited(receive, self._limits.of(scope))
            await limited.check(headers)
            await self._app(scope, limited, answered)
            if limited.refused and not answered.status:
                raise limited.refused
        except WinnowError as error:
            await answered.instead(answer(error, request_id), scope, receive)
        except Exception as error:
            await answered.instead(unexpected(error, request_id), scope, receive)
        finally:
            _count(scope, answered.status, time.perf_counter() - start)

    def _who(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        """Who asks, by their key, if that key may do so."""
        if self._keys is None or scope["path"] in OPEN:
            return "anybody"
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        found = self._keys.holder(bearer or headers.get(b"x-api-key", b"").decode("latin-1"))
        demand(found.name, found.roles, scope)
        return found.name


class _Answered:
    """`send` that remembers what was sent, so that an error is answered once."""

    def __init__(self, send: Send):
        self._send = send
        self.status, self.request_id = 0, ""
        self.limited: Limited | None = None

    async def __call__(self, message: Message) -> None:
        refused = self.limited is not None and self.limited.refused is not None
        if refused and TooLarge.status not in (self.status, message.get("status")):
            return  # the framework makes another error of one while it reads a body
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], (b"x-request-id", self.request_id.encode())]}
        await self._send(message)

    async def instead(self, response: Callable[..., object], scope: Scope, receive: Receive) -> None:
        """Sends a response unless one has begun."""
        if not self.status:
            await response(scope, receive, self)  # type: ignore[misc]


def _count(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", None) or getattr(scope.get("endpoint"), "path", "unknown")
    metrics.REQUESTS.labels(route, str(status or 499)).inc()
    metrics.REQUEST_SECONDS.labels(route).observe(seconds)
