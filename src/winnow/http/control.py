"""The control routes: what exists, what it is, and what may be changed while it runs."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from starlette.responses import JSONResponse, Response

from winnow.core.time import iso, now_us
from winnow.http.site import Site, site_of
from winnow.monitoring import metrics
from winnow.serving.desk import Desk
from winnow.serving.value import check_weights

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most")]
After = Annotated[int, Query(ge=0, description="`next` of the page before")]
Weights = Annotated[dict[str, float], Body(description="head → weight")]
Why = Annotated[str, Body(max_length=500, description="for the history")]


def _site(request: Request) -> Site:
    return site_of(request.scope)


@router.get("/health/live", tags=["health"])
async def live() -> dict[str, bool]:
    """Whether the process answers. Needs no key."""
    return {"live": True}


@router.get("/health/ready", tags=["health"])
def ready(request: Request) -> Response:
    """Whether every system that has a release can serve it. Needs no key."""
    desks = _site(request).runtime.desks
    systems = {name: {"release": _release(desk), "trouble": _trouble(desk)} for name, desk in desks.items()}
    # A system that was never trained is no fault: it must take events, so that it can be.
    good = all(desk.ready or desk.trouble is None for desk in desks.values())
    return JSONResponse({"ready": good, "systems": systems}, 200 if good else 503)


@router.get("/metrics", tags=["health"], response_class=Response)
def figures() -> Response:
    """Figures of all workers in the format of Prometheus."""
    return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


@router.get("/v1/systems", tags=["systems"])
def systems(request: Request) -> dict[str, Any]:
    """The systems of the project."""
    return {"items": [_summary(desk) for desk in _site(request).runtime.desks.values()]}


@router.get("/v1/systems/{name}", tags=["systems"])
def system(request: Request, name: str) -> dict[str, Any]:
    """One system: its resolved declaration, its release, its weights."""
    desk = _site(request).runtime.desk(name)
    return _summary(desk) | {"declaration": desk.system.to_data()}


@router.get("/v1/systems/{name}/config", tags=["systems"])
def config(request: Request, name: str) -> dict[str, Any]:
    """The weights of the value model: those declared, and those that are live."""
    site = _site(request)
    desk = site.runtime.desk(name)
    declared = dict(desk.system.pipeline.value.weights)
    found = site.project.registry.weights(name)
    return {
        "weights": dict(found.values) if found else declared,
        "version": found.version if found else 0,
        "declared": declared,
    }


@router.put("/v1/systems/{name}/config", tags=["systems"])
def set_config(request: Request, name: str, weights: Weights, why: Why = "") -> dict[str, Any]:
    """Makes other weights live, in all workers within seconds and without a restart."""
    site = _site(request)
    check_weights(weights, site.runtime.desk(name).system.labels.heads)
    stored = site.project.registry.set_weights(name, weights, at=now_us(), who=request.state.who, why=why)
    return {"weights": dict(stored.values), "version": stored.version}


@router.get("/v1/systems/{name}/releases", tags=["systems"])
def releases(request: Request, name: str) -> dict[str, Any]:
    """The releases of a system, newest first, and which of them serves."""
    site = _site(request)
    site.runtime.desk(name)
    champion = site.project.registry.pointers(name).champion
    found = site.project.registry.releases(name)
    return {
        "items": [
            {
                "id": r.id,
                "serves": r.id == champion,
                "created_at": iso(r.created_at),
                "metrics": dict(r.manifest.metrics),
            }
            for r in found
        ]
    }


@router.get("/v1/quarantine", tags=["data"])
def quarantine(request: Request, limit: Limit = 100, after: After = 0) -> dict[str, Any]:
    """Rows that were refused, with the reason, in order of arrival."""
    rows = _site(request).project.quarantine.rows(limit=limit, after=after).to_dicts()
    return {"items": rows, "next": rows[-1]["id"] if len(rows) == limit else None}


def _summary(desk: Desk) -> dict[str, Any]:
    system = desk.system
    return {
        "name": system.name,
        "hash": system.hash,
        "release": _release(desk),
        "trouble": _trouble(desk),
        "user": system.labels.user.name,
        "item": system.labels.item.name,
        "heads": list(system.labels.heads),
        "events": sorted({e.name for e in (system.labels.of, *(h.events for h in system.labels.heads.values()))}),
        "size": system.pipeline.size,
        "items": desk.kit.catalogue.size if desk.ready else None,
    }


def _release(desk: Desk) -> str | None:
    return desk.kit.bundle.release if desk.ready else None


def _trouble(desk: Desk) -> str | None:
    return str(desk.trouble) if desk.trouble else None
