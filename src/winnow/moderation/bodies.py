"""The bodies of requests about content."""

from typing import Any

import msgspec

from winnow.moderation.post import Post


class SentPost(Post, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A post as clients send it; the image may be named by address where that is allowed."""

    image_url: str = ""


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Several posts."""

    posts: list[SentPost]


class Labelled(msgspec.Struct, forbid_unknown_fields=True):
    """Labelled posts of one harm, as lists of equal length."""

    probability: list[float]
    label: list[float]


class SentPolicy(msgspec.Struct, forbid_unknown_fields=True):
    """A policy as data or as TOML, and on what its wishes are turned into thresholds."""

    policy: dict[str, Any] | None = None
    toml: str = ""
    why: str = ""
    samples: dict[str, Labelled] | None = None
    reviewed: bool = False


class Why(msgspec.Struct, forbid_unknown_fields=True):
    """A reason for the record."""

    why: str = ""
    force: bool = False


class SentAppeal(msgspec.Struct, forbid_unknown_fields=True):
    """An appeal."""

    decision: str
    statement: str = ""
    post: SentPost | None = None


class Outcome(msgspec.Struct, forbid_unknown_fields=True):
    """What became of an appeal."""

    outcome: str
    why: str = ""
    source_too: bool = False
    reviewer: str = ""


class Who(msgspec.Struct, forbid_unknown_fields=True):
    """Who reviews, for services without keys."""

    reviewer: str = ""


class Finding(msgspec.Struct, forbid_unknown_fields=True):
    """What a reviewer found: harm → whether it is there; null for cannot tell."""

    heads: dict[str, bool] | None
    reviewer: str = ""


class Undo(msgspec.Struct, forbid_unknown_fields=True):
    """Which verdict is taken back."""

    verdict: int
    reviewer: str = ""


class Golden(msgspec.Struct, forbid_unknown_fields=True):
    """A post with a known answer."""

    post: SentPost
    truth: dict[str, bool]


class KnownContent(msgspec.Struct, forbid_unknown_fields=True):
    """Content that is known by its hash."""

    key: str
    harm: str
    why: str = ""


def described(kind: type) -> dict[str, Any]:
    """What a route takes, for the service's description of itself: the body's schema with nothing to look up."""
    _, parts = msgspec.json.schema_components((kind,), ref_template="{name}")
    schema = _inlined({"$ref": kind.__name__}, parts)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(parts[schema["$ref"]], parts)
    # A discriminator names its parts by reference; the tag of each says the same.
    return {key: _inlined(value, parts) for key, value in schema.items() if key != "discriminator"}
