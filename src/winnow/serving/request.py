"""A rank request as it comes in and the reply as it goes out, the same over HTTP, in Python and on the command line."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from winnow.core.errors import InputError, Problem, did_you_mean

Id = str | int
Share = Annotated[float, Meta(ge=0, le=1)]
Condition = Id | list[Id] | dict[str, float | str]
Factors = dict[str, Annotated[float, Meta(ge=0, le=1000)]]


class RankRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a client may ask for.

    Args:
        user: id of the person; one that is not known is served as new.
        size: how many items; the system's own size when left out.
        context: fields of the impression, such as `surface`.
        about: columns of who asks, as this request knows them: they stand in for what the log knows, or does not yet.
        exclude: ids that must not come back.
        filter: column of the items → a value, a list of values, or `{"at_least": x, "at_most": y}`.
        boost: column → {value: factor on the value of such items}.
        diversity: replaces the strength of the slate's `Mmr`.
        exploration: replaces the share of the slate's `Explore`; 0 turns it off.
        mode: `ranked`, or `chronological`: newest first, of what the person follows, without any model.
        personal: False leaves out all that is known of the person's past; blocks and other rules still hold.
        explain: adds every stage and, per item, all that led to its place.
        reasons: adds the reasons of each item.
        deadline_ms: replaces the time limit of the system, downwards only.
    """

    user: Id
    size: Annotated[int, Meta(ge=1, le=1000)] | None = None
    context: dict[str, str | int | float | None] = {}
    about: dict[str, str | int | float | bool] = {}
    exclude: Annotated[list[Id], Meta(max_length=10_000)] = []
    filter: dict[str, Condition] = {}
    boost: dict[str, Factors] = {}
    diversity: Share | None = None
    exploration: Share | None = None
    mode: Literal["ranked", "chronological"] = "ranked"
    personal: bool = True
    explain: bool = False
    reasons: bool = False
    deadline_ms: Annotated[float, Meta(gt=0)] | None = None


class Reason(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Why an item is shown, and the sentence for people.

    Args:
        kind: `tie`, `talk`, `watched`, `same`, `near`, `soon`, `popular`, `new`, `taste`, `chance` or
            `source`.
        text: the sentence.
        item: id of the item of the past that it speaks of.
        column: the column that it speaks of.
    """

    kind: str
    text: str
    item: str = ""
    column: str = ""


class Item(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One item of a reply; positions count from 1. An ad has the price of a click, in micros."""

    id: str
    score: float
    position: int
    sources: list[str]
    reasons: list[Reason] | None = None
    price: int = 0


class RankReply(Struct, kw_only=True, frozen=True):
    """What a client gets.

    Args:
        recommendation_id: to be sent along with every event that this list leads to.
        release: the release that made it.
        declaration: hash of the system's declaration.
        arm: arm of a running experiment.
        as_of: the moment up to which events are in it, ISO 8601.
        known_user: False when the person was served as new.
        items: best first.
        degraded: parts that could not do their work, and what that means for this reply.
        ms: time spent.
        explanation: when asked for.
    """

    recommendation_id: str
    release: str
    declaration: str
    arm: str
    as_of: str
    known_user: bool
    items: list[Item]
    degraded: list[dict[str, str]]
    ms: float = 0.0
    explanation: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def parse(body: bytes) -> RankRequest:
    """A request from its JSON.

    Raises:
        InputError: `bad-json`, or `bad-request` naming the parameter.
    """
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise InputError(invalid(str(error), known=RankRequest.__struct_fields__)) from error
    except msgspec.DecodeError as error:
        raise InputError(Problem("bad-json", f"the body is not JSON: {error}", fix="send one JSON object")) from error


def invalid(message: str, *, known: tuple[str, ...]) -> Problem:
    """The problem behind a message of msgspec, with the parameter that it names."""
    what, _, path = message.partition(" - at `$")
    param = path.rstrip("`").lstrip(".").replace("[...]", "")
    if "unknown field" in what or "missing required field" in what:
        param = ".".join(filter(None, (param, what.split("`")[-2])))
    fix = did_you_mean(param, known) if "unknown field" in what else "see /openapi.json"
    return Problem("bad-request", what, param, fix=fix)


_DECODER = msgspec.json.Decoder(RankRequest)
