"""The content of posts that people have to look at: beside the log, which holds none, and deleted in time."""

from pathlib import Path

import msgspec

from winnow.core.errors import NotFound, Problem
from winnow.core.time import minutes, to_us
from winnow.data.database import Database
from winnow.moderation.post import Post

_PURGE_US = to_us(minutes(10))
_TABLE = "CREATE TABLE IF NOT EXISTS held (id TEXT PRIMARY KEY, until INTEGER, text TEXT, image BLOB) WITHOUT ROWID"


class Held(msgspec.Struct, frozen=True):
    """The content of one post.

    Args:
        text: as written.
        image: the file's bytes, if there was an image.
    """

    text: str
    image: bytes | None


class Store:
    """Content under review or appeal.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        with self._database.write() as connection:
            connection.execute(_TABLE)
        self._purged = 0

    def keep(self, posts: dict[str, Post], *, until: int, now: int) -> None:
        """Keeps the content of posts by id, until a moment in microseconds UTC; now and then deletes what is due."""
        if now - self._purged > _PURGE_US:
            self.purge(now=now)
            self._purged = now
        rows = [(i, until, p.text.encode("utf-8", "replace").decode(), p.image) for i, p in posts.items()]
        with self._database.write() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?)", rows)

    def read(self, post: str, *, now: int) -> Held:
        """The content of a post.

        Raises:
            NotFound: `content-gone`, when it was never kept or its time is up.
        """
        with self._database.read() as connection:
            row = connection.execute("SELECT text, image FROM held WHERE id = ? AND until > ?", (post, now)).fetchone()
        if row is None:
            fix = "send the content again with an appeal; `review.keep_days` says how long it is kept"
            raise NotFound(Problem("content-gone", "the content of this post is not kept (any more)", "id", fix=fix))
        return Held(*row)

    def purge(self, *, now: int) -> int:
        """Deletes what is due, and overwrites where it stood; returns how many."""
        with self._database.read() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            done = connection.execute("DELETE FROM held WHERE until <= ?", (now,)).rowcount
            if done:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(done)

    def close(self) -> None:
        """Closes the file."""
        self._database.close()
