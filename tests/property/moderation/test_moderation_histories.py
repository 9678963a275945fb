"""Whatever happens in whatever order: the log stays whole, its views follow from it, and no meddling goes unseen."""

import contextlib
import itertools
import shutil
import sqlite3
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moderation_world import POLICY, SETTINGS, WORDS, Clock, post

from winnow.core.errors import WinnowError
from winnow.moderation.appeals import deciders
from winnow.moderation.moderation import Moderation
from winnow.moderation.parsing import parse

PEOPLE = ("kim", "lee", "mia")
TEXTS = ("grumble", "blarg", "zorp", "fine", "grumble more")
ACTS = st.one_of(
    st.tuples(st.just("decide"), st.sampled_from(TEXTS), st.sampled_from(("sam", "kim", ""))),
    st.tuples(st.just("review"), st.sampled_from(PEOPLE), st.sampled_from(("insult", "peril", "", None))),
    st.tuples(st.just("undo"), st.sampled_from(PEOPLE), st.none()),
    st.tuples(st.just("appeal"), st.integers(0, 9), st.none()),
    st.tuples(st.just("rule"), st.sampled_from(PEOPLE), st.sampled_from(("upheld", "reversed"))),
    st.tuples(st.just("wait"), st.sampled_from((1, 61, 301)), st.none()),
    st.tuples(st.just("skip"), st.sampled_from(PEOPLE), st.none()),
)  # fmt: skip
NORMAL = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


class Court:
    """A project, and one way to do each thing to it."""

    def __init__(self, folder):
        self.clock, self.count, self.last = Clock(), itertools.count(), {}
        folder.mkdir()
        (folder / "words.toml").write_text(WORDS)
        (folder / "moderation.toml").write_text(SETTINGS.replace("double_share = 0.0", "double_share = 0.5"))
        self.it = Moderation(folder, clock=self.clock)
        self.it.book.activate(self.it.book.put(parse(POLICY), who="ann").version, who="ann", why="x", force=True)

    def do(self, act, one, two):
        with contextlib.suppress(WinnowError):  # what is not allowed now is refused, and must leave no trace
            getattr(self, act)(one, two)

    def decide(self, text, author):
        self.it.decide([post(text, f"r{next(self.count)}", author=author)])

    def review(self, who, harm):
        if item := self.it.review.next(who):
            heads = None if harm is None else {harm: True} if harm else {}
            self.last[who] = self.it.review.verdict(item["task"], heads, reviewer=who)["verdict"]

    def undo(self, who, _):
        if who in self.last:
            self.it.review.undo(self.last[who], reviewer=who)

    def appeal(self, number, _):
        self.it.appeals.open(f"r{number}")

    def rule(self, who, outcome):
        for one in self.it.appeals.listed(limit=1):
            self.it.appeals.decide(one["id"], outcome, reviewer=who)

    def wait(self, seconds, _):
        self.clock.pass_s(seconds)

    def skip(self, who, _):
        if item := self.it.review.next(who):
            self.it.review.skip(item["task"], reviewer=who)


def lived(folder, acts):
    court = Court(Path(folder) / "shop")
    for act in acts:
        court.do(*act)
    return court.it


@NORMAL
@given(st.lists(ACTS, max_size=40))
def test_any_history_leaves_a_whole_log(acts):
    with tempfile.TemporaryDirectory() as folder:
        it = lived(folder, acts)
        found = it.ledger.verify()
        assert found.ok, found
        with it.ledger.reading() as c:
            # What rests on a reversed decision does not stand, unless somebody looked at it themselves since.
            orphans = c.execute(
                """SELECT d.id FROM decision d JOIN decision s ON s.id = d.source JOIN known k ON k.source = s.id
                   WHERE s.reversed > 0 AND k.active = 1"""
            ).fetchall()
            assert not orphans
            # Nobody decided twice about one thing.
            for appeal, decision, who in c.execute(
                "SELECT id, decision, reviewer FROM appeal WHERE state <> 'open'"
            ).fetchall():
                rest = c.execute("SELECT reviewer FROM verdict WHERE task = ? AND seq < (SELECT seq FROM record "
                                 "WHERE kind = 'appealed' AND key = ?)", (decision, appeal)).fetchall()  # fmt: skip
                assert (who,) not in rest
                assert who in deciders(c, decision)
            crowded = c.execute(
                """SELECT t.id FROM task t WHERE t.lane <> 'golden' AND t.need < (
                   SELECT COUNT(*) FROM verdict v WHERE v.task = t.id AND v.voided = 0)"""
            ).fetchall()
            assert not crowded
        it.close()


@NORMAL
@given(
    st.lists(ACTS, min_size=8, max_size=25), st.integers(0, 10**6), st.sampled_from(("edit", "delete", "swap", "cut")),
    st.sampled_from(("body", "key", "kind", "at", "hash", "previous")),
)  # fmt: skip
def test_no_meddling_goes_unseen(acts, place, how, column):
    with tempfile.TemporaryDirectory() as folder:
        it = lived(folder, [("decide", "grumble", "sam"), *acts])
        it.close()
        path = Path(folder) / "shop" / "moderation" / "decisions.db"
        with sqlite3.connect(path) as c:
            (most,) = c.execute("SELECT COUNT(*) FROM record").fetchone()
            seq = 1 + place % (most - 1)
            first = meddle(c, how, seq, column)
        c.close()
        found = it.ledger.verify()
        assert not found.ok
        assert found.first_bad == first
        it.close()


def meddle(c, how, seq, column):
    """Spoils the record `seq`; the first that is then not as it was written."""
    if how == "delete":
        c.execute("DELETE FROM record WHERE seq = ?", (seq,))
    elif how == "cut":
        c.execute("DELETE FROM record WHERE seq > ?", (seq,))
        return seq + 1
    elif how == "swap":
        for old, new in ((seq, -1), (seq + 1, seq), (-1, seq + 1)):
            c.execute("UPDATE record SET seq = ? WHERE seq = ?", (new, old))
    else:
        c.execute(f"UPDATE record SET {column} = {column} || '0' WHERE seq = ?", (seq,))
    return seq


def test_the_same_acts_make_the_same_views(tmp_path):
    """Views are a function of the records alone: rebuilt from a copy of the log they are the same."""
    it = lived(tmp_path, [("decide", t, "sam") for t in TEXTS] + [("review", "kim", "insult"), ("undo", "kim", None)])
    it.close()
    shutil.copytree(tmp_path / "shop", tmp_path / "copy")
    copy = Moderation(tmp_path / "copy")
    assert copy.ledger.verify().ok
    copy.close()
