"""The control routes: what exists, what it is, and what may be changed while it runs."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from winnow.core.time import iso, now_us
from winnow.experiments.declare import Experiment
from winnow.http.site import Site, site_of
from winnow.monitoring import metrics
from winnow.project import shared
from winnow.serving.desk import Desk
from winnow.serving.value import check_trial, check_weights
from winnow.serving.whatif import asked, finite, whatif

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most")]
After = Annotated[int, Query(ge=0, description="`next` of the page before")]
Weights = Annotated[dict[str, float], Body(description="head → weight")]
Why = Annotated[str, Body(max_length=500, description="for the history")]
Requests = Annotated[int, Body(ge=1, le=1000, description="how many logged requests at most")]
Size = Annotated[int | None, Body(ge=1, le=1000, description="items of each list")]


class Arms(BaseModel):
    """An experiment on weights, as `Experiment` declares it: `name`, `arms`, `weights`, `share`, `start`, `layer`."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=100)]
    arms: dict[str, float]
    weights: dict[str, dict[str, float]]
    share: float = 1.0
    start: float = 0.0
    layer: str = "default"


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
        "experiment": found.experiment if found else None,
    }


@router.put("/v1/systems/{name}/config", tags=["systems"])
def set_config(request: Request, name: str, weights: Weights, why: Why = "") -> dict[str, Any]:
    """Makes other weights live, in all workers within seconds and without a restart."""
    site = _site(request)
    check_weights(weights, site.runtime.desk(name).system.labels.heads)
    stored = site.project.registry.set_weights(name, weights, at=now_us(), who=request.state.who, why=why)
    return {"weights": dict(stored.values), "version": stored.version}


@router.put("/v1/systems/{name}/experiment", tags=["systems"])
def start_experiment(request: Request, name: str, experiment: Arms, why: Why = "") -> dict[str, Any]:
    """Lets an experiment run on the weights, in place of the one that runs: people get the weights of their arm."""
    given = experiment.model_dump()
    declared = Experiment(given.pop("name"), given.pop("arms"), **given)
    return _run(request, name, lambda heads: check_trial(declared, heads), why)


@router.delete("/v1/systems/{name}/experiment", tags=["systems"])
def end_experiment(request: Request, name: str) -> dict[str, Any]:
    """Ends the experiment that runs: everybody gets the live weights again."""
    return _run(request, name, lambda heads: None, "")


def _run(
    request: Request, name: str, made: Callable[[Iterable[str]], dict[str, Any] | None], why: str
) -> dict[str, Any]:
    site = _site(request)
    system = site.runtime.desk(name).system
    data, weights = made(system.labels.heads), dict(system.pipeline.value.weights)
    stored = site.project.registry.set_experiment(
        name, data, declared=weights, at=now_us(), who=request.state.who, why=why
    )
    return {"experiment": stored.experiment, "weights": dict(stored.values), "version": stored.version}


@router.post("/v1/systems/{name}/whatif", tags=["systems"])
def what_if(
    request: Request, name: str, weights: Weights, requests: Requests = 100, size: Size = None
) -> dict[str, Any]:
    """How lists would move under other weights: the newest logged requests asked again; changes and logs nothing."""
    site = _site(request)
    desk = site.runtime.desk(name)
    people = asked(site.project.frame(f"{name}_served"), desk.system.labels.user_role, requests)
    told: dict[str, Any] = finite(whatif(desk, people, weights, size=size))
    return told


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
        "ranks": system.pipeline.ranks,
        "user": (user := system.labels.user).name,
        "user_key": user.key,
        "user_role": system.labels.user_role,
        "item": (item := system.labels.item).name,
        "item_key": item.key,
        "item_role": system.labels.item_role,
        "alike": system.alike,
        "heads": list(system.labels.heads),
        "events": sorted(n for n, e in shared.events([system]).items() if {user, item} <= set(e.refs.values())),
        "size": system.pipeline.size,
        "items": desk.kit.catalogue.size if desk.ready else None,
    }


def _release(desk: Desk) -> str | None:
    return desk.kit.bundle.release if desk.ready else None


def _trouble(desk: Desk) -> str | None:
    return str(desk.trouble) if desk.trouble else None
