"""The guard in front of every route: request id, key, size of the body, figures, and the last net for errors."""

import logging
import re
import time
import uuid
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from winnow.core.errors import Problem, WinnowError
from winnow.http.errors import TooLarge, answer, unexpected
from winnow.http.keys import Keys
from winnow.monitoring import metrics

OPEN = frozenset({"/health/live", "/health/ready"})
_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
_DRAINED = 8  # times the limit that is read and thrown away, so that a client hears why it was refused
_log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware.

    Args:
        app: what it guards.
        keys: None when the service asks for no keys.
        limit: bytes of a body at most.
    """

    def __init__(self, app: ASGIApp, *, keys: Keys | None, limit: int):
        self._app, self._keys, self._limit = app, keys, limit

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
            scope["state"]["who"] = self._who(scope["path"], headers)
            await self._app(scope, await self._limited(headers, receive), answered)
        except WinnowError as error:
            await answered.instead(answer(error, request_id), scope, receive)
        except Exception as error:
            await answered.instead(unexpected(error, request_id), scope, receive)
        finally:
            _count(scope, answered.status, time.perf_counter() - start)

    def _who(self, path: str, headers: dict[bytes, bytes]) -> str:
        """Who asks, by their key."""
        if self._keys is None or path in OPEN:
            return "anybody"
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        return self._keys.holder(bearer or headers.get(b"x-api-key", b"").decode("latin-1"))

    async def _limited(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """`receive` that gives up on a body over the limit."""
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._limit:
            await _drain(receive, self._limit * _DRAINED)
            raise self._too_large()
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                await _drain(receive, self._limit * _DRAINED, message)
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> TooLarge:
        what = f"the body has more than {self._limit:,} bytes"
        return TooLarge(Problem("body-too-large", what, "body", fix="send smaller batches"))


class _Answered:
    """`send` that remembers what was sent, so that an error is answered once."""

    def __init__(self, send: Send):
        self._send = send
        self.status, self.request_id = 0, ""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], (b"x-request-id", self.request_id.encode())]}
        await self._send(message)

    async def instead(self, response: Callable[..., object], scope: Scope, receive: Receive) -> None:
        """Sends a response unless one has begun."""
        if not self.status:
            await response(scope, receive, self)  # type: ignore[misc]


async def _drain(receive: Receive, limit: int, message: Message | None = None) -> None:
    seen, more = 0, message is None or bool(message.get("more_body"))
    while more and seen < limit:
        message = await receive()
        seen += len(message.get("body", b""))
        more = bool(message.get("more_body"))


def _count(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", None) or getattr(scope.get("endpoint"), "path", "unknown")
    metrics.REQUESTS.labels(route, str(status or 499)).inc()
    metrics.REQUEST_SECONDS.labels(route).observe(seconds)
