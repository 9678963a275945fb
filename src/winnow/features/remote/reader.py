"""The copy in Redis as one process reads it."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from winnow.core.errors import Problem, Unavailable
from winnow.encoders.encodings import Encodings
from winnow.features.aggregate import Aggregate
from winnow.features.live import LiveReader, LiveState
from winnow.features.remote.fetched import Fetched, Wanted
from winnow.features.remote.state import Generation, RedisState, RedisTables
from winnow.features.remote.wire import FORMAT, POINTER, Head, connected, head_of, speaking

T = TypeVar("T")


class RedisReader(LiveReader):
    """Live state in Redis, for whoever asks a `LiveReader`: the same questions and answers, from somewhere else.

    Args:
        url: where Redis listens: `redis://host:6379/0`, `rediss://...`, `unix:///path?db=0`.
        wait_s: how long to try anew while the copy changes or is on its way, and how long to wait for an answer.
        encodings: the vectors of texts and images, if a feature needs any.
        cache_mb: memory for lines that were fetched and have not changed since; 0 for none.

    Raises:
        InputError: `bad-redis-url`.
        Unavailable: `package-missing`.
    """

    def __init__(self, url: str, *, wait_s: float = 1.0, encodings: Encodings | None = None, cache_mb: int = 256):
        self._cache_mb = cache_mb
        self._redis, self._wait_s, self._encodings = connected(url, timeout_s=wait_s), wait_s, encodings
        self._held: Generation | None = None

    @property
    def watermark(self) -> int:
        """The moment as of which everything has been applied."""
        return self._head().watermark

    @property
    def applied_seq(self) -> int:
        """The last row of the log that has been applied."""
        return self._head().applied

    def stats(self) -> dict[str, Any]:
        """Position, and the memory of Redis: `applied_seq`, `watermark`, `keys`, `bytes`, `aggregates`, `tables`."""
        head, tables = self._head(), self._generation()
        with speaking():
            memory, keys = self._redis.info("memory"), self._redis.dbsize()
        return {
            "applied_seq": head.applied,
            "watermark": head.watermark,
            "keys": keys,
            "bytes": memory["used_memory"],
            "aggregates": sorted(_kept(tables)),
            "tables": {name: {"cap": entry["cap"]} for name, entry in tables.entries.items()},
        }

    def missing(self, aggregates: Iterable[Aggregate]) -> list[str]:
        """The names of those aggregates that are not kept yet."""
        self._head()
        kept = _kept(self._generation())
        return [a.name for a in aggregates if a.name not in kept]

    def consistently(self, compute: Callable[[LiveState], T]) -> T:
        """What `compute` makes of one state: it is called again when the copy has changed meanwhile.

        After that everything that the try before has asked for is fetched at once, and so from one state.

        Args:
            compute: reads the state; it may be called several times and must not keep the state.

        Raises:
            Unavailable: `live-missing` before there is a copy; `redis-unreachable`; `redis-unsteady` when every try
                met a change.
        """
        pool = self._redis.connection_pool
        with speaking():
            connection = pool.get_connection()
        try:
            return self._settled(compute, connection)
        finally:
            pool.release(connection)

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def _settled(self, compute: Callable[[LiveState], T], connection: Any) -> T:
        deadline, ahead, again = time.monotonic() + self._wait_s, list[Wanted](), False
        while True:
            generation = self._generation()
            fetched = Fetched(connection, generation.token, habits=generation.habits, cache=generation.cache)
            state = RedisState(RedisTables(generation, fetched), self._encodings)
            result, whole = _attempt(compute, state, fetched, ahead)
            if whole:
                return cast(T, result)
            if time.monotonic() > deadline:
                what, fix = "the copy of the live state changed with every try", "ask for fewer rows at once"
                raise Unavailable(Problem("redis-unsteady", what, fix=fix))
            ahead = [] if fetched.lost or (fetched.told and not again) else fetched.asked
            again = True
            if fetched.lost:
                self._held = None

    def _head(self) -> Head:
        """Where the copy in use stands."""
        for _ in range(2):
            with speaking():
                head = Head.of(self._redis.get(head_of(self._generation().token)))
            if head is not None:
                return head
            self._held = None
        raise _missing()

    def _generation(self) -> Generation:
        if self._held is None:
            self._held = self._found()
        return self._held

    def _found(self) -> Generation:
        with speaking():
            data = self._redis.get(POINTER)
        if data is None:
            raise _missing()
        pointer = json.loads(data)
        if pointer["format"] != FORMAT:
            what, fix = "Redis holds live state of another version of Winnow", "run the same version everywhere"
            raise Unavailable(Problem("redis-format", what, fix=fix))
        return Generation(pointer["token"], pointer["layout"], cache_mb=self._cache_mb)


def _attempt(
    compute: Callable[[LiveState], T], state: RedisState, fetched: Fetched, ahead: Sequence[Wanted]
) -> tuple[T | None, bool]:
    try:
        if ahead:
            fetched.ahead(ahead)
        result = compute(state)
        fetched.finish()
    except Exception:
        if fetched.moved:
            return None, False
        raise
    return result, not fetched.moved  # who catches everything may have caught the change


def _kept(generation: Generation) -> set[str]:
    lists = {name for name, entry in generation.entries.items() if entry["form"] == "lists"}
    return lists.union(*(entry.get("cells", ()) for entry in generation.entries.values()))


def _missing() -> Unavailable:
    what, fix = "there is no live state in Redis", "start the ingester with the setting `features.redis`"
    return Unavailable(Problem("live-missing", what, fix=fix))
