"""Human review: who looks at what next, what they find, and what follows from it.

Three lanes: `harm` ordered by expected harm, a random `sample` of everything, and `golden` posts with a known answer.
A reviewer is not told which lane a post comes from.
"""

import json
import random
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from winnow.core.errors import Conflict, Problem, unknown
from winnow.core.time import days, iso, seconds, to_us
from winnow.moderation.book import Book
from winnow.moderation.chain import Record
from winnow.moderation.config import Reviewing
from winnow.moderation.held import Store
from winnow.moderation.known import learn
from winnow.moderation.ledger import Ledger, Writer
from winnow.moderation.policy import Policy
from winnow.moderation.post import Post
from winnow.moderation.reversal import change, overtaken, reverse, take_back
from winnow.moderation.verdicts import Heads, majority

_CLAIMS = (
    """CREATE TABLE IF NOT EXISTS claim (
        task TEXT, reviewer TEXT, token TEXT, until INTEGER, skipped INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (task, reviewer)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS claim_reviewer ON claim (reviewer, until)",
)
MOST_VERDICTS = 5  # after so many a tie counts as harmful

_FREE = """
SELECT t.id FROM task t WHERE t.state = 'open' {lane} AND t.author <> :me
  AND NOT EXISTS (SELECT 1 FROM verdict v WHERE v.task = t.id AND v.reviewer = :me AND v.voided = 0)
  AND NOT EXISTS (SELECT 1 FROM claim c WHERE c.task = t.id AND c.reviewer = :me AND c.skipped)
  {room} ORDER BY {order} LIMIT 1
"""
_ROOM = """
  AND (SELECT COUNT(*) FROM verdict v WHERE v.task = t.id AND v.voided = 0)
    + (SELECT COUNT(*) FROM claim c WHERE c.task = t.id AND c.until > :now AND c.reviewer <> :me) < t.need
"""
_LANES = {
    "golden": _FREE.format(lane="AND t.lane = 'golden'", room="", order="t.seq"),
    "harm": _FREE.format(lane="AND t.lane = 'harm'", room=_ROOM, order="t.expected DESC, t.seq"),
    # Oldest first, whichever lane they are in: the prevalence rests on a stretch without gaps.
    "sample": _FREE.format(lane="AND t.sampled = 1", room=_ROOM, order="t.seq"),
}


class Review:
    """The queue and the verdicts.

    Args:
        ledger: where verdicts are recorded.
        book: the policies, for harms and what follows from them.
        held: the content of posts under review.
        how: leases, shares and times.
        chance: of which lane comes next.
    """

    def __init__(
        self, ledger: Ledger, book: Book, *, held: Store, how: Reviewing, chance: random.Random | None = None
    ) -> None:
        self._ledger, self._book, self._held, self._how = ledger, book, held, how
        self._chance = chance or random.SystemRandom()
        with ledger.database.write() as connection:
            for statement in _CLAIMS:
                connection.execute(statement)

    # Whose turn

    def next(self, reviewer: str) -> dict[str, Any] | None:
        """The post that a reviewer looks at next, theirs until the lease ends; None when nothing waits.

        Asking again before the verdict gives the same post.
        """
        policy, now = self._book.in_force().policy, self._ledger.clock()
        with self._ledger.database.write() as connection:
            task = _mine(connection, reviewer, now) or self._free(connection, reviewer, now)
            if task is None:
                return None
            until, token = now + to_us(seconds(self._how.lease_s)), _token(connection, task, reviewer)
            connection.execute("REPLACE INTO claim VALUES (?, ?, ?, ?, 0)", (task, reviewer, token, until))
        return self._shown(task, policy) | {"token": token, "until": iso(until)}

    def _free(self, connection: sqlite3.Connection, reviewer: str, now: int) -> str | None:
        asked = {"me": reviewer, "now": now}
        for lane in self._lanes():
            if row := connection.execute(_LANES[lane], asked).fetchone():
                return str(row[0])
        return None

    def _lanes(self) -> list[str]:
        """In which order lanes are asked this time; posts with a known answer only when it is their turn."""
        golden = ["golden"] if self._chance.random() < self._how.golden_share else []
        sample_first = self._chance.random() < self._how.sample_turn
        return [*golden, *(("sample", "harm") if sample_first else ("harm", "sample"))]

    def skip(self, task: str, *, reviewer: str) -> None:
        """Gives a post back, to somebody else."""
        with self._ledger.database.write() as connection:
            connection.execute(
                "UPDATE claim SET until = 0, skipped = 1 WHERE task = ? AND reviewer = ?", (task, reviewer)
            )

    def _shown(self, task: str, policy: Policy) -> dict[str, Any]:
        record = self._ledger.find("decision", task) or self._ledger.find("golden", task)
        if record is None:
            raise unknown("task", task, [], where="task")
        data = record.data
        return {
            "task": task, "at": iso(record.at), "scores": data["scores"], "spans": data["spans"],
            "language": data["language"], "reach": data["reach"], "reactions": {},
            "heads": {name: harm.reason for name, harm in policy.harms.items()},
        }  # fmt: skip

    def content(self, task: str, *, reviewer: str) -> tuple[str, bytes | None]:
        """Text and image of a post that the reviewer holds.

        Raises:
            Conflict: `claim-lost`.
            NotFound: `content-gone`.
        """
        now = self._ledger.clock()
        with self._ledger.reading() as connection:
            _demand_claim(connection, task, reviewer)
        held = self._held.read(task, now=now)
        return held.text, held.image

    # Verdicts

    def verdict(self, task: str, heads: Heads | None, *, reviewer: str) -> dict[str, Any]:
        """Records what a reviewer found; acts on it once enough reviewers agree. Repeating it changes nothing.

        Args:
            task: of `next`.
            heads: harm → whether the post has it; harms left out count as not. None for cannot tell.
            reviewer: who found it.

        Returns:
            `{"task", "verdict", "undo_until"}`: the `seq` of the verdict, and until when it can be taken back.

        Raises:
            Conflict: `claim-lost`, when the lease is over and somebody else has taken over.
            NotFound: `unknown-harm`.
        """
        policy = self._book.in_force().policy
        for head in heads or ():
            if head not in policy.harms:
                raise unknown("harm", head, policy.harms, where="heads")
        said = None if heads is None else {name: int(bool(heads.get(name))) for name in policy.harms}
        with self._ledger.writing() as writer:
            token = _demand_claim(writer.connection, task, reviewer)
            known = writer.find("verdict", token)
            record = known or self._recorded(writer, task, said, reviewer=reviewer, token=token)
            if known is None and not record.data["golden"]:
                _resolve(writer, task, policy, cause=record, spread=self._how.spread)
        until = record.at + to_us(seconds(self._how.undo_s))
        return {"task": task, "verdict": record.seq, "undo_until": iso(until)}

    def _recorded(
        self, writer: Writer, task: str, heads: Mapping[str, int] | None, *, reviewer: str, token: str
    ) -> Record:
        _demand_room(writer, task, reviewer)
        golden = writer.find("golden", task) is not None
        body = {"task": task, "reviewer": reviewer, "heads": heads or {}, "unsure": heads is None, "golden": golden}
        weight = 1.0 if golden else _weight(writer, task)
        record = writer.add("verdict", token, body | {"weight": weight})
        writer.connection.execute("UPDATE claim SET until = 0 WHERE task = ? AND reviewer = ?", (task, reviewer))
        return record

    def undo(self, verdict: int, *, reviewer: str) -> dict[str, Any]:
        """Takes a verdict back, with all that came of it; the post is the reviewer's again.

        Raises:
            NotFound: `unknown-verdict`, also for those of others.
            Conflict: `undo-too-late`.
        """
        now = self._ledger.clock()
        with self._ledger.writing() as writer:
            sql = "SELECT task, at FROM verdict WHERE seq = ? AND reviewer = ? AND voided = 0"
            row = writer.connection.execute(sql, (verdict, reviewer)).fetchone()
            if row is None:
                raise unknown("verdict", str(verdict), [], where="verdict")
            task, cause = row[0], f"verdict:{verdict}"
            late = now > row[1] + to_us(seconds(self._how.undo_s))
            if late or overtaken(writer.connection, cause):
                why = "the time is over" if late else "something else has been decided since"
                fix = "open an appeal, or ask for another review"
                raise Conflict(Problem("undo-too-late", "the verdict can no longer be taken back", "verdict", why, fix))
            need = 0 if writer.find("golden", task) else _decision(writer, task)["need"]
            writer.add("undo", str(verdict), {"verdict": verdict, "task": task, "reviewer": reviewer, "need": need})
            take_back(writer, cause, decision=task, who=reviewer)
            lease = now + to_us(seconds(self._how.lease_s))
            # It comes back before whatever came after it.
            writer.connection.execute("UPDATE claim SET until = 0 WHERE reviewer = ?", (reviewer,))
            claim = (task, reviewer, uuid.uuid4().hex, lease)
            writer.connection.execute("REPLACE INTO claim VALUES (?, ?, ?, ?, 0)", claim)
        return {"task": task}

    def add_golden(self, post: Post, truth: Heads, *, shown: Mapping[str, Any], who: str) -> str:
        """Puts a post with a known answer among the others, to see how well reviewers do; returns its id.

        Args:
            post: its content.
            truth: harm → whether the post has it.
            shown: `scores` and `spans` as judges gave them.
            who: who knows the answer.

        Raises:
            InputError: `bad-post`.
            NotFound: `unknown-harm`.
        """
        post.check()
        harms = self._book.in_force().policy.harms
        for head in truth:
            if head not in harms:
                raise unknown("harm", head, harms, where="truth")
        task = uuid.uuid4().hex
        now = self._ledger.clock()
        self._held.keep({task: post}, until=now + to_us(days(36_500)), now=now)
        body = {
            "truth": {head: int(bool(said)) for head, said in truth.items()}, "who": who, "language": post.language,
            "reach": post.reach, "scores": dict(shown["scores"]), "spans": list(shown["spans"]),
            "content": post.content,
        }  # fmt: skip
        with self._ledger.writing() as writer:
            writer.add("golden", task, body)
        return task

    def counts(self, reviewer: str = "") -> dict[str, Any]:
        """How much waits: posts by lane, those claimed now, the oldest, appeals, and what a reviewer has done."""
        now = self._ledger.clock()
        with self._ledger.reading() as c:
            lanes = dict(c.execute("SELECT lane, COUNT(*) FROM task WHERE state = 'open' GROUP BY lane").fetchall())
            oldest = c.execute(
                "SELECT MIN(d.at) FROM task t JOIN decision d ON d.id = t.id WHERE t.state = 'open'"
            ).fetchone()[0]
            claimed = c.execute("SELECT COUNT(*) FROM claim WHERE until > ?", (now,)).fetchone()[0]
            done = c.execute("SELECT COUNT(*) FROM verdict WHERE reviewer = ? AND voided = 0", (reviewer,)).fetchone()[
                0
            ]
            appeals = c.execute("SELECT COUNT(*) FROM appeal WHERE state = 'open'").fetchone()[0]
        waiting = lanes.get("harm", 0) + lanes.get("sample", 0)
        return {
            "waiting": waiting, "claimed": claimed, "done": done, "appeals": appeals,
            "oldest": iso(oldest) if oldest else None,
        }  # fmt: skip


def _resolve(writer: Writer, task: str, policy: Policy, *, cause: Record, spread: bool) -> None:
    """Acts on the verdicts about a post if there are enough of them and they agree."""
    said = _verdicts(writer, task)
    need = int(writer.connection.execute("SELECT need FROM task WHERE id = ?", (task,)).fetchone()[0])
    if len(said) < need:
        return
    heads = majority(said, policy.harms, final=len(said) >= MOST_VERDICTS)
    if heads is None:
        more = max(3, len(said) + 1)
        writer.add("dispute", writer.next_key(), {"task": task, "need": more, "because": cause.seq})
        return
    writer.add("resolve", writer.next_key(), {"task": task, "heads": heads, "because": cause.seq})
    if heads:
        _act(writer, task, policy, found=[h for h, is_so in heads.items() if is_so], cause=cause, spread=spread)


def _act(writer: Writer, task: str, policy: Policy, *, found: list[str], cause: Record, spread: bool) -> None:
    """What follows from an agreed finding: the confirmed action, or the end of one that was wrong."""
    who, because = cause.data["reviewer"], f"verdict:{cause.seq}"
    if _appealed(writer.connection, task):
        return  # an appeal has the last word
    if not found:
        reverse(writer, task, who=who, cause=because, correct=False)
        return
    harm = max(found, key=lambda h: (policy.strength(policy.harms[h].confirmed), policy.harms[h].severity))
    change(writer, task, action=policy.harms[harm].confirmed, harm=harm, who=who, cause=because)
    content = _decision(writer, task)
    if spread and not content["source"]:
        learn(writer, f"content:{content['content']}", harm, who=who, why="found by review", source=task)


def _verdicts(writer: Writer, task: str) -> list[dict[str, int]]:
    """The verdicts that count, those who could not tell as empty."""
    sql = "SELECT heads FROM verdict WHERE task = ? AND voided = 0 ORDER BY seq"
    return [json.loads(heads) for (heads,) in writer.connection.execute(sql, (task,))]


def _decision(writer: Writer, task: str) -> dict[str, Any]:
    record = writer.find("decision", task)
    if record is None:
        raise unknown("task", task, [], where="task")
    return record.data


def _weight(writer: Writer, task: str) -> float:
    """For how many posts a label stands: one over the chance that the post came to review."""
    decision = _decision(writer, task)
    return 1.0 if decision["lane"] == "harm" else 1.0 / float(decision["sample"])


def _appealed(connection: sqlite3.Connection, task: str) -> bool:
    sql = "SELECT 1 FROM appeal WHERE decision = ? AND state = 'reversed'"
    return connection.execute(sql, (task,)).fetchone() is not None


def _mine(connection: sqlite3.Connection, reviewer: str, now: int) -> str | None:
    sql = "SELECT task FROM claim WHERE reviewer = ? AND until > ?"
    row = connection.execute(sql, (reviewer, now)).fetchone()
    return str(row[0]) if row else None


def _token(connection: sqlite3.Connection, task: str, reviewer: str) -> str:
    sql = "SELECT token FROM claim WHERE task = ? AND reviewer = ?"
    row = connection.execute(sql, (task, reviewer)).fetchone()
    return str(row[0]) if row else uuid.uuid4().hex


def _demand_claim(connection: sqlite3.Connection, task: str, reviewer: str) -> str:
    """The token of the reviewer's claim, over or not."""
    sql = "SELECT token FROM claim WHERE task = ? AND reviewer = ?"
    row = connection.execute(sql, (task, reviewer)).fetchone()
    if row is None:
        raise _lost()
    return str(row[0])


def _demand_room(writer: Writer, task: str, reviewer: str) -> None:
    """A lease that is over is no harm as long as nobody else has filled the place."""
    sql = "SELECT t.id FROM task t WHERE t.id = :task AND (t.lane = 'golden' OR (t.state = 'open'" + _ROOM + "))"
    asked = {"task": task, "me": reviewer, "now": writer.now}
    if writer.connection.execute(sql, asked).fetchone() is None:
        raise _lost()


def _lost() -> Conflict:
    fix = "ask for the next post"
    return Conflict(Problem("claim-lost", "the post is not (or no longer) with this reviewer", "task", fix=fix))
