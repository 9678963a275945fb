"""Appeals: somebody who did not decide before looks again, and may reverse the decision with all that came of it."""

import hashlib
import sqlite3
import uuid
from typing import Any

from winnow.core.errors import Conflict, InputError, Problem, unknown
from winnow.core.time import days, iso, to_us
from winnow.moderation.deciding import find
from winnow.moderation.held import Store
from winnow.moderation.ledger import Ledger, Writer
from winnow.moderation.post import Post
from winnow.moderation.reversal import reverse

OUTCOMES = ("upheld", "reversed")


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
            statement: of whoever appeals; only its hash is recorded.
            post: the content again, where it is no longer kept; it must be what was decided about.

        Raises:
            NotFound: `unknown-decision`.
            Conflict: `nothing-to-appeal`, `appeal-open`.
            InputError: `another-post`.
        """
        record = find(self._ledger, decision)
        if post is not None and post.content != record.data["content"]:
            why = "the content has another hash than the one that was decided about"
            raise InputError(Problem("another-post", "the appeal carries another post", "post", why, "send the same"))
        if post is not None:
            now = self._ledger.clock()
            self._held.keep({decision: post}, until=now + to_us(days(self._keep_days)), now=now)
        appeal = uuid.uuid4().hex
        words = hashlib.sha256(statement.encode("utf-8", "surrogatepass")).hexdigest()
        with self._ledger.writing() as writer:
            _demand_open(writer, decision)
            writer.add("appeal", appeal, {"decision": decision, "statement_sha256": words})
        return self.one(appeal)

    def one(self, appeal: str) -> dict[str, Any]:
        """One appeal.

        Raises:
            NotFound: `unknown-appeal`.
        """
        with self._ledger.reading() as connection:
            decision, state, reviewer, seq = _appeal(connection, appeal)
            at = connection.execute("SELECT at FROM record WHERE seq = ?", (seq,)).fetchone()[0]
        return {"id": appeal, "decision": decision, "state": state, "reviewer": reviewer, "at": iso(at)}

    def listed(self, *, state: str = "open", limit: int = 100) -> list[dict[str, Any]]:
        """Appeals in a state, oldest first."""
        sql = "SELECT id FROM appeal WHERE state = ? ORDER BY seq LIMIT ?"
        with self._ledger.reading() as connection:
            found = [i for (i,) in connection.execute(sql, (state, limit))]
        return [self.one(i) for i in found]

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
            decision, state, _, _ = _appeal(writer.connection, appeal)
            if state != "open":
                raise Conflict(
                    Problem("appeal-decided", f"the appeal was {state} before", "appeal", fix="open another")
                )
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
    author = connection.execute("SELECT author FROM decision WHERE id = ?", (decision,)).fetchone()[0]
    if reviewer == author or reviewer in deciders(connection, decision):
        why = "an appeal is a second look by somebody else"
        what = "the reviewer had a part in the decision, or wrote the post"
        raise Conflict(Problem("same-reviewer", what, "reviewer", why, "let another reviewer decide"))


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
