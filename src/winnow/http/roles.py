"""What a key may do: four roles, and which of them each route asks for. A route that is not listed is for `admin`."""

from collections.abc import Collection

from starlette.routing import Match, compile_path
from starlette.types import Scope

from winnow.core.errors import Problem, WinnowError

READ, WRITE, REVIEW, ADMIN = "read", "write", "review", "admin"
ROLES = {
    READ: "asks: rank, search, scores, what exists, figures",
    WRITE: "sends: events, rows, pictures, videos, posts to decide about, appeals",
    REVIEW: "judges: the review queue, verdicts, appeals",
    ADMIN: "everything: policies, known content, weights, and what other roles do",
}
OPEN = frozenset({"/health/live", "/health/ready"})
_CONTENT = "/v1/moderation"
_EACH = frozenset({READ, WRITE, REVIEW})  # besides `admin`, which may do everything

# Method and path as the routes declare them, those first that are asked for most.
NEEDS: dict[tuple[str, str], frozenset[str]] = {
    ("POST", "/v1/systems/{name}/rank"): frozenset({READ}),
    ("POST", "/v1/events"): frozenset({WRITE}),
    ("PUT", "/v1/tables/{name}"): frozenset({WRITE}),
    ("POST", "/v1/systems/{name}/search"): frozenset({READ}),
    ("GET", "/v1/systems/{name}/pictures"): frozenset({READ}),
    ("PUT", "/v1/systems/{name}/pictures"): frozenset({WRITE}),
    ("GET", "/v1/systems/{name}/videos"): frozenset({READ}),
    ("PUT", "/v1/systems/{name}/videos"): frozenset({WRITE}),
    ("POST", f"{_CONTENT}/decisions"): frozenset({WRITE}),
    ("POST", f"{_CONTENT}/decisions/batch"): frozenset({WRITE}),
    ("POST", "/v1/moderations"): frozenset({READ}),
    ("POST", "/v1alpha1/comments:analyze"): frozenset({READ}),
    ("GET", f"{_CONTENT}/doors"): frozenset({READ}),
    ("POST", f"{_CONTENT}/appeals"): frozenset({WRITE}),
    ("GET", f"{_CONTENT}/verify"): frozenset({WRITE, REVIEW}),
    ("GET", f"{_CONTENT}/decisions"): frozenset({REVIEW}),
    ("GET", f"{_CONTENT}/decisions/{{decision}}"): frozenset({REVIEW}),
    ("GET", f"{_CONTENT}/policies"): frozenset({REVIEW}),
    ("GET", f"{_CONTENT}/appeals"): frozenset({REVIEW}),
    ("POST", f"{_CONTENT}/appeals/{{appeal}}/content"): frozenset({REVIEW}),
    ("POST", f"{_CONTENT}/appeals/{{appeal}}/decide"): frozenset({REVIEW}),
    ("GET", f"{_CONTENT}/decisions/{{decision}}/notice"): frozenset({WRITE, REVIEW}),
    ("GET", f"{_CONTENT}/review"): frozenset({REVIEW}),
    ("POST", f"{_CONTENT}/review/next"): frozenset({REVIEW}),
    ("POST", f"{_CONTENT}/review/undo"): frozenset({REVIEW}),
    ("POST", f"{_CONTENT}/review/{{task}}/content"): frozenset({REVIEW}),
    ("POST", f"{_CONTENT}/review/{{task}}/verdict"): frozenset({REVIEW}),
    ("POST", f"{_CONTENT}/review/{{task}}/skip"): frozenset({REVIEW}),
    ("GET", f"{_CONTENT}/prevalence"): frozenset({READ, REVIEW}),
    ("GET", "/v1/systems"): frozenset({READ}),
    ("GET", "/v1/systems/{name}"): frozenset({READ}),
    ("GET", "/v1/systems/{name}/config"): frozenset({READ}),
    ("GET", "/v1/systems/{name}/releases"): frozenset({READ}),
    ("POST", "/v1/systems/{name}/whatif"): frozenset({READ}),
    ("GET", "/v1/tables/{name}"): frozenset({READ}),
    ("POST", "/v1/tables/{name}/rows"): frozenset({READ}),
    ("GET", "/v1/tables/{name}/{row}/events"): frozenset({READ}),
    ("GET", "/v1/quarantine"): frozenset({WRITE}),
    ("GET", "/metrics"): frozenset({READ}),
    ("GET", "/openapi.json"): _EACH,
    ("GET", "/docs"): _EACH,
    ("GET", "/docs/oauth2-redirect"): _EACH,
    ("GET", "/redoc"): _EACH,
}
_COMPILED = [(method, compile_path(path)[0], roles) for (method, path), roles in NEEDS.items()]


class NotAllowed(WinnowError):
    """The key is known, and may not do this."""

    status = 403


def demand(name: str, roles: Collection[str], scope: Scope) -> None:
    """Passes requests that a key may make.

    Args:
        name: whose key it is.
        roles: of the key.
        scope: of the request.

    Raises:
        NotAllowed: `not-allowed`, naming the role that is needed.
    """
    if ADMIN in roles:
        return
    needed = _needed(scope)
    if needed is None or needed & set(roles):
        return
    wanted = " or ".join(f"`{role}`" for role in ROLES if role in needed) or f"`{ADMIN}`"
    what = f"the key `{name}` may not do this: it needs the role {wanted}"
    why = f"its roles: {', '.join(role for role in ROLES if role in roles) or 'none'}"
    fix = f"`winnow key grant {name} --role ...` changes what the key may do; or use another key"
    raise NotAllowed(Problem("not-allowed", what, f"{scope['method']} {scope['path']}", why, fix))


def _needed(scope: Scope) -> frozenset[str] | None:
    """The roles of which one is needed, none of them for `admin` alone; None for what no route answers."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    for known, path, roles in _COMPILED:
        if method == known and path.match(scope["path"]):
            return roles
    # Whoever mistypes a path is told that it does not exist, rather than that it is not for them.
    answered = any(route.matches(scope)[0] is Match.FULL for route in scope["app"].routes)
    return frozenset() if answered else None
