"""Every error in one shape: `{"error": {"code", "message", "param", "fix", "request_id"}}`."""

import logging
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from winnow.core.errors import Problem, WinnowError
from winnow.monitoring import metrics

_log = logging.getLogger(__name__)
_CODES = {404: "unknown-route", 405: "method-not-allowed"}


class TooLarge(WinnowError):
    """The body is larger than the server takes."""

    status = 413


def answer(error: WinnowError, request_id: str, **extra: Any) -> Response:
    """The response to an error; with several problems the first leads and all are listed."""
    metrics.ERRORS.labels(error.code).inc()
    first = error.problems[0]
    body: dict[str, Any] = _shape(first) | {"request_id": request_id}
    if len(error.problems) > 1:
        body["problems"] = [_shape(problem) for problem in error.problems]
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return json(extra | {"error": body}, status=error.status, headers=headers)


def json(data: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Data as a JSON response."""
    return Response(msgspec.json.encode(data), status, headers, "application/json")


def register(app: FastAPI) -> None:
    """Makes every error of an app look the same, those of the framework included."""

    @app.exception_handler(WinnowError)
    async def _ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, WinnowError)
        return answer(error, request_id(request.scope))

    @app.exception_handler(HTTPException)
    async def _framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code, what = _CODES.get(error.status_code, "http-error"), f"{request.method} {request.url.path}"
        problem = Problem(code, f"{what}: {error.detail}", request.url.path, fix="see /openapi.json")
        return answer(_with_status(problem, status=error.status_code), request_id(request.scope))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        problems = [
            Problem(
                "bad-request",
                f"{e['msg']}",
                ".".join(str(p) for p in e["loc"][1:]) or str(e["loc"][0]),
                fix="see /openapi.json",
            )
            for e in error.errors()
        ]
        return answer(_with_status(*problems, status=422), request_id(request.scope))


def unexpected(error: Exception, request_id: str) -> Response:
    """The response to a fault of ours: the details go to the log, not to the client."""
    _log.error("request %s failed", request_id, exc_info=error)
    fix = "try again; if it stays, look for the request id in the server's log"
    return answer(_with_status(Problem("internal-error", "the server failed", fix=fix), status=500), request_id)


def request_id(scope: Any) -> str:
    """The id that the guard gave to a request."""
    return str(scope.get("state", {}).get("request_id", ""))


def _shape(problem: Problem) -> dict[str, str]:
    message = f"{problem.what}: {problem.why}" if problem.why else problem.what
    return {"code": problem.code, "message": message, "param": problem.where, "fix": problem.fix}


def _with_status(*problems: Problem, status: int) -> WinnowError:
    error = WinnowError(*problems)
    error.status = status
    return error
