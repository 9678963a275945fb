"""Known content: what was found harmful before is not judged again; exact by SHA-256."""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from winnow.core.errors import InputError, NotFound, Problem, did_you_mean
from winnow.moderation.ledger import Ledger, Writer
from winnow.moderation.post import Post


class Match(NamedTuple):
    """A post whose content is known.

    Args:
        harm: what it is.
        key: under which it is known.
        kind: `exact` or the name of the perceptual hash.
        source: id of the decision that made it known; empty when it came from a bank.
        distance: bits in which it differs.
    """

    harm: str
    key: str
    kind: str = "exact"
    source: str = ""
    distance: int = 0

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        return self._asdict()


UNREAD = Match("", "", "unread")  # of a post that could not be looked up


class Matcher(Protocol):
    """Finds posts in a bank of known content."""

    def match(self, posts: Sequence[Post]) -> list[Match | None]:
        """The entry that each post matches, if any; `UNREAD` for one that cannot be looked up.

        May raise: then none of the posts counts as looked up.
        """


class Exact:
    """The entries of the log, by SHA-256 of image, text, or both together.

    Args:
        ledger: where entries are recorded.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def match(self, posts: Sequence[Post]) -> list[Match | None]:
        """The entry of each post, that of the whole content first."""
        with self._ledger.reading() as connection:
            return [_match(connection, post) for post in posts]

    def add(self, key: str, harm: str, *, who: str, why: str = "", source: str = "") -> None:
        """Makes content known.

        Args:
            key: `image:`, `text:` or `content:` and the hex SHA-256.
            harm: what it is.
            who: who says so.
            why: for the record.
            source: id of the decision behind it.

        Raises:
            InputError: `bad-known-key`.
        """
        kind, _, digest = key.partition(":")
        if kind not in ("image", "text", "content") or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            fix = "image:, text: or content: and the 64 hex digits of the SHA-256"
            raise InputError(Problem("bad-known-key", "it is no key of known content", "key", fix=fix))
        with self._ledger.writing() as writer:
            learn(writer, key, harm, who=who, why=why, source=source)

    def withdraw(self, key: str, *, who: str, why: str = "") -> None:
        """Makes content unknown again; what was decided because of it stays until it is appealed or reversed.

        Raises:
            NotFound: `unknown-content`.
        """
        with self._ledger.writing() as writer:
            known = [k for (k,) in writer.connection.execute("SELECT key FROM known WHERE active = 1")]
            if key not in known:
                what = "no content is known under this key"
                raise NotFound(Problem("unknown-content", what, "key", fix=did_you_mean(key, known)))
            forget(writer, key, who=who, cause=why or "withdrawn")


def learn(writer: Writer, key: str, harm: str, *, who: str, why: str, source: str = "") -> None:
    """Records that content is known; nothing when it is known as this already."""
    sql = "SELECT 1 FROM known WHERE key = ? AND harm = ? AND active = 1"
    if writer.connection.execute(sql, (key, harm)).fetchone() is None:
        body = {"key": key, "harm": harm, "source": source, "who": who, "why": why}
        writer.add("known", writer.next_key(), body)


def forget(writer: Writer, key: str, *, who: str, cause: str) -> None:
    """Records that content is no longer known."""
    writer.add("withdraw", writer.next_key(), {"key": key, "who": who, "cause": cause})


def _match(connection: sqlite3.Connection, post: Post) -> Match | None:
    for key in post.keys:
        sql = "SELECT harm, source FROM known WHERE key = ? AND active = 1"
        if row := connection.execute(sql, (key,)).fetchone():
            return Match(row[0], key, "exact", row[1])
    return None
