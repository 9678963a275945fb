"""Decisions: what was considered goes into the log, once for each request; the content itself does not."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from winnow.core.errors import Conflict, InputError, Problem, Unavailable, unknown
from winnow.core.time import days, iso, to_us
from winnow.moderation.bench import Bench, Considered
from winnow.moderation.book import Book, Version
from winnow.moderation.chain import Head, Record
from winnow.moderation.config import Reviewing
from winnow.moderation.gathering import Gathering
from winnow.moderation.held import Store
from winnow.moderation.ledger import Ledger, Writer
from winnow.moderation.post import Post

MOST_AT_ONCE = 1_000
_TRIES = 10


class Decider:
    """Decides about posts under the policy in force.

    Args:
        ledger: where decisions are recorded.
        book: the policies.
        bench: judges and banks.
        held: where the content of posts goes that people have to look at.
        review: how people review.
    """

    def __init__(self, ledger: Ledger, book: Book, bench: Bench, *, held: Store, review: Reviewing) -> None:
        self._ledger, self._book, self._bench, self._held, self._review = ledger, book, bench, held, review
        self._together = Gathering(ledger)

    def decide(self, posts: Sequence[Post]) -> list[dict[str, Any]]:
        """What is done about posts; recorded when this returns. A request that was decided before is not decided anew.

        Args:
            posts: at most 1,000.

        Returns:
            For each post `{"id", "action", "reason", "harm", "escalate", "scores", "spans", "regions",
            "not_evaluated", "policy",
            "model", "record": {"seq", "hash"}}`; of known content of the gravest kind no details.

        Raises:
            InputError: `bad-post`, `too-many-posts`.
            Conflict: `no-policy`, `request-reused`.
            Unavailable: `log-full`, `log-busy`; nothing was decided.
        """
        if len(posts) > MOST_AT_ONCE:
            what = f"{len(posts):,} posts at once"
            raise InputError(Problem("too-many-posts", what, "posts", fix=f"at most {MOST_AT_ONCE:,}"))
        for post in posts:
            post.check()
        ids = [post.request or uuid.uuid4().hex for post in posts]
        done = self._before(dict(zip(ids, posts, strict=True)))
        fresh = {i: post for i, post in zip(ids, posts, strict=True) if i not in done}
        if fresh:
            done |= self._decided(fresh)
        return [_same(done[i], post) for i, post in zip(ids, posts, strict=True)]

    def _before(self, posts: Mapping[str, Post]) -> dict[str, Record]:
        found = {i: self._ledger.find("decision", i) for i, post in posts.items() if post.request}
        done = {i: record for i, record in found.items() if record is not None}
        for record in done.values():
            self._ledger.assure(Head(record.seq, record.hash))  # told to somebody again, so it must not get lost
        return done

    def _decided(self, fresh: Mapping[str, Post]) -> dict[str, Record]:
        for _ in range(_TRIES):
            try:
                return self._recorded(fresh)
            except _Withdrawn:
                continue  # content stopped being known between the look and the record
        fix = "send the request again"
        raise Unavailable(Problem("known-content-moves", "known content keeps changing", fix=fix))

    def _recorded(self, fresh: Mapping[str, Post]) -> dict[str, Record]:
        version = self._book.in_force()
        posts = [structs.replace(post, request=i) for i, post in fresh.items()]
        considered = dict(zip(fresh, self._bench.consider(posts, version.policy), strict=True))
        bodies = {i: self._body(i, one, version) for i, one in considered.items()}
        now = self._ledger.clock()
        if kept := {i: fresh[i] for i, body in bodies.items() if body["lane"]}:
            # First the content, then the record: a crash between leaves content that its time limit deletes.
            self._held.keep(kept, until=now + to_us(days(self._review.keep_days)), now=now)

        def write(writer: Writer) -> dict[str, Record]:
            for one in considered.values():
                _demand_known(writer, one)
            return {i: writer.add("decision", i, body) for i, body in bodies.items()}

        records: dict[str, Record] = self._together.write(write)
        return records

    def _body(self, request: str, one: Considered, version: Version) -> dict[str, Any]:
        post, ruling, seals = one.post, one.ruling, self._ledger.seals
        share = self._review.sample_share
        sampled = seals.chance("sample", request) < share
        return {
            "post": post.post or request, "author": post.author, "verified": list(post.verified),
            "new_author": post.new_author,
            "language": post.language, "country": post.country, "reach": post.reach,
            "content": post.content, "inputs": post.inputs, "keys": list(post.keys),
            "model": one.model, "policy": version.version, "scores": dict(one.scores),
            "spans": [list(span) for span in one.spans], "regions": [list(region) for region in one.regions],
            "silent": sorted(one.silent),
            "action": ruling.action, "harm": ruling.harm, "reason": ruling.reason, "escalate": ruling.escalate,
            "exception": ruling.exception, "unseen": list(ruling.unseen), "withheld": ruling.withheld,
            "expected": ruling.expected, "match": one.match.to_data() if one.match else None,
            "source": one.match.source if one.match else "",
            # The chance to be reviewed whatever was decided: without it no prevalence can be estimated.
            "sample": share if sampled else 0.0, "share": share,
            "lane": "harm" if ruling.review else "sample" if sampled else "",
            "need": 2 if seals.chance("double", request) < self._review.double_share else 1,
        }  # fmt: skip


class _Withdrawn(Exception):
    """Known content that a decision rests on is no longer known."""


def _demand_known(writer: Writer, one: Considered) -> None:
    """A reversal reverses what was derived before it; nothing may be derived from what it has withdrawn."""
    if one.match is not None and one.match.source:
        sql = "SELECT 1 FROM known WHERE key = ? AND source = ? AND active = 1"
        if writer.connection.execute(sql, (one.match.key, one.match.source)).fetchone() is None:
            raise _Withdrawn


def _same(record: Record, post: Post) -> dict[str, Any]:
    """The reply for a record, if it is about this post."""
    if record.data["inputs"] != post.inputs:
        why = "a request id stands for one post"
        what = "another post was decided under this request id"
        raise Conflict(Problem("request-reused", what, "request", why, "send every post under an id of its own"))
    return reply(record)


def reply(record: Record) -> dict[str, Any]:
    """What whoever sent a post is told about the decision."""
    data = record.data
    hidden = data["withheld"]
    told = {name: data[name] for name in ("action", "reason", "escalate", "policy", "model")}
    detail = {"harm": "", "scores": {}, "spans": [], "regions": [], "not_evaluated": [], "model": ""} if hidden else {
        "harm": data["harm"], "scores": data["scores"], "spans": data["spans"], "regions": data.get("regions", []),
        "not_evaluated": data["unseen"],
    }  # fmt: skip
    return {"id": record.key, **told, **detail, "record": {"seq": record.seq, "hash": record.hash}}


def told(ledger: Ledger, decision: str) -> dict[str, Any]:
    """Everything about one decision, for those who review: as it was made, what became of it, and why.

    Raises:
        NotFound: `unknown-decision`.
    """
    record = find(ledger, decision)
    with ledger.reading() as connection:
        row = connection.execute("SELECT action, harm, reversed FROM decision WHERE id = ?", (decision,)).fetchone()
        changes = connection.execute(
            "SELECT seq, before, after, reversal, who, cause FROM change WHERE decision = ? ORDER BY seq", (decision,)
        ).fetchall()
        appeals = connection.execute("SELECT id, state FROM appeal WHERE decision = ?", (decision,)).fetchall()
    names = ("seq", "before", "after", "reversal", "who", "cause")
    return {
        "id": decision, "at": iso(record.at), "made": record.data,
        "action": row[0], "harm": row[1], "reversed": bool(row[2]),
        "changes": [dict(zip(names, change, strict=True)) for change in changes],
        "appeals": [{"id": i, "state": state} for i, state in appeals],
        "record": {"seq": record.seq, "hash": record.hash, "previous": record.previous},
    }  # fmt: skip


def find(ledger: Ledger, decision: str) -> Record:
    """The record of a decision.

    Raises:
        NotFound: `unknown-decision`.
    """
    record = ledger.find("decision", decision)
    if record is None:
        raise unknown("decision", decision, [], where="id")
    return record


def listed(
    ledger: Ledger, *, before: int = 0, limit: int = 100, author: str = "", action: str = ""
) -> list[dict[str, Any]]:
    """Decisions, newest first: what was decided and what holds now.

    Args:
        ledger: the log.
        before: only records before this `seq`; 0 for the newest.
        limit: how many at most.
        author: only those about posts of an author.
        action: only those of which this action holds.
    """
    where, values = ["1"], list[Any]()
    for condition, value in (("seq < ?", before), ("author = ?", author), ("action = ?", action)):
        if value:
            where.append(condition)
            values.append(value)
    names = ("seq", "id", "author", "made", "action", "harm", "reversed", "policy", "source", "at")
    sql = f"SELECT {', '.join(names)} FROM decision WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"
    with ledger.reading() as connection:
        rows = connection.execute(sql, (*values, limit)).fetchall()
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [one | {"reversed": bool(one["reversed"]), "at": iso(one["at"])} for one in found]


def strikes(ledger: Ledger, author: str) -> int:
    """How many posts of an author are removed or escalated now; what was reversed does not count."""
    with ledger.reading() as connection:
        return count_strikes(connection, author)


def count_strikes(connection: Any, author: str) -> int:
    """`strikes`, in a transaction."""
    sql = "SELECT COUNT(*) FROM decision WHERE author = ? AND author <> '' AND action IN ('remove', 'escalate')"
    return int(connection.execute(sql, (author,)).fetchone()[0])
