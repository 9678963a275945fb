"""Keeps an index of words in step with the log: one process writes, all look; who writes dies, another goes on."""

import fcntl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from winnow.core.errors import Problem, Unavailable
from winnow.data.chunk import Chunk, decode
from winnow.data.log import SqliteLog
from winnow.retrieval.lexical import Layout, LexicalIndex, Words
from winnow.retrieval.lexical_spelling import Speller
from winnow.retrieval.lexical_writer import LexicalWriter, position

FOLDER = "words"  # of a project: an index for each layout
STEP = 5_000  # rows taken before the next commit: what is new waits no longer than these
_LOCK = "writing"
_CHANGES = (
    "SELECT until_seq, body FROM chunk WHERE first_seq > ? AND first_seq <= ? AND kind = 'row' AND name = ? "
    "ORDER BY first_seq"
)
_PATIENCE_S, _PAUSE_S = 30.0, 0.05
_SPELL_S = 60.0  # between two looks at the vocabulary for spelling
_MANY = 20_000  # words, from which on a speller is made beside other work


class LexicalFollower:
    """An index that follows the log, as one process sees it.

    Args:
        log: the event log.
        folder: of the project.
        layout: what the index holds.
    """

    def __init__(self, log: SqliteLog, folder: Path, layout: Layout):
        self._log, self._layout, self._folder = log, layout, folder / FOLDER / layout.identity
        self._lock: IO[str] | None = None
        self._writer: LexicalWriter | None = None
        self._index: LexicalIndex | None = None
        self._speller: Speller | None = None
        self._whole, self._stale, self._spelt = False, True, -_SPELL_S
        self._turn = threading.Lock()

    @property
    def words(self) -> Words:
        """The index as it was last looked at.

        Raises:
            Unavailable: `words-not-ready` until it has once caught up with the log.
        """
        if self._index is None or not self._whole:
            what = "the index of words is still being made from the log"
            raise Unavailable(Problem("words-not-ready", what, self._layout.table, fix="wait for it"))
        return self._index.words

    @property
    def speller(self) -> Speller | None:
        """Corrects words by those that the index had up to a minute ago; None until it has been made."""
        return self._speller

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes."""
        return self._writer is not None

    @property
    def seq(self) -> int:
        """The place in the log up to which the index on disk is; -1 before there is one."""
        return position(self._folder)

    def catch_up(self, until: int) -> None:
        """Takes in what changed; cheap when nothing has. A call works on for a second or so, not for minutes.

        Nothing happens while another thread is at it.

        Args:
            until: the last `seq` to take in.
        """
        if self._turn.acquire(blocking=False):
            try:
                self._take(until)
            finally:
                self._turn.release()

    def _take(self, until: int) -> None:
        if self._writer is None and self._may_write():
            self._open_writer()
        if self._writer is not None and self._writer.seq < until:
            chunks, reached = self._next(self._writer.seq, until)
            self._writer.take(chunks, seq=reached)
        self._look(until)

    def close(self) -> None:
        """Lets another process write."""
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.close()
        self._writer = self._lock = None

    def _look(self, until: int) -> None:
        if self._index is None and position(self._folder) >= 0:
            self._index = LexicalIndex(self._folder, self._layout)
        if self._index is not None:
            self._stale = self._index.follow() or self._stale
            self._whole = self._whole or position(self._folder) >= until
            if self._whole and self._stale and time.monotonic() - self._spelt > _SPELL_S:
                self._stale, self._spelt = False, time.monotonic()
                self._learn(self._index.words)

    def _learn(self, words: Words) -> None:
        """Makes a speller of the words of the moment; many take a second or so, in which nobody waits."""
        vocabulary = words.vocabulary()

        def make() -> None:
            self._speller = Speller(vocabulary)

        if len(vocabulary) <= _MANY:
            make()
        else:
            threading.Thread(target=make, name="speller", daemon=True).start()

    def _may_write(self) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / _LOCK).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _open_writer(self) -> None:
        def named(column: str, row: int) -> str:
            return self._log.ids.ids(dict(self._layout.domains)[column], [row])[0]

        try:
            self._writer = LexicalWriter(self._folder, self._layout, named=named)
        except Exception:
            self.close()
            raise

    def _next(self, after: int, until: int) -> tuple[list[Chunk], int]:
        """Some of the changes that follow, and how far in the log they reach."""
        found, rows = list[Chunk](), 0
        for chunk in self._chunks(after, until):
            found.append(chunk)
            rows += len(chunk)
            if rows >= STEP:
                return found, chunk.until
        return found, until

    def _chunks(self, after: int, until: int) -> Iterator[Chunk]:
        with self._log.database.read() as connection:
            for end, body in connection.execute(_CHANGES, (after, until, self._layout.table)):
                yield Chunk("row", self._layout.table, decode(body), end)


def whole(follower: LexicalFollower, until: int) -> Words:
    """The index once it has caught up: by this process where it may write, or by the one that does.

    Raises:
        Unavailable: `words-not-ready` when whoever writes does not get on.
    """
    before, since = -2, time.monotonic()
    while follower.seq < until and time.monotonic() - since < _PATIENCE_S:
        follower.catch_up(until)
        if follower.seq != before:
            before, since = follower.seq, time.monotonic()
        elif not follower.writes:
            time.sleep(_PAUSE_S)
    follower.catch_up(until)
    return follower.words
