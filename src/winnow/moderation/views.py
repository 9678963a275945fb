"""What the records amount to now, as tables that are kept along with them and can be rebuilt from them at any time."""

import json
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from winnow.moderation.chain import Record

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS policy (
        version INTEGER PRIMARY KEY, hash TEXT UNIQUE, seq INTEGER, active INTEGER NOT NULL DEFAULT 0)""",
    "CREATE TABLE IF NOT EXISTS preview (seq INTEGER PRIMARY KEY, version INTEGER, against INTEGER)",
    """CREATE TABLE IF NOT EXISTS decision (
        seq INTEGER PRIMARY KEY, id TEXT UNIQUE, author TEXT, content TEXT, source TEXT, policy INTEGER, made TEXT,
        action TEXT, harm TEXT, reversed INTEGER NOT NULL DEFAULT 0, sample REAL, at INTEGER)""",
    "CREATE INDEX IF NOT EXISTS decision_author ON decision (author, seq)",
    "CREATE INDEX IF NOT EXISTS decision_source ON decision (source) WHERE source <> ''",
    "CREATE INDEX IF NOT EXISTS decision_sample ON decision (seq) WHERE sample > 0",
    "CREATE INDEX IF NOT EXISTS decision_action ON decision (action, seq)",
    "CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY, harm TEXT, source TEXT, seq INTEGER, active INTEGER)",
    "CREATE INDEX IF NOT EXISTS known_source ON known (source)",
    "CREATE TABLE IF NOT EXISTS withdrawal (seq INTEGER PRIMARY KEY, key TEXT, cause TEXT)",
    """CREATE TABLE IF NOT EXISTS change (
        seq INTEGER PRIMARY KEY, decision TEXT, before TEXT, after TEXT, harm_before TEXT, reversal INTEGER, who TEXT,
        cause TEXT)""",
    "CREATE INDEX IF NOT EXISTS change_decision ON change (decision, seq)",
    "CREATE INDEX IF NOT EXISTS change_cause ON change (cause)",
    """CREATE TABLE IF NOT EXISTS task (
        id TEXT PRIMARY KEY, lane TEXT, expected REAL, need INTEGER, state TEXT, seq INTEGER, author TEXT,
        sampled INTEGER NOT NULL DEFAULT 0, truth TEXT)""",
    "CREATE INDEX IF NOT EXISTS task_order ON task (state, lane, expected DESC, seq)",
    "CREATE INDEX IF NOT EXISTS task_sample ON task (state, sampled, seq)",
    """CREATE TABLE IF NOT EXISTS verdict (
        seq INTEGER PRIMARY KEY, task TEXT, reviewer TEXT, heads TEXT, voided INTEGER NOT NULL DEFAULT 0,
        at INTEGER)""",
    "CREATE INDEX IF NOT EXISTS verdict_task ON verdict (task, seq)",
    "CREATE INDEX IF NOT EXISTS verdict_reviewer ON verdict (reviewer, seq)",
    "CREATE TABLE IF NOT EXISTS resolved (task TEXT, head TEXT, verdict INTEGER, PRIMARY KEY (task, head))",
    """CREATE TABLE IF NOT EXISTS label (
        seq INTEGER, decision TEXT, head TEXT, verdict INTEGER, reviewer TEXT, weight REAL, at INTEGER,
        PRIMARY KEY (seq, head))""",
    "CREATE INDEX IF NOT EXISTS label_decision ON label (decision, seq)",
    """CREATE TABLE IF NOT EXISTS appeal (
        id TEXT PRIMARY KEY, decision TEXT, state TEXT, seq INTEGER, reviewer TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX IF NOT EXISTS appeal_decision ON appeal (decision)",
)
TABLES = (
    "policy", "preview", "decision", "known", "withdrawal", "change", "task", "verdict", "resolved", "label", "appeal",
)  # fmt: skip
Data = dict[str, Any]


def apply(connection: sqlite3.Connection, record: Record) -> None:
    """Brings the views from before a record to after it."""
    _KINDS[record.kind](connection, record, record.data)


def difference(connection: sqlite3.Connection, records: Iterable[Record]) -> tuple[int | None, str] | None:
    """Where the views of a database say something else than its records: a `seq`, if the row has one, and words.

    Args:
        connection: in a transaction, so that views and records are of one moment.
        records: all of them, in order.
    """
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for statement in SCHEMA:
            fresh.execute(statement)
        for one in records:
            apply(fresh, one)
        for table in TABLES:
            columns = [row[1] for row in fresh.execute(f"PRAGMA table_info({table})")]
            query = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {', '.join(columns[:3])}"
            theirs, ours = (list(c.execute(query)) for c in (connection, fresh))
            if theirs != ours:
                return _told(table, columns, set(theirs) ^ set(ours))
    finally:
        fresh.close()
    return None


def _told(table: str, columns: list[str], rows: set[tuple[Any, ...]]) -> tuple[int | None, str]:
    place = columns.index("seq") if "seq" in columns else None
    first = min((row[place] for row in rows), default=None) if place is not None else None
    return first, f"the view `{table}` does not say what the records say"


def _put(connection: sqlite3.Connection, table: str, **values: Any) -> None:
    marks = ", ".join("?" for _ in values)
    sql = f"INSERT OR REPLACE INTO {table} ({', '.join(values)}) VALUES ({marks})"
    connection.execute(sql, tuple(values.values()))


