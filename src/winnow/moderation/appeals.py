"""Appeals: somebody who did not decide before looks again, and may reverse the decision with all that came of it."""

import hashlib
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from winnow.core.errors import Conflict, InputError, NotFound, Problem, unknown
from winnow.core.time import days, iso, to_us
from winnow.moderation.deciding import find
from winnow.moderation.held import Held, Store
from winnow.moderation.ledger import Ledger, Writer
from winnow.moderation.post import Post
from winnow.moderation.reversal import reverse

OUTCOMES = ("upheld", "reversed")
LONGEST_STATEMENT = 10_000


@dataclass(frozen=True)
class Case:
    """What somebody who decides an appeal has to look at.

    Args:
        text, image: of the post; None when its content is not kept.
        statement: of whoever appeals; empty when there is none, or it is not kept any more.
    """

    text: str | None
    image: bytes | None
    statement: str


class Appeals:
    """Opens and decides appeals.

    Args:
        ledger: where they are recorded.
        held: where content goes that is sent along.
        keep_days: for how long.
    """

    def __init__(self, ledger: Ledger, *, held: Store, keep_days: float) -> None:
        self._ledger, self._held, self._keep_days = ledger, held, keep_days

    def open(self, decision: str, *, statement: str = "", post: Post | None = None) -> dict[str, Any]:
        """Opens an appeal against a decision.

        Args:
            decision: id.
            statement: of whoever appeals, at most 10,000 characters; its hash is recorded, the words are kept with the
                content of posts, for as long.
            post: the content again, where it is no longer kept; it must be what was decided about.

        Raises:
            NotFound: `unknown-decision`.
            Conflict: `nothing-to-appeal`, `appeal-open`.
            InputError: `another-post`, `statement-too-long`.
        """
        if len(statement) > LONGEST_STATEMENT:
            what = f"the statement has {len(statement):,} characters"
            raise InputError(Problem("statement-too-long", what, "statement", fix=f"at most {LONGEST_STATEMENT:,}"))
        record = find(self._ledger, decision)
        if post is not None and post.content != record.data["content"]:
            why = "the content has another hash than the one that was decided about"
            raise InputError(Problem("another-post", "the appeal carries another post", "post", why, "send the same"))
        appeal = uuid.uuid4().hex
        kept = ({decision: post} if post is not None else {}) | (
            {_words_of(appeal): Post(text=statement)} if statement else {}
        )
        with self._ledger.writing() as writer:
            _demand_open(writer, decision)
            if kept:  # a crash after this leaves content that its time limit deletes
                now = self._ledger.clock()
                self._held.keep(kept, until=now + to_us(days(self._keep_days)), now=now)
            writer.add("appeal", appeal, {"decision": decision, "statement_sha256": _hashed(statement)})
        return self.one(appeal)

    def case(self, appeal: str, *, reviewer: str) -> Case:
        """What is to be looked at, for somebody who may decide.

        Raises:
            NotFound: `unknown-appeal`.
            Conflict: `appeal-decided`, `same-reviewer`.
        """
        with self._ledger.reading() as connection:
            decision = _undecided(connection, appeal)
            _demand_other(connection, decision, reviewer)
        record, post, words = (
            self._ledger.find("appeal", appeal),
            self._content(decision),
            self._content(_words_of(appeal)),
        )
        said = words.text if words and record and _hashed(words.text) == record.data["statement_sha256"] else ""
        return Case(post.text if post else None, post.image if post else None, said)

    def _content(self, key: str) -> Held | None:
        try:
            return self._held.read(key, now=self._ledger.clock())
        except NotFound:
            return None

    def notice(self, decision: str, *, reasons: Mapping[str, str]) -> dict[str, Any]:
        """What the author of a post may know: what is done, the reason in words, and what became of an appeal.

        Args:
            decision: id.
            reasons: harm → what its authors are told, by the policy in force.

        Raises:
            NotFound: `unknown-decision`.
        """
        record = find(self._ledger, decision)
        with self._ledger.reading() as connection:
            sql = "SELECT action, harm FROM decision WHERE id = ?"
            action, harm = connection.execute(sql, (decision,)).fetchone()
            sql = "SELECT id FROM appeal WHERE decision = ? ORDER BY seq DESC LIMIT 1"
            last = connection.execute(sql, (decision,)).fetchone()
        same = record.data["withheld"] or harm in (record.data["harm"], "")
        appeal = self.one(last[0]) if last else None
        return {
            "id": decision, "at": iso(record.at), "action": action,
            "reason": "" if action == "allow" else record.data["reason"] if same else reasons.get(harm, ""),
            "appeal": {name: appeal[name] for name in ("id", "state", "at")} if appeal else None,
            "may_appeal": action != "allow" and (appeal is None or appeal["state"] != "open"),
            "content_kept": self._content(decision) is not None,
        }  # fmt: skip

    def one(self, appeal: str) -> dict[str, Any]:
        """One appeal.

        Raises:
            NotFound: `unknown-appeal`.
        """
        with self._ledger.reading() as connection:
            decision, state, reviewer, seq = _appeal(connection, appeal)
            at = connection.execute("SELECT at FROM record WHERE seq = ?", (seq,)).fetchone()[0]
        return {"id": appeal, "decision": decision, "state": state, "reviewer": reviewer, "at": iso(at)}

    def listed(self, *, state: str = "open", limit: int = 100, reviewer: str = "") -> list[dict[str, Any]]:
        """Appeals in a state, oldest first; for a reviewer with `yours`, whether they may decide it."""
        sql = "SELECT id, decision FROM appeal WHERE state = ? ORDER BY seq LIMIT ?"
        with self._ledger.reading() as connection:
            found = connection.execute(sql, (state, limit)).fetchall()
            barred = {i: reviewer in (_author(connection, d), *deciders(connection, d)) for i, d in found if reviewer}
        return [self.one(i) | ({"yours": not barred[i]} if reviewer else {}) for i, _ in found]

    def decide(
        self, appeal: str, outcome: str, *, reviewer: str, why: str = "", source_too: bool = False
    ) -> dict[str, Any]:
        """Decides an appeal.

        Args:
            appeal: id.
            outcome: `upheld` or `reversed`.
            reviewer: who decides; nobody who had a part in the decision, or in one that it was derived from.
            why: for the record.
            source_too: reverse also the decision that this one was derived from, with all that came of it.

        Returns:
            The appeal, with the ids of all decisions whose action `changed`.

        Raises:
            NotFound: `unknown-appeal`.
            InputError: `bad-outcome`.
            Conflict: `appeal-decided`, `same-reviewer`.
        """
        if outcome not in OUTCOMES:
            raise InputError(Problem("bad-outcome", "there is no such outcome", "outcome", fix=" or ".join(OUTCOMES)))
        with self._ledger.writing() as writer:
            decision = _undecided(writer.connection, appeal)
            _demand_other(writer.connection, decision, reviewer)
            body = {"appeal": appeal, "decision": decision, "outcome": outcome, "reviewer": reviewer, "why": why}
            writer.add("appealed", appeal, body)
            changed = []
            if outcome == "reversed":
                start = _first_source(writer.connection, decision) if source_too else decision
                changed = reverse(writer, start, who=reviewer, cause=f"appeal:{appeal}", correct=True)
        return self.one(appeal) | {"changed": changed}


