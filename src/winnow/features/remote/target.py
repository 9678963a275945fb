"""The copy in Redis as the mirror writes it: a new generation beside the one in use, or changes of that one."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar, cast

from winnow.core.declare import canonical
from winnow.core.errors import Problem, Unavailable
from winnow.features.live.layout import Entry
from winnow.features.remote.cache import LOG_ENTRIES, note
from winnow.features.remote.source import Batch
from winnow.features.remote.wire import FORMAT, POINTER, STARTED, Head, head_of, log_of, prefix_of

T = TypeVar("T")
# A field so long that Redis keeps the hash as a table: its short lists are searched from end to end for every field.
_TABLE = (b"", bytes(65))
_PER_COMMAND = 2_000  # keys
_SCANNED = 5_000  # keys looked at in one go when cleaning up


class Target:
    """Writes to Redis. Every method may raise the errors of the client library.

    Args:
        redis: the client.
    """

    def __init__(self, redis: Any):
        self._redis = redis
        self._garbage: dict[bytes, int] = {}  # token → where the scan for its keys stands

    def found(self) -> tuple[str, dict[str, Entry], Head] | None:
        """Token, layout and head of the copy in use."""
        pointer = self._pointer()
        if pointer is None or pointer["format"] != FORMAT:
            return None
        head = Head.of(self._redis.get(head_of(pointer["token"])))
        return None if head is None else (pointer["token"], pointer["layout"], head)

    def start(self, token: str) -> str:
        """Begins a generation; returns the name of this run of Redis.

        Raises:
            Unavailable: `redis-evicts`.
        """
        memory = self._redis.info("memory")
        if memory["maxmemory"] and memory["maxmemory_policy"] != "noeviction":
            what, why = f"Redis evicts keys ({memory['maxmemory_policy']})", "features would silently lose events"
            raise Unavailable(Problem("redis-evicts", what, why=why, fix="set maxmemory-policy to noeviction"))
        self._redis.sadd(STARTED, token)
        self._redis.set(_mark(token), b"")
        return self._run()

    def add(self, batch: Batch) -> None:
        """Writes lines of a generation that nobody reads yet."""
        pipe = self._redis.pipeline(transaction=False)
        _write(pipe, batch)
        pipe.execute()

    def change(self, token: str, batch: Batch, head: Head, *, before: int) -> bool:
        """Changes the generation in use, all at once for readers.

        Args:
            token: the generation.
            batch: what changes.
            head: where it stands then.
            before: the version that it must have now; when it has the new one, this has been done.

        Returns:
            False when it has another, or is gone.
        """
        with self._redis.pipeline() as pipe:
            pipe.watch(head_of(token))
            now = Head.of(pipe.get(head_of(token)))
            if now is None or now.version not in (before, head.version):
                return False
            if now == head:
                return True
            pipe.multi()
            _write(pipe, batch)
            pipe.set(head_of(token), head.to_bytes())
            if head.version != before:
                note_of = ("n", note(batch.rows))
                pipe.execute_command("XADD", log_of(token), "MAXLEN", LOG_ENTRIES, f"{head.version}-1", *note_of)
            return _done(pipe)

    def switch(self, token: str, layout: Mapping[str, Entry], batch: Batch, head: Head, *, run: str) -> bool:
        """Makes a generation the one in use, with its last changes.

        Returns:
            False when Redis may have lost lines of it since `start`.
        """
        with self._redis.pipeline() as pipe:
            pipe.watch(_mark(token), POINTER)
            old = pipe.get(POINTER)
            if not pipe.exists(_mark(token)) or self._run() != run:
                return False
            pipe.multi()
            _write(pipe, batch)
            pipe.set(head_of(token), head.to_bytes())
            pipe.set(POINTER, canonical({"format": FORMAT, "token": token, "layout": layout}))
            if old is not None and json.loads(old)["token"] != token:
                pipe.unlink(head_of(json.loads(old)["token"]))
            return _done(pipe)

    def clean(self, token: str) -> bool:
        """Removes some of what other generations have left behind; whether there is more."""
        if not self._garbage:
            started = self._redis.smembers(STARTED)
            self._garbage = dict.fromkeys(started - {token.encode()}, 0)
        for other, cursor in self._garbage.items():
            match = prefix_of(other.decode()) + b"*"
            self._garbage[other], keys = self._redis.scan(cursor, match=match, count=_SCANNED)
            pipe = self._redis.pipeline(transaction=False)
            _unlink(pipe, keys)
            if not self._garbage[other]:
                pipe.srem(STARTED, other)
                del self._garbage[other]
            pipe.execute()
            break
        return bool(self._garbage)

    def _pointer(self) -> dict[str, Any] | None:
        data = self._redis.get(POINTER)
        return None if data is None else cast(dict[str, Any], json.loads(data))

    def _run(self) -> str:
        return str(self._redis.info("server")["run_id"])


def _mark(token: str) -> bytes:
    """A key that is lost when the keys of a generation are lost."""
    return prefix_of(token) + b"mark"


def _done(pipe: Any) -> bool:
    from redis.exceptions import WatchError

    try:
        pipe.execute()
    except WatchError:
        return False
    return True


def _write(pipe: Any, batch: Batch) -> None:
    _unlink(pipe, batch.gone)
    for part in _parts(list(batch.lines.items())):
        pipe.execute_command("MSET", *chain.from_iterable(part))
    for key, fields in batch.left.items():
        pipe.execute_command("HDEL", key, *fields)
    for key, lines in batch.pairs.items():
        pipe.execute_command("HSET", key, *_TABLE, *chain.from_iterable(lines.items()))
    for key, ms in batch.passing.items():
        pipe.execute_command("PEXPIRE", key, ms)


def _unlink(pipe: Any, keys: Sequence[bytes]) -> None:
    for part in _parts(keys):
        pipe.execute_command("UNLINK", *part)


def _parts(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    return (keys[i : i + _PER_COMMAND] for i in range(0, len(keys), _PER_COMMAND))
