"""API keys: random secrets of which only the hash is kept, with what each may do, in `keys.json` of the project."""

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.core.errors import Conflict, InputError, NotFound, Problem, WinnowError, did_you_mean, unknown
from winnow.http.roles import ADMIN, READ, ROLES, WRITE

FILE = "keys.json"
USUAL = frozenset({READ, WRITE})  # what a website or an app needs
_PREFIX = "winnow_"
_RECHECK_S = 1.0  # a revoked key works no longer than this


class Unauthorised(WinnowError):
    """The request carries no key, or one that is not known."""

    status = 401


@dataclass(frozen=True)
class Holder:
    """Whose key it is.

    Args:
        name: who uses it.
        roles: what they may do.
    """

    name: str
    roles: frozenset[str]


def create(folder: Path, name: str, roles: Collection[str] = USUAL) -> str:
    """Makes a key; it is shown here and never again.

    Args:
        folder: of the project.
        name: who will use it; appears in the history of whatever they change.
        roles: what they may do.

    Raises:
        Conflict: `key-exists`.
        NotFound: `unknown-key-role`.
        InputError: `key-without-role`.
    """
    known = _read(folder / FILE)
    if name in known:
        raise Conflict(Problem("key-exists", f"a key `{name}` exists", fix="revoke it, or choose another name"))
    key = _PREFIX + secrets.token_urlsafe(32)
    _write(folder / FILE, known | {name: _entry(_hash(key), roles)})
    return key


def grant(folder: Path, name: str, roles: Collection[str]) -> None:
    """Gives a key other roles, in place of those that it has; a running service knows within a second.

    Raises:
        NotFound: `unknown-key`, `unknown-key-role`.
        InputError: `key-without-role`.
    """
    known = _known(folder, name)
    _write(folder / FILE, known | {name: _entry(_hash_in(known[name]), roles)})


def revoke(folder: Path, name: str) -> None:
    """Makes a key useless within a second.

    Raises:
        NotFound: `unknown-key`.
    """
    known = _known(folder, name)
    _write(folder / FILE, {n: entry for n, entry in known.items() if n != name})


def holders(folder: Path) -> list[Holder]:
    """All keys, by name."""
    return [Holder(name, _roles_in(entry)) for name, entry in sorted(_read(folder / FILE).items())]


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
        self._holders: dict[str, Holder] = {}
        self._stamp: tuple[int, int] | None = None
        self._checked = -_RECHECK_S

    def holder(self, key: str) -> Holder:
        """Whose key it is.

        Raises:
            Unauthorised: `missing-key`, `unknown-key`.
        """
        if not key:
            fix = "send `Authorization: Bearer <key>` or `X-API-Key: <key>`; `winnow key create NAME` makes one"
            raise Unauthorised(Problem("missing-key", "the request carries no API key", fix=fix))
        self._refresh()
        # The hash is looked up, not compared: how long that takes tells nothing about the secret.
        found = self._holders.get(_hash(key))
        if found is None:
            fix = "check the key, or make a new one with `winnow key create NAME`"
            raise Unauthorised(Problem("unknown-key", "the API key is not known", fix=fix))
        return found

    def _refresh(self) -> None:
        with self._lock:
            if time.monotonic() - self._checked < _RECHECK_S:
                return
            self._checked = time.monotonic()
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                known = _read(self._path)
                self._holders = {_hash_in(entry): Holder(name, _roles_in(entry)) for name, entry in known.items()}
                self._stamp = stamp


def _hash(key: str) -> str:
    # Keys have 256 random bits: a fast hash is as hard to turn back as a slow one.
    return hashlib.sha256(key.encode()).hexdigest()


def _entry(hashed: str, roles: Collection[str]) -> dict[str, Any]:
    for role in roles:
        if role not in ROLES:
            raise unknown("key-role", role, ROLES, where="role")
    if not roles:
        raise InputError(
            Problem("key-without-role", "a key without a role may do nothing", "role", fix=", ".join(ROLES))
        )
    return {"hash": hashed, "roles": [role for role in ROLES if role in roles]}


# An entry of a file that was written before there were roles is the hash alone: such a key goes on doing everything.


def _hash_in(entry: Any) -> str:
    return str(entry if isinstance(entry, str) else entry["hash"])


def _roles_in(entry: Any) -> frozenset[str]:
    return frozenset({ADMIN} if isinstance(entry, str) else entry["roles"])


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino


def _known(folder: Path, name: str) -> dict[str, Any]:
    known = _read(folder / FILE)
    if name not in known:
        raise NotFound(Problem("unknown-key", f"there is no key `{name}`", fix=did_you_mean(name, known)))
    return known


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _write(path: Path, known: dict[str, Any]) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(known, indent=1))
    os.replace(draft, path)
