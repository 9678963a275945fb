"""A client of a running service: its HTTP API and nothing else."""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from winnow.core.errors import InputError, Problem, Unavailable

if TYPE_CHECKING:
    import httpx

SYSTEM = "video_recommendation"
_PATIENCE_S = 60.0  # a service that restarts or swaps releases is waited for this long
_AGAIN = frozenset({429, 502, 503, 504})


class Service:
    """The routes that a client of the video home page uses; busy or restarting servers are asked again.

    Args:
        url: where the service listens, `http://127.0.0.1:8000`.
        key: API key; None where the service runs without keys.
        system: name of the system that ranks.
        timeout_s: of one request.
    """

    def __init__(self, url: str, *, key: str | None = None, system: str = SYSTEM, timeout_s: float = 30.0) -> None:
        import httpx

        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout_s, trust_env=False)
        self._system = system

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def rank(self, user: str, *, size: int, surface: str, **options: Any) -> dict[str, Any]:
        """The ranked reply: `recommendation_id` and `items`."""
        body = {"user": user, "size": size, "context": {"surface": surface}, **options}
        return await self._send("POST", f"/v1/systems/{self._system}/rank", body)

    async def events(self, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Posts events; sending the same ones again changes nothing."""
        return await self._send("POST", "/v1/events", {"events": list(events)})

    async def put(self, table: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Adds or changes rows of a table."""
        return await self._send("PUT", f"/v1/tables/{table}", {"rows": list(rows)})

    async def _send(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        give_up_at, pause_s = loop.time() + _PATIENCE_S, 0.05
        while True:
            answer, trouble = await self._try(method, path, body)
            if answer is not None:
                return answer
            if loop.time() > give_up_at:
                fix = "look at the service's log"
                raise Unavailable(Problem("service-unavailable", f"{method} {path}: {trouble}", path, fix=fix))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)

    async def _try(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
        import httpx

        try:
            reply = await self._client.request(method, path, json=body)
        except httpx.TransportError as error:
            return None, repr(error)
        if reply.status_code in _AGAIN:
            return None, _text(reply)
        if reply.is_error:
            raise InputError(Problem("service-refused", f"{method} {path}: {_text(reply)}", path))
        return reply.json(), ""


def _text(reply: "httpx.Response") -> str:
    return f"{reply.status_code} {reply.text[:500]}"