def deciders(connection: sqlite3.Connection, decision: str) -> set[str]:
    """Everybody who had a part in a decision or in one that it was derived from: verdicts, changes, appeals."""
    people: set[str] = set()
    for one in _sources(connection, decision):
        for sql in (
            "SELECT reviewer FROM verdict WHERE task = ?",
            "SELECT who FROM change WHERE decision = ?",
            "SELECT reviewer FROM appeal WHERE decision = ? AND state <> 'open'",
        ):
            people.update(who for (who,) in connection.execute(sql, (one,)))
    return people


def _demand_other(connection: sqlite3.Connection, decision: str, reviewer: str) -> None:
    if reviewer == _author(connection, decision) or reviewer in deciders(connection, decision):
        why = "an appeal is a second look by somebody else"
        what = "the reviewer had a part in the decision, or wrote the post"
        raise Conflict(Problem("same-reviewer", what, "reviewer", why, "let another reviewer decide"))


def _author(connection: sqlite3.Connection, decision: str) -> str:
    return str(connection.execute("SELECT author FROM decision WHERE id = ?", (decision,)).fetchone()[0])


def _undecided(connection: sqlite3.Connection, appeal: str) -> str:
    """The decision that an open appeal is against."""
    decision, state, _, _ = _appeal(connection, appeal)
    if state != "open":
        raise Conflict(Problem("appeal-decided", f"the appeal was {state} before", "appeal", fix="open another"))
    return decision


def _words_of(appeal: str) -> str:
    """The name under which a statement is kept."""
    return f"appeal:{appeal}"


def _hashed(statement: str) -> str:
    return hashlib.sha256(statement.encode("utf-8", "surrogatepass")).hexdigest()


def _demand_open(writer: Writer, decision: str) -> None:
    connection = writer.connection
    action = connection.execute("SELECT action FROM decision WHERE id = ?", (decision,)).fetchone()[0]
    if action == "allow":
        what, fix = "nothing is done about this post now", "there is nothing to reverse"
        raise Conflict(Problem("nothing-to-appeal", what, "decision", fix=fix))
    if connection.execute("SELECT 1 FROM appeal WHERE decision = ? AND state = 'open'", (decision,)).fetchone():
        raise Conflict(Problem("appeal-open", "an appeal is open already", "decision", fix="wait for it"))


def _appeal(connection: sqlite3.Connection, appeal: str) -> tuple[str, str, str, int]:
    sql = "SELECT decision, state, reviewer, seq FROM appeal WHERE id = ?"
    row = connection.execute(sql, (appeal,)).fetchone()
    if row is None:
        raise unknown("appeal", appeal, [], where="id")
    return row[0], row[1], row[2], row[3]


def _sources(connection: sqlite3.Connection, decision: str) -> list[str]:
    """A decision and those that it was derived from, itself first."""
    found: list[str] = []
    while decision and decision not in found:
        found.append(decision)
        row = connection.execute("SELECT source FROM decision WHERE id = ?", (decision,)).fetchone()
        decision = row[0] if row else ""
    return found


def _first_source(connection: sqlite3.Connection, decision: str) -> str:
    return _sources(connection, decision)[-1]
