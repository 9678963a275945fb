"""Records that chain by hash: each holds the hash of the one before, so that nothing can be changed unseen.

hash = SHA-256(previous hash ‖ seq ‖ kind ‖ key ‖ at ‖ body), joined by line feeds; all but the body in ASCII digits,
hex or words without line feeds, the body as canonical JSON in UTF-8.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from winnow.core.declare import canonical
from winnow.core.errors import InputError, Problem

GENESIS = "0" * 64


@dataclass(frozen=True)
class Record:
    """One line of the log.

    Args:
        seq: 1 for the first, without gaps.
        kind: what it is about.
        key: unique within its kind; writing one again changes nothing.
        at: microseconds UTC.
        body: JSON data, as canonical text.
        previous: hex hash of the record before.
        hash: hex hash of this one.
    """

    seq: int
    kind: str
    key: str
    at: int
    body: str
    previous: str
    hash: str

    @property
    def data(self) -> dict[str, Any]:
        """The body."""
        return dict(json.loads(self.body))

    @property
    def computed(self) -> str:
        """The hash that this record should have."""
        head = f"{self.previous}\n{self.seq}\n{self.kind}\n{self.key}\n{self.at}\n"
        return hashlib.sha256((head + self.body).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Head:
    """The last record of a chain, as somebody outside noted it."""

    seq: int
    hash: str


@dataclass(frozen=True)
class Verdict:
    """What checking a chain found.

    Args:
        ok: whether nothing is wrong.
        records: how many are there.
        head: the last of them.
        first_bad: `seq` of the first record that is not as it was written; None when all are.
        problem: what is wrong with it; empty when nothing is.
    """

    ok: bool
    records: int
    head: Head
    first_bad: int | None = None
    problem: str = ""


def record(seq: int, previous: str, *, kind: str, key: str, at: int, body: Mapping[str, Any]) -> Record:
    """The next record of a chain.

    Raises:
        InputError: `bad-post`, for a key that could be mistaken for something else.
    """
    if not key.isprintable():
        what = "an id holds line breaks or control characters"
        raise InputError(Problem("bad-post", what, kind, fix="use plain ids"))
    draft = Record(seq, kind, key, at, canonical(body), previous, "")
    return Record(seq, kind, key, at, draft.body, previous, draft.computed)


def check(records: Iterable[Record], seals: Iterable[Head], *, outside: Head | None = None) -> Verdict:
    """Walks a chain from the beginning and holds it against the seals.

    Args:
        records: in order of `seq`.
        seals: heads that were noted beside the chain, in order of `seq`.
        outside: a head that somebody noted elsewhere.
    """
    noted = iter(sorted([*seals, *([outside] if outside else [])], key=lambda head: head.seq))
    last, sealed, wanted = Head(0, GENESIS), 0, next(noted, None)
    for one in records:
        if problem := _broken(one, last):
            return Verdict(False, one.seq, last, last.seq + 1, problem)
        last = Head(one.seq, one.hash)
        while wanted is not None and wanted.seq == one.seq:
            if wanted.hash != one.hash:
                # The chain fits together but was written anew, from somewhere after the last seal that holds.
                return Verdict(False, one.seq, last, sealed + 1, f"records {sealed + 1} to {one.seq} were written anew")
            sealed, wanted = one.seq, next(noted, None)
    if wanted is not None:
        seen = max([wanted, *noted], key=lambda head: head.seq)
        problem = f"records {last.seq + 1} to {seen.seq} are missing at the end"
        return Verdict(False, last.seq, last, last.seq + 1, problem)
    return Verdict(True, last.seq, last)


def _broken(one: Record, last: Head) -> str:
    if one.seq != last.seq + 1:
        return f"record {last.seq + 1} is missing"
    if one.previous != last.hash:
        return f"record {one.seq} does not follow the one before"
    return f"record {one.seq} was changed" if one.computed != one.hash else ""


def changed(verdict: Verdict, first_bad: int | None, problem: str) -> Verdict:
    """A verdict with another finding."""
    return Verdict(False, verdict.records, verdict.head, first_bad, problem)


def numbered(rows: Iterable[tuple[Any, ...]]) -> Iterator[Record]:
    """Records from rows of the database."""
    return (Record(*row) for row in rows)
