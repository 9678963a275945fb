"""A post as it comes in, and the hashes by which it is known once its content is gone."""

import hashlib
from collections.abc import Iterator, Mapping

import msgspec

from winnow.core.declare import canonical
from winnow.core.errors import InputError, Problem

LONGEST_TEXT = 2_000_000
LONGEST_ID = 200
_REACTIONS = 100
_SHA256_HEX = 64


class Post(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody wants to show to others.

    Args:
        request: id of the request; sending it again gives the same decision. Empty for a new one each time.
        post: id of the post in the project's log, when it is judged again under another request; else the request.
        text: as written, empty for none.
        image: the file's bytes; base64 in JSON.
        image_sha256: hex digest of the image's bytes, for those who do not send the image itself.
        author: id of who wrote it.
        verified: marks of the author that exceptions of a policy may name, as in `news`.
        new_author: whether the author is new, by the platform's own measure.
        language: of the text, as in `en`; empty for unknown.
        country: where it was posted, as in `DE`; empty for unknown.
        reactions: kind → how many, as in reports.
        reach: how many people are expected to see it.
    """

    request: str = ""
    post: str = ""
    text: str = ""
    image: bytes | None = None
    image_sha256: str = ""
    author: str = ""
    verified: tuple[str, ...] = ()
    new_author: bool = False
    language: str = ""
    country: str = ""
    reactions: dict[str, float] = {}
    reach: float = 1.0

    @property
    def image_hash(self) -> str:
        """Hex SHA-256 of the image's bytes; empty when there is no image."""
        return hashlib.sha256(self.image).hexdigest() if self.image is not None else self.image_sha256

    @property
    def content(self) -> str:
        """Hex SHA-256 of text and image: two posts with the same content have the same."""
        return _hashed({"text": _text_hash(self.text), "image": self.image_hash})

    @property
    def inputs(self) -> str:
        """Hex SHA-256 of everything that a judge is shown."""
        facts = {"author": self.author, "language": self.language, "reactions": _ordered(self.reactions)}
        facts |= {"post": self.post} if self.post else {}
        return _hashed(facts | {"text": _text_hash(self.text), "image": self.image_hash})

    @property
    def keys(self) -> tuple[str, ...]:
        """The names under which a bank of known content may hold it: `content:…`, `image:…`, `text:…`."""
        parts = (("content", self.content), ("image", self.image_hash), ("text", self.text and _text_hash(self.text)))
        return tuple(f"{kind}:{digest}" for kind, digest in parts if digest)

    def check(self) -> None:
        """Raises what is wrong with it, without saying what it holds.

        Raises:
            InputError: `bad-post`, with every mistake.
        """
        problems = list(_mistakes(self))
        if problems:
            raise InputError(*problems)


def _mistakes(post: Post) -> Iterator[Problem]:
    limits = {"request": LONGEST_ID, "post": LONGEST_ID, "author": LONGEST_ID, "language": 35, "country": 35}
    for name, most in {**limits, "text": LONGEST_TEXT}.items():
        value = getattr(post, name)
        if len(value) > most:
            yield Problem("bad-post", f"it has {len(value):,} characters", name, fix=f"at most {most:,}")
        if name in limits and not value.isprintable():
            yield Problem("bad-post", "it holds line breaks or control characters", name, fix="send a plain id")
    if post.image_sha256 and not _is_digest(post.image_sha256):
        yield Problem("bad-post", "it is no SHA-256", "image_sha256", fix="64 hex digits in small letters")
    if post.image is not None and post.image_sha256 not in ("", post.image_hash):
        yield Problem("bad-post", "it is not that of the image", "image_sha256", fix="leave it out")
    if not 0 <= post.reach <= 1e12:
        yield Problem("bad-post", "it is negative or not finite", "reach", fix="how many people are expected to see it")
    if len(post.reactions) > _REACTIONS or not all(abs(n) <= 1e12 for n in post.reactions.values()):
        yield Problem("bad-post", "they are too many or not finite", "reactions", fix=f"at most {_REACTIONS} counts")


def _is_digest(text: str) -> bool:
    return len(text) == _SHA256_HEX and set(text) <= set("0123456789abcdef")


def text_key(text: str) -> str:
    """The key of a text in a bank of known content."""
    return f"text:{_text_hash(text)}"


def _text_hash(text: str) -> str:
    # Half a surrogate pair has no UTF-8 of its own, and must not bring a decision down.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _ordered(reactions: Mapping[str, float]) -> list[list[str | float]]:
    return [[name, float(reactions[name])] for name in sorted(reactions)]


def _hashed(data: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical(data).encode("utf-8", "surrogatepass")).hexdigest()
