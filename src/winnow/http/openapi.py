"""Describes the hot routes in `/openapi.json`, which the framework does not know."""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from winnow.serving.request import RankReply, RankRequest

_REF = "#/components/schemas/{name}"


class ErrorBody(msgspec.Struct):
    """What is wrong: a stable code, a sentence, the parameter at fault, how to mend it."""

    code: str
    message: str
    param: str
    fix: str
    request_id: str


class ErrorReply(msgspec.Struct):
    """The shape of every error."""

    error: ErrorBody


class ReceiptReply(msgspec.Struct):
    """What became of a batch; whatever it counts is on disk."""

    accepted: int
    duplicates: int
    quarantined: int
    refused: int
    problems: list[dict[str, str]]


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of all routes; made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, components = msgspec.json.schema_components(
            (RankRequest, RankReply, ReceiptReply, ErrorReply), ref_template=_REF
        )
        schema.setdefault("components", {}).setdefault("schemas", {}).update(components)
        schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"key": []}]
        for path, operations in _hot().items():
            schema["paths"].setdefault(path, {}).update(operations)
        app.openapi_schema = schema
    return app.openapi_schema


def _hot() -> dict[str, Any]:
    row: dict[str, Any] = {"type": "object", "additionalProperties": True}
    named = {name: {"type": "string"} for name in ("type", "event_id")}
    event = row | {"required": list(named), "properties": named}
    rank = {"$ref": _REF.format(name="RankRequest")}
    name = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
    append = _operation("Append events; sending one again changes nothing.", _batch("events", event), "ReceiptReply")
    put = _operation("Set columns of table rows.", _batch("rows", row), "ReceiptReply")
    return {
        "/v1/events": {"post": append},
        "/v1/tables/{name}": {"put": put | {"parameters": name}},
        "/v1/systems/{name}/rank": {
            "post": _operation("Rank items for one person.", rank, "RankReply") | {"parameters": name}
        },
    }


def _batch(name: str, row: dict[str, Any]) -> dict[str, Any]:
    rows = {"type": "array", "items": row}
    return {"oneOf": [rows, {"type": "object", "required": [name], "properties": {name: rows}}]}


def _operation(summary: str, body: dict[str, Any], reply: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": _response("OK", reply), "default": _response("Error", "ErrorReply")},
    }


def _response(description: str, name: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name=name)}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
