"""How large a body may be. A larger one is refused while it arrives: no more of it is ever held than its limit."""

from dataclasses import dataclass

from starlette.routing import compile_path
from starlette.types import Message, Receive, Scope

from winnow.core.errors import Problem
from winnow.http.errors import TooLarge

_PICTURES = [
    ("POST", "/v1/systems/{name}/search"),
    ("PUT", "/v1/systems/{name}/pictures"),
    ("POST", "/v1/moderation/decisions"),
    ("POST", "/v1/moderations"),
]
_COMPILED = [(method, compile_path(path)[0]) for method, path in _PICTURES]
_VIDEOS = [("PUT", compile_path("/v1/systems/{name}/videos")[0])]
_DRAINED = 8  # times the limit that is read and thrown away, so that a client hears why it was refused


@dataclass(frozen=True)
class Limits:
    """Bytes of a body at most.

    Args:
        body: on any route.
        picture: on those that take a picture, or a post with one.
        video: on those that take a video.
    """

    body: int
    picture: int
    video: int = 0

    def of(self, scope: Scope) -> int:
        """The limit of a request."""
        for routes, limit in ((_COMPILED, self.picture), (_VIDEOS, self.video)):
            if any(scope["method"] == method and path.match(scope["path"]) for method, path in routes):
                return max(self.body, limit)
        return self.body


class Limited:
    """`receive` that gives up on a body over the limit.

    Args:
        receive: of the request.
        limit: bytes.
    """

    def __init__(self, receive: Receive, limit: int):
        self._receive, self._limit, self._seen = receive, limit, 0
        self.refused: TooLarge | None = None

    async def check(self, headers: dict[bytes, bytes]) -> None:
        """Refuses a body that says beforehand that it is too large.

        Raises:
            TooLarge: `body-too-large`.
        """
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._limit:
            await self._give_up()

    async def __call__(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._limit:
            await self._give_up(message)
        return message

    async def _give_up(self, message: Message | None = None) -> None:
        seen, more = 0, message is None or bool(message.get("more_body"))
        while more and seen < self._limit * _DRAINED:
            message = await self._receive()
            seen += len(message.get("body", b""))
            more = bool(message.get("more_body"))
        what = f"the body has more than {self._limit:,} bytes"
        self.refused = TooLarge(
            Problem("body-too-large", what, "body", fix="send smaller batches, or a smaller picture")
        )
        raise self.refused
