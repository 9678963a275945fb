"""Seals: beside the log, one line for each transaction that tells how many records there are and how they end.

A line is `<records> <hash> <HMAC-SHA-256>`. Whoever can write the log but does not hold the key cannot shorten it
unseen. Whoever can write both and read the key can: note heads elsewhere, and give them to `verify`.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from winnow.core.errors import Problem, Unavailable
from winnow.moderation.chain import Head

KEY_VARIABLE = "WINNOW_MODERATION_KEY"
_KEY_FILE, _FILE = "seal.key", "decisions.seals"


class Seals:
    """The seals of one log.

    Args:
        folder: of the log.
        environ: where a key may stand, as `WINNOW_MODERATION_KEY`; without it a file of the folder holds one.
    """

    def __init__(self, folder: Path, environ: "os._Environ[str] | dict[str, str]" = os.environ) -> None:
        self.path = folder / _FILE
        given = environ.get(KEY_VARIABLE, "")
        self.key = given.encode() if given else _key(folder / _KEY_FILE)

    def add(self, head: Head) -> None:
        """Notes a head; on disk when this returns.

        Raises:
            Unavailable: `seal-unwritable`.
        """
        # The line begins with a line feed, so that one that a power cut tore does not spoil the next.
        line = f"\n{head.seq} {head.hash} {self._mac(head)}\n".encode()
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            try:
                os.write(handle, line)
                os.fdatasync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            what = f"the seal cannot be written: {error.strerror}"
            why = "the log holds the record, but could lose it unseen"
            problem = Problem("seal-unwritable", what, _FILE, why, "free the disk")
            raise Unavailable(problem) from error

    def read(self) -> tuple[list[Head], list[Head]]:
        """The heads whose seal is good, and those whose seal is forged, each in order of `seq`."""
        good: list[Head] = []
        forged: list[Head] = []
        for head, mac in self._lines():
            (good if hmac.compare_digest(mac, self._mac(head)) else forged).append(head)
        return sorted(good, key=lambda head: head.seq), sorted(forged, key=lambda head: head.seq)

    def chance(self, *of: str) -> float:
        """A number in [0, 1) that is the same each time and that nobody without the key can foretell."""
        digest = hmac.new(self.key, "\n".join(of).encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        return float(int.from_bytes(digest[:7], "big") / 256**7)

    def _lines(self) -> Iterator[tuple[Head, str]]:
        text = self.path.read_text("ascii", "replace") if self.path.exists() else ""
        for line in text.splitlines():
            parts = line.split(" ")
            if len(parts) == 3 and parts[0].isdigit() and len(parts[1]) == len(parts[2]) == 64:
                yield Head(int(parts[0]), parts[1]), parts[2]

    def _mac(self, head: Head) -> str:
        return hmac.new(self.key, f"{head.seq} {head.hash}".encode(), hashlib.sha256).hexdigest()


def _key(path: Path) -> bytes:
    """The key of a file that only its owner may read; made when absent, whole or not at all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(handle, secrets.token_hex(32).encode())
        os.fsync(handle)
        os.close(handle)
        try:
            os.link(draft, path)  # fails when another process was first: its key counts
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()
