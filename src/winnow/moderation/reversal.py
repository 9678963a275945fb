"""Changing what holds: a decision, and with it everything that was derived from it. All as new records."""

import sqlite3
from collections.abc import Iterator
from typing import Any

from winnow.moderation.deciding import count_strikes
from winnow.moderation.known import forget, learn
from winnow.moderation.ledger import Writer


def change(
    writer: Writer, decision: str, *, action: str, harm: str, who: str, cause: str, reversal: bool = False
) -> bool:
    """Lets another action hold for a decision; whether that differs from what held before.

    Args:
        writer: of the transaction.
        decision: id.
        action: that holds from now on.
        harm: that calls for it; empty for none.
        who: who decides.
        cause: the record behind it, as in `appeal:…` or `verdict:…`.
        reversal: whether the decision is found to have been wrong.
    """
    before, harm_before, author = _row(writer.connection, decision)
    if before == action and harm_before == harm:
        return False
    strikes = count_strikes(writer.connection, author)
    new = strikes + (action in STRIKES) - (before in STRIKES) if author else 0
    body: dict[str, Any] = {"decision": decision, "before": before, "after": action, "harm": harm}
    body |= {"reversal": reversal, "who": who, "cause": cause}
    counted = {"author": author, "before": strikes, "after": new}
    writer.add("change", writer.next_key(), body | {"harm_before": harm_before, "strikes": counted})
    return True


STRIKES = ("remove", "escalate")


def reverse(writer: Writer, decision: str, *, who: str, cause: str, correct: bool) -> list[str]:
    """Reverses a decision and everything derived from it; returns the ids of which the action changed.

    What is known because of them is known no longer, the decisions that this led to are reversed in turn, and labels
    that called them harmful are corrected.

    Args:
        writer: of the transaction.
        decision: id.
        who: who decides.
        cause: the record behind it.
        correct: whether labels were wrong too: after an appeal, not while reviewers still disagree.
    """
    changed = []
    for one in list(derived(writer.connection, decision)):
        if change(writer, one, action="allow", harm="", who=who, cause=cause, reversal=True):
            changed.append(one)
        for key in _known_from(writer.connection, one):
            forget(writer, key, who=who, cause=cause)
        if correct:
            _correct(writer, one, who=who, cause=cause)
    return changed


def derived(connection: sqlite3.Connection, decision: str) -> Iterator[str]:
    """A decision and all that rest on it, sources first."""
    seen, waiting = {decision}, [decision]
    while waiting:
        one = waiting.pop(0)
        yield one
        rows = connection.execute("SELECT id FROM decision WHERE source = ? ORDER BY seq", (one,)).fetchall()
        fresh = [i for (i,) in rows if i not in seen]
        seen.update(fresh)
        waiting += fresh


def take_back(writer: Writer, cause: str, *, decision: str, who: str) -> None:
    """Undoes what one verdict about a decision caused, however far it reached.

    Args:
        writer: of the transaction.
        cause: of the changes.
        decision: that the verdict was about.
        who: who takes it back.
    """
    connection, because = writer.connection, f"undo of {cause}"
    for key in _known_from(connection, decision):
        forget(writer, key, who=who, cause=because)
    for one in list(derived(connection, decision))[1:]:  # what was decided meanwhile because the content was known
        if _last_cause(connection, one) != cause:
            change(writer, one, action="allow", harm="", who=who, cause=because, reversal=True)
    sql = "SELECT decision, before, harm_before FROM change WHERE cause = ? ORDER BY seq DESC"
    for one, before, harm in connection.execute(sql, (cause,)).fetchall():
        change(writer, one, action=before, harm=harm, who=who, cause=because)
    sql = "SELECT w.key, k.harm, k.source FROM withdrawal w JOIN known k ON k.key = w.key WHERE w.cause = ?"
    for key, harm, source in connection.execute(sql, (cause,)).fetchall():
        learn(writer, key, harm, who=who, why=because, source=source)


def overtaken(connection: sqlite3.Connection, cause: str) -> bool:
    """Whether something else has changed a decision since this cause did."""
    rows = connection.execute("SELECT DISTINCT decision FROM change WHERE cause = ?", (cause,)).fetchall()
    return any(_last_cause(connection, one) != cause for (one,) in rows)


def _last_cause(connection: sqlite3.Connection, decision: str) -> str:
    sql = "SELECT cause FROM change WHERE decision = ? ORDER BY seq DESC LIMIT 1"
    row = connection.execute(sql, (decision,)).fetchone()
    return str(row[0]) if row else ""


def _row(connection: sqlite3.Connection, decision: str) -> tuple[str, str, str]:
    sql = "SELECT action, harm, author FROM decision WHERE id = ?"
    action, harm, author = connection.execute(sql, (decision,)).fetchone()
    return action, harm, author


def _known_from(connection: sqlite3.Connection, decision: str) -> list[str]:
    rows = connection.execute("SELECT key FROM known WHERE source = ? AND active = 1", (decision,)).fetchall()
    return [key for (key,) in rows]


def _correct(writer: Writer, decision: str, *, who: str, cause: str) -> None:
    """Labels that called the post harmful give way to ones that do not; the old ones stay in the log."""
    sql = "SELECT head, verdict, weight FROM label WHERE decision = ? ORDER BY seq"
    latest = {head: (said, weight) for head, said, weight in writer.connection.execute(sql, (decision,))}
    wrong = {head: 0 for head, (said, _) in latest.items() if said == 1}
    if wrong:
        weight = max(latest[head][1] for head in wrong)
        body: dict[str, Any] = {"decision": decision, "heads": wrong, "reviewer": who, "weight": weight, "cause": cause}
        writer.add("correct", writer.next_key(), body)
