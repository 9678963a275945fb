"""What stands in Redis besides lines, and the connection to it."""

import secrets
import string
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from winnow.core.errors import InputError, Problem, Unavailable
from winnow.encoders.base import not_installed

FORMAT = 1  # of all keys and values; another number means: push anew
POINTER = "winnow:live"  # the generation in use: {"format", "token", "layout"}
STARTED = "winnow:generations"  # the tokens of those that may have left keys behind
_HEAD = struct.Struct("<4q")
_ALPHABET = string.ascii_letters + string.digits


class Head(NamedTuple):
    """What a generation stands for.

    Args:
        version: how often it has changed.
        applied: seq of the last log row in it.
        watermark: every event known before this moment is in it.
        source: version of the tables that it was copied from.
    """

    version: int
    applied: int
    watermark: int
    source: int

    def to_bytes(self) -> bytes:
        """As it is held."""
        return _HEAD.pack(*self)

    @classmethod
    def of(cls, data: bytes | None) -> "Head | None":
        """From what is held."""
        return None if data is None or len(data) != _HEAD.size else cls(*_HEAD.unpack(data))


def new_token() -> str:
    """A name for a generation, unlike that of any other there may be."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(4))


def prefix_of(token: str) -> bytes:
    """What the keys of a generation begin with: a byte that no text holds, so that nobody else's key is like it."""
    return b"\xf7" + token.encode()


def head_of(token: str) -> bytes:
    """The key of a generation's head."""
    return prefix_of(token) + b"head"


def log_of(token: str) -> bytes:
    """The key of a generation's notes of changes."""
    return prefix_of(token) + b"log"


def connected(url: str, *, timeout_s: float) -> Any:
    """A `redis.Redis`, whose types say too little to be checked; it connects when it is first used.

    Raises:
        InputError: `bad-redis-url`.
        Unavailable: `package-missing`.
    """
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise not_installed("redis", "redis") from error
    options: dict[str, Any] = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    options |= {"retry": Retry(NoBackoff(), 0), "socket_read_size": 1 << 18, "protocol": 2, "decode_responses": False}
    try:
        return Redis.from_url(url, **options)
    except ValueError as error:
        fix = 'as in "redis://localhost:6379/0", "rediss://..." or "unix:///run/redis.sock?db=0"'
        raise InputError(Problem("bad-redis-url", str(error), "features.redis", fix=fix)) from error


@contextmanager
def speaking() -> Iterator[None]:
    """Tells of a Redis that cannot be reached, or that refuses, in the words of the house.

    Raises:
        Unavailable: `redis-unreachable`.
    """
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError) as error:
        fix = "start Redis, or check `features.redis`"
        raise Unavailable(Problem("redis-unreachable", f"Redis does not answer: {error}", fix=fix)) from error
