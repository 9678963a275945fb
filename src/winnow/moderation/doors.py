"""Doors for those whose service closes: requests and replies in the shape of Perspective's and OpenAI's APIs.

Nothing is made up: an attribute that no judge knows is refused as the original refuses unknown ones, and a category
without a head is named in `not_evaluated`, with no input type that its score would apply to.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from winnow.core.errors import InputError, Problem, Unavailable, WinnowError
from winnow.moderation.addresses import Fetcher
from winnow.moderation.config import Doors
from winnow.moderation.judge import Judge, Judgement, reads
from winnow.moderation.policy import Policy
from winnow.moderation.post import Post
from winnow.moderation.ruling import Facts, rule

LONGEST_COMMENT = 1_048_576  # bytes; the original takes 20,480
CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
_MAY_BE_NULL = frozenset({"illicit", "illicit/violent"})  # as the original's schema has it
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_TAG = re.compile(r"<[^>]*>")


class DoorError(WinnowError):
    """An error as the original service tells it: `body` is the reply."""

    def __init__(self, problem: Problem, body: Mapping[str, Any]) -> None:
        super().__init__(problem)
        self.body = body


# Perspective


class _Comment(msgspec.Struct, frozen=True):
    text: str = ""
    type: str = "PLAIN_TEXT"


class _Wanted(msgspec.Struct, frozen=True, rename="camel"):
    score_type: str = "PROBABILITY"
    score_threshold: float = 0.0


class Analyze(msgspec.Struct, rename="camel"):
    """The body of `comments:analyze`; fields that the original knows and that change nothing here are let through."""

    comment: _Comment = _Comment()
    requested_attributes: dict[str, _Wanted | None] = {}
    languages: tuple[str, ...] = ()
    span_annotations: bool = False
    client_token: str = ""


@dataclass(frozen=True)
class Perspective:
    """`POST /v1alpha1/comments:analyze`.

    Args:
        judge: who judges.
        doors: attribute → head.
    """

    judge: Judge
    doors: Doors

    def analyze(self, asked: Analyze) -> dict[str, Any]:
        """The scores of the attributes that were asked for.

        Raises:
            DoorError: with the original's error, for an empty or too long comment, an unknown attribute, or one that
                nobody can judge now.
        """
        heads = {name: self._head(name) for name in asked.requested_attributes}
        if not heads:
            raise _google(400, "INVALID_ARGUMENT", "requested_attributes is empty")
        text = _TAG.sub(" ", asked.comment.text) if asked.comment.type == "HTML" else asked.comment.text
        if not text.strip():
            raise _google(400, "INVALID_ARGUMENT", "Comment must be non-empty.", kind="COMMENT_EMPTY")
        if len(text.encode("utf-8", "surrogatepass")) > LONGEST_COMMENT:
            raise _google(400, "INVALID_ARGUMENT", "Comment text too long.", kind="COMMENT_TOO_LONG")
        post = Post(text=text, language=next(iter(asked.languages), ""))
        said = self.judge.judge([post])
        scores = said.scores(0)
        found = {}
        for name, head in heads.items():
            value = None if head in said.silent else scores.get(head)
            if value is None:
                raise _google(503, "UNAVAILABLE", f"Attribute {name} cannot be evaluated now.")
            wanted = asked.requested_attributes[name] or _Wanted()
            if value >= wanted.score_threshold:
                found[name] = _scored(value, said, head, size=len(text), spans=asked.span_annotations)
        reply: dict[str, Any] = {"attributeScores": found, "languages": list(asked.languages)}
        return reply | ({"clientToken": asked.client_token} if asked.client_token else {})

    def _head(self, attribute: str) -> str:
        head = self.doors.perspective.get(attribute, attribute.lower())
        if head not in self.judge.heads:
            shown = attribute if _NAME.fullmatch(attribute) else "(not a name)"
            raise _google(400, "INVALID_ARGUMENT", f"Unknown requested attribute: {shown}")
        return head


def _scored(value: float, said: Judgement, head: str, *, size: int, spans: bool) -> dict[str, Any]:
    def score(number: float) -> dict[str, Any]:
        return {"value": number, "type": "PROBABILITY"}

    whole = {"begin": 0, "end": size, "score": score(value)}
    parts = [{"begin": s.start, "end": s.end, "score": score(s.weight)} for s in said.spans[0] if s.head == head]
    return {"spanScores": (parts if spans and parts else [whole]), "summaryScore": score(value)}


def _google(code: int, status: str, message: str, *, kind: str = "") -> DoorError:
    detail = {"@type": "type.googleapis.com/google.commentanalyzer.v1alpha1.Error", "errorType": kind}
    body: dict[str, Any] = {"code": code, "message": message, "status": status}
    error = DoorError(
        Problem("door-refused", message, "body", fix="see the reference of HTTP routes"),
        {"error": body | ({"details": [detail]} if kind else {})},
    )
    error.status = code
    return error


def google_error(error: WinnowError) -> dict[str, Any]:
    """One of our errors as Perspective would tell it."""
    status = "UNAVAILABLE" if error.status >= 500 else "INVALID_ARGUMENT"
    return {"error": {"code": error.status, "message": error.problems[0].what, "status": status}}


# OpenAI


class _Link(msgspec.Struct):
    url: str


class _TextPart(msgspec.Struct, tag="text"):
    text: str


class _ImagePart(msgspec.Struct, tag="image_url"):
    image_url: _Link


class Moderations(msgspec.Struct):
    """The body of `moderations`: a text, several, or parts of one post."""

    input: str | list[str | _TextPart | _ImagePart]
    model: str | None = None


@dataclass(frozen=True)
class OpenAI:
    """`POST /v1/moderations`.

    Args:
        judge: who judges.
        doors: category → head.
        policy: whose thresholds flag; 0.5 for heads that it does not name.
        fetcher: of images by address.
    """

    judge: Judge
    doors: Doors
    policy: Policy | None
    fetcher: Fetcher

    def moderate(self, asked: Moderations) -> dict[str, Any]:
        """One result per text, or one for all parts of a post.

        Raises:
            InputError: `bad-moderation-input`, `address-refused`, `bad-data-address`.
            Unavailable: `address-failed`, `not-judged`.
        """
        posts = self._posts(asked.input)
        for post in posts:
            post.check()
        said = self.judge.judge(posts)
        if said.silent or np.isnan(said.probability).any():
            why = "a score of 0 would say that nothing is wrong"
            problem = Problem(
                "not-judged", "a judge does not answer, or cannot read this input", "input", why, "try again"
            )
            raise Unavailable(problem)
        results = [self._result(said, row, post) for row, post in enumerate(posts)]
        return {"id": f"modr-{uuid.uuid4().hex}", "model": said.model, "results": results}

    def mapped(self) -> dict[str, str]:
        """Category → the head that would answer for it."""
        return {name: self.doors.openai.get(name, name) for name in CATEGORIES}

    def _posts(self, given: "str | list[str | _TextPart | _ImagePart]") -> list[Post]:
        if isinstance(given, str):
            return [Post(text=given)]
        texts = [part for part in given if isinstance(part, str)]
        if texts and len(texts) == len(given):
            return [Post(text=text) for text in texts]
        words = [part.text for part in given if isinstance(part, _TextPart)]
        links = [part.image_url.url for part in given if isinstance(part, _ImagePart)]
        if texts or len(links) > 1 or not given:
            what = "a post is a text, or parts of type text with at most one image"
            raise InputError(Problem("bad-moderation-input", what, "input", fix="send several requests"))
        return [Post(text="\n".join(words), image=self.fetcher.get(links[0]) if links else None)]

    def _result(self, said: Judgement, row: int, post: Post) -> dict[str, Any]:
        scores = {head: None if head in said.silent else p for head, p in said.scores(row).items()}
        heads = self.mapped()
        values = {name: scores.get(head) for name, head in heads.items()}
        flags = {name: None if p is None else self._flagged(heads[name], p) for name, p in values.items()}
        none = [name for name, p in values.items() if p is None]
        kinds = [kind for kind in reads(self.judge) if getattr(post, kind)]
        null = self.doors.unmapped == "null"
        missing = {name: None if null or name in _MAY_BE_NULL else False for name in none}
        return {
            # What has no category of its own is no reason to say that nothing is wrong.
            "flagged": any(p is not None and self._flagged(head, p) for head, p in scores.items()),
            "categories": flags | missing,
            "category_scores": values | dict.fromkeys(none, None if null else 0.0),
            "category_applied_input_types": {n: [] if n in none else kinds for n in CATEGORIES},
            "not_evaluated": none,
        }

    def _flagged(self, head: str, p: float) -> bool:
        if self.policy is None or head not in self.policy.harms:
            return p >= 0.5
        only = msgspec.structs.replace(self.policy, harms={head: self.policy.harms[head]}, exceptions=())
        return rule(only, {head: p}, Facts()).action != "allow"


def attributes(doors: Doors, heads: Sequence[str]) -> dict[str, str]:
    """The attributes of Perspective's that are answered, and by which head."""
    named = {head.upper(): head for head in heads if _NAME.fullmatch(head.upper())}
    return {name: head for name, head in (named | dict(doors.perspective)).items() if head in heads}
