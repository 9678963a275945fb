"""How a project moderates: `moderation.toml` in its folder; who judges, how people review, which doors are open."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from winnow.core.errors import InputError, Problem, did_you_mean

FILE = "moderation.toml"
S = TypeVar("S", bound=msgspec.Struct)
Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Distance = Annotated[int, Meta(ge=0, le=256)]


class Judges(msgspec.Struct, frozen=True, kw_only=True):
    """Who judges posts.

    Args:
        words: a word list, relative to the project's folder; empty for none.
        model: folder of a trained content model, relative to the project's folder; empty for none.
        encoder: of the texts, for a model that takes sentence vectors; empty for none.
        bank: folder of a bank of perceptual hashes of known images, relative to the project's folder; empty for none.
        distance: bits in which a hash may differ from a known one.
        deadline_s: seconds for all judges together, for 64 posts and longer for more; who is late counts as failed.
    """

    words: str = ""
    model: str = ""
    encoder: Literal["", "minilm"] = ""
    bank: str = ""
    distance: Distance = 31
    deadline_s: Positive = 5.0


class Reviewing(msgspec.Struct, frozen=True, kw_only=True):
    """How people review.

    Args:
        lease_s: seconds for which a post stays with the reviewer who asked for it.
        undo_s: seconds within which a verdict can be taken back.
        double_share: share of the posts that two people review.
        sample_share: share of all posts that is reviewed whatever was decided about them, for the prevalence.
        sample_turn: share of the turns that go to that sample rather than to the most harmful post.
        golden_share: share of the turns that go to posts with a known answer.
        keep_days: days for which the content of posts under review or appeal is kept.
        spread: whether a harm that a reviewer has found counts as known wherever the same content is posted.
    """

    lease_s: Positive = 300.0
    undo_s: Positive = 60.0
    double_share: Share = 0.1
    sample_share: Share = 0.01
    sample_turn: Share = 0.2
    golden_share: Share = 0.05
    keep_days: Positive = 30.0
    spread: bool = True


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Images that are named by address instead of being sent.

    Args:
        hosts: names of hosts that may be asked for images; none, and addresses are refused.
        timeout_s: seconds for one image.
        most_bytes: larger images are refused.
    """

    hosts: tuple[str, ...] = ()
    timeout_s: Positive = 3.0
    most_bytes: Annotated[int, Meta(ge=1)] = 5_000_000


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """Routes in the shape of other services.

    Args:
        perspective: attribute → head; by default an attribute is the head of the same name in small letters.
        openai: category → head; by default a category is the head of the same name.
        unmapped: the score of a category without a head: `zero` keeps the shape, `null` says that there is none.
    """

    perspective: dict[str, str] = {}
    openai: dict[str, str] = {}
    unmapped: Literal["zero", "null"] = "zero"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file.

    Args:
        judge: who judges posts.
        review: how people review.
        addresses: images by address.
        doors: routes in the shape of other services.
    """

    judge: Judges = Judges()
    review: Reviewing = Reviewing()
    addresses: Addresses = Addresses()
    doors: Doors = Doors()

    @classmethod
    def load(cls, folder: Path | str) -> "Config":
        """The file of a project; the defaults when there is none.

        Raises:
            InputError: `bad-moderation-file`, with every mistake found.
        """
        path = Path(folder) / FILE
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            data = {}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(
                Problem("bad-moderation-file", str(error), FILE, fix="see the settings reference")
            ) from None
        problems = list(_mistakes(data))
        if problems:
            raise InputError(*problems)
        return msgspec.convert(data, cls)


def _mistakes(data: dict[str, Any]) -> Iterator[Problem]:
    sections = {f.name: f.type for f in msgspec.structs.fields(Config)}
    for name, values in data.items():
        if name not in sections:
            fix = did_you_mean(name, sections)
            yield Problem("bad-moderation-file", f"there is no section `{name}`", f"{FILE}: {name}", fix=fix)
        elif not isinstance(values, dict):
            yield Problem("bad-moderation-file", "it is no section", f"{FILE}: {name}", fix=f"write [{name}]")
        else:
            yield from _lines(name, sections[name], values)


def _lines(section: str, kind: type[msgspec.Struct], values: dict[str, Any]) -> Iterator[Problem]:
    fields = {f.name: f for f in msgspec.structs.fields(kind)}
    for name, value in values.items():
        where = f"{FILE}: {section}.{name}"
        if name not in fields:
            fix = did_you_mean(name, fields)
            yield Problem("bad-moderation-file", f"there is no setting `{section}.{name}`", where, fix=fix)
            continue
        try:
            msgspec.convert(value, fields[name].type)
        except msgspec.ValidationError as error:
            yield Problem("bad-moderation-file", f"it is {value!r}: {error}", where, fix="see the settings reference")
