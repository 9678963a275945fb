"""Pictures and videos whose rows are gone: their files are removed some time later, by whoever follows the log.

A file is removed when no row has named it for a while and nobody has brought it again in that time. The while is longer
than anybody needs from looking a file up to reading it, or from keeping a picture to writing the row that names it.
Content under moderation is kept by the moderation itself and is no concern of the media folder.
"""

import re
import time
from collections.abc import Iterable, Iterator

from winnow.core.time import minutes, seconds
from winnow.data.log import SqliteLog
from winnow.data.schema import Table
from winnow.serving.gallery import Gallery
from winnow.serving.tail import Tail

GRACE_S = minutes(10) / seconds(1)
_PATH = re.compile(r"(?:pictures|videos)/[0-9a-f]{2}/[0-9a-f]{32}\.(?:jpg|reel)")
_ASIDE = "SELECT row FROM quarantine WHERE kind = 'row' AND (row LIKE '%pictures/%' OR row LIKE '%videos/%')"


class Leftovers:
    """Finds and removes files that no row names.

    Args:
        log: the event log.
        tables: of the project; those with columns of kind `image` or `video` name files.
        gallery: holds the files.
        grace_s: how long a file stays after it was last named or brought.
    """

    def __init__(self, log: SqliteLog, tables: Iterable[Table], gallery: Gallery, *, grace_s: float = GRACE_S):
        self._log, self._gallery, self._grace_s = log, gallery, grace_s
        columns = [(t.name, c) for t in tables for c, kind in t.columns.items() if kind.media in ("image", "video")]
        self._tails = [Tail(log, table, text=column) for table, column in columns]
        self._since: dict[str, float] = {}

    def sweep(self) -> int:
        """Removes what has been unwanted for long enough; returns how many pictures."""
        kept = self._gallery.files()  # before the log is read: a picture that comes meanwhile is not among them
        now, unnamed = time.monotonic(), kept - self._named()
        self._since = {file: self._since.get(file, now) for file in unnamed}
        before = time.time() - self._grace_s
        due = [file for file, since in self._since.items() if now - since >= self._grace_s]
        gone = [file for file in due if self._gallery.discard(file, before=before)]
        self._gallery.tidy()
        return len(gone)

    def _named(self) -> set[str]:
        """The files that rows name, those in quarantine included: they may land yet."""
        last = self._log.last_seq()
        for tail in self._tails:
            tail.follow(last, since=0)
        return {file for tail in self._tails for file in list(tail.texts.values())} | set(self._aside())

    def _aside(self) -> Iterator[str]:
        with self._log.database.read() as connection:
            for (row,) in connection.execute(_ASIDE):
                yield from _PATH.findall(row)