def _policy(c: sqlite3.Connection, r: Record, d: Data) -> None:
    _put(c, "policy", version=d["version"], hash=d["hash"], seq=r.seq)


def _preview(c: sqlite3.Connection, r: Record, d: Data) -> None:
    _put(c, "preview", seq=r.seq, version=d["version"], against=d["against"])


def _activate(c: sqlite3.Connection, _: Record, d: Data) -> None:
    c.execute("UPDATE policy SET active = (version = ?)", (d["version"],))


def _decision(c: sqlite3.Connection, r: Record, d: Data) -> None:
    _put(
        c, "decision", seq=r.seq, id=r.key, author=d["author"], content=d["content"], source=d["source"],
        policy=d["policy"], made=d["action"], action=d["action"], harm=d["harm"], sample=d["sample"], at=r.at,
    )  # fmt: skip
    if d["lane"]:
        _put(
            c, "task", id=r.key, lane=d["lane"], expected=d["expected"], need=d["need"], state="open", seq=r.seq,
            author=d["author"], sampled=int(d["sample"] > 0),
        )  # fmt: skip


def _known(c: sqlite3.Connection, r: Record, d: Data) -> None:
    _put(c, "known", key=d["key"], harm=d["harm"], source=d["source"], seq=r.seq, active=1)


def _withdraw(c: sqlite3.Connection, r: Record, d: Data) -> None:
    c.execute("UPDATE known SET active = 0 WHERE key = ?", (d["key"],))
    _put(c, "withdrawal", seq=r.seq, key=d["key"], cause=d["cause"])


def _change(c: sqlite3.Connection, r: Record, d: Data) -> None:
    reversed_by = r.seq if d["reversal"] else 0
    sql = "UPDATE decision SET action = ?, harm = ?, reversed = ? WHERE id = ?"
    c.execute(sql, (d["after"], d["harm"], reversed_by, d["decision"]))
    _put(
        c, "change", seq=r.seq, decision=d["decision"], before=d["before"], after=d["after"],
        harm_before=d["harm_before"], reversal=int(d["reversal"]), who=d["who"], cause=d["cause"],
    )  # fmt: skip


def _golden(c: sqlite3.Connection, r: Record, d: Data) -> None:
    truth = json.dumps(d["truth"], sort_keys=True)
    _put(c, "task", id=r.key, lane="golden", expected=0.0, need=0, state="open", seq=r.seq, author="", truth=truth)


def _verdict(c: sqlite3.Connection, r: Record, d: Data) -> None:
    heads = json.dumps(d["heads"], sort_keys=True)
    _put(c, "verdict", seq=r.seq, task=d["task"], reviewer=d["reviewer"], heads=heads, at=r.at)
    for head, said in d["heads"].items() if not d["golden"] else ():
        _put(
            c, "label", seq=r.seq, decision=d["task"], head=head, verdict=said, reviewer=d["reviewer"],
            weight=d["weight"], at=r.at,
        )  # fmt: skip


def _undo(c: sqlite3.Connection, r: Record, d: Data) -> None:
    c.execute("UPDATE verdict SET voided = ? WHERE seq = ?", (r.seq, d["verdict"]))
    c.execute("DELETE FROM label WHERE seq = ?", (d["verdict"],))
    c.execute("DELETE FROM resolved WHERE task = ?", (d["task"],))
    c.execute("UPDATE task SET state = 'open', need = ? WHERE id = ?", (d["need"], d["task"]))


def _dispute(c: sqlite3.Connection, _: Record, d: Data) -> None:
    c.execute("UPDATE task SET need = ? WHERE id = ?", (d["need"], d["task"]))


def _resolve(c: sqlite3.Connection, _: Record, d: Data) -> None:
    c.execute("UPDATE task SET state = 'done' WHERE id = ?", (d["task"],))
    for head, said in d["heads"].items():
        _put(c, "resolved", task=d["task"], head=head, verdict=said)


def _correct(c: sqlite3.Connection, r: Record, d: Data) -> None:
    for head, said in d["heads"].items():
        _put(
            c, "label", seq=r.seq, decision=d["decision"], head=head, verdict=said, reviewer=d["reviewer"],
            weight=d["weight"], at=r.at,
        )  # fmt: skip
        c.execute("UPDATE resolved SET verdict = ? WHERE task = ? AND head = ?", (said, d["decision"], head))


def _appeal(c: sqlite3.Connection, r: Record, d: Data) -> None:
    _put(c, "appeal", id=r.key, decision=d["decision"], state="open", seq=r.seq)


def _appealed(c: sqlite3.Connection, _: Record, d: Data) -> None:
    sql = "UPDATE appeal SET state = ?, reviewer = ? WHERE id = ?"
    c.execute(sql, (d["outcome"], d["reviewer"], d["appeal"]))


_KINDS: dict[str, Callable[[sqlite3.Connection, Record, Data], None]] = {
    "policy": _policy, "preview": _preview, "activate": _activate, "decision": _decision, "known": _known,
    "withdraw": _withdraw, "change": _change, "golden": _golden, "verdict": _verdict, "undo": _undo,
    "dispute": _dispute, "resolve": _resolve, "correct": _correct, "appeal": _appeal, "appealed": _appealed,
}  # fmt: skip
