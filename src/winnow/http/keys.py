"""API keys: random secrets of which only the hash is kept, in `keys.json` of the project's folder."""

import hashlib
import json
import os
import secrets
import threading
import time
from pathlib import Path

from winnow.core.errors import Conflict, NotFound, Problem, WinnowError, did_you_mean

FILE = "keys.json"
_PREFIX = "winnow_"
_RECHECK_S = 1.0  # a revoked key works no longer than this


class Unauthorised(WinnowError):
    """The request carries no key, or one that is not known."""

    status = 401


def create(folder: Path, name: str) -> str:
    """Makes a key; it is shown here and never again.

    Args:
        folder: of the project.
        name: who will use it; appears in the history of whatever they change.

    Raises:
        Conflict: `key-exists`.
    """
    known = _read(folder / FILE)
    if name in known:
        raise Conflict(Problem("key-exists", f"a key `{name}` exists", fix="revoke it, or choose another name"))
    key = _PREFIX + secrets.token_urlsafe(32)
    _write(folder / FILE, known | {name: _hash(key)})
    return key


def revoke(folder: Path, name: str) -> None:
    """Makes a key useless within a second.

    Raises:
        NotFound: `unknown-key`.
    """
    known = _read(folder / FILE)
    if name not in known:
        raise NotFound(Problem("unknown-key", f"there is no key `{name}`", fix=did_you_mean(name, known)))
    _write(folder / FILE, {n: h for n, h in known.items() if n != name})


def names(folder: Path) -> list[str]:
    """The names of all keys."""
    return sorted(_read(folder / FILE))


class Keys:
    """The keys as a server checks them: changes of the file count within a second.

    Args:
        folder: of the project.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._holders: dict[str, str] = {}
        self._stamp: tuple[int, int] | None = None
        self._checked = -_RECHECK_S

    def holder(self, key: str) -> str:
        """Whose key it is.

        Raises:
            Unauthorised: `missing-key`, `unknown-key`.
        """
        if not key:
            fix = "send `Authorization: Bearer <key>` or `X-API-Key: <key>`; `winnow key create NAME` makes one"
            raise Unauthorised(Problem("missing-key", "the request carries no API key", fix=fix))
        self._refresh()
        # The hash is looked up, not compared: how long that takes tells nothing about the secret.
        name = self._holders.get(_hash(key))
        if name is None:
            fix = "check the key, or make a new one with `winnow key create NAME`"
            raise Unauthorised(Problem("unknown-key", "the API key is not known", fix=fix))
        return name

    def _refresh(self) -> None:
        with self._lock:
            if time.monotonic() - self._checked < _RECHECK_S:
                return
            self._checked = time.monotonic()
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._holders = {value: name for name, value in _read(self._path).items()}
                self._stamp = stamp


def _hash(key: str) -> str:
    # Keys have 256 random bits: a fast hash is as hard to turn back as a slow one.
    return hashlib.sha256(key.encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino


def _read(path: Path) -> dict[str, str]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _write(path: Path, known: dict[str, str]) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(known, indent=1))
    os.replace(draft, path)
