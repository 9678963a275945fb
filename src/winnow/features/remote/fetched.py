"""Lines fetched from Redis for one look-up: what is asked at once comes in one round trip, and from one state."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Protocol, cast

import numpy as np

from winnow.features.batch import Ints
from winnow.features.remote.cache import Cache, Kept
from winnow.features.remote.lines import Lines
from winnow.features.remote.racks import Bytes, Rack, apart, number_bytes
from winnow.features.remote.wire import Head, head_of, log_of, prefix_of, speaking

_END = np.frombuffer(b"\r\n", np.uint8)
_AT_ONCE = 20_000  # keys or fields per command: Redis serves nobody else meanwhile
_TRIES = 3
Wanted = tuple[Rack, Ints]


class Moved(Exception):
    """The copy has changed since the first round trip of a look-up."""


class Readable(Protocol):
    """Lines of rows, whose cells can be asked for; places are those of the rack's sheets, one after the other."""

    def columns(self, places: Ints) -> Ints:
        """Some cells of each: as `Sheet.columns`."""
        ...

    def cells(self, places: Ints) -> Ints:
        """The same cells of each, int64 [n, p]."""
        ...


class Block:
    """Lines of some rows of a rack.

    Args:
        rack: what they are of.
        rows: int64 [n], ascending, each once.
        lines: [n].
    """

    def __init__(self, rack: Rack, rows: Ints, lines: Lines):
        self.rack, self.rows, self.lines = rack, rows, lines

    def of(self, rows: Ints) -> "Picked | None":
        """The lines of rows; None when one is not among them."""
        place = np.searchsorted(self.rows, rows)
        place[place == len(self.rows)] = 0
        found = len(self.rows) and (self.rows[place] == rows).all()
        return Picked(self.rack, self.lines, place) if found else None


class Picked:
    """Some of the lines of a block.

    Args:
        rack: what they are of.
        lines: all of them.
        line: which, int64 [n]; None for all of them.
    """

    def __init__(self, rack: Rack, lines: Lines, line: Ints | None):
        self._rack, self._lines, self._line = rack, lines, line

    def columns(self, places: Ints) -> Ints:
        """See `Readable.columns`."""
        return self._lines.columns(self._line, self._rack.place.take(places))

    def cells(self, places: Ints) -> Ints:
        """See `Readable.cells`."""
        held = self._rack.place.take(places)
        if self._line is None:
            return self._lines.cells[:, held]
        found: Ints = self._lines.cells.take((self._line * self._rack.width)[:, None] + held)
        return found


class Trusted:
    """Lines in the cache, taken before anything was known of Redis: what was read of them is to be looked at again.

    Args:
        kept: the lines.
        rack: what they are of.
        rows: int64 [n].
        note: called with itself once something has been read.
    """

    def __init__(self, kept: Kept, rack: Rack, rows: Ints, *, note: Callable[["Trusted"], None]):
        self.rack, self.rows = rack, rows
        self._kept, self._note = kept, note
        self._read: list[tuple[bool, Ints, Ints]] = []

    def columns(self, places: Ints) -> Ints:
        """See `Readable.columns`."""
        return self._noted(True, places, self._kept.columns(places))

    def cells(self, places: Ints) -> Ints:
        """See `Readable.cells`."""
        return self._noted(False, places, self._kept.cells(places))

    def same(self, kept: Kept) -> bool:
        """Whether later lines of the rows say the same."""
        return all(np.array_equal(kept.columns(p) if by else kept.cells(p), was) for by, p, was in self._read)

    def _noted(self, by_columns: bool, places: Ints, found: Ints) -> Ints:
        if not self._read:
            self._note(self)
        self._read.append((by_columns, places, found))
        return found


class Habits:
    """Which racks look-ups read for the same rows: those come along from then on, which saves round trips."""

    def __init__(self) -> None:
        self._with: dict[tuple[int, int], dict[int, Rack]] = {}

    def learn(self, first: Rack, rack: Rack, rows: Ints) -> None:
        """That `rack` was read after another for the same rows."""
        self._with.setdefault((first.code, _size(rows)), {})[rack.code] = rack

    def of(self, rack: Rack, rows: Ints) -> list[Rack]:
        """A rack, and those that are read after it."""
        return [rack, *self._with.get((rack.code, _size(rows)), {}).values()]


class Fetched:
    """The lines that one look-up has asked for.

    Args:
        connection: to Redis.
        token: of the generation.
        habits: what else is likely to be asked.
        cache: lines fetched before.
    """

    def __init__(self, connection: Any, token: str, *, habits: Habits, cache: Cache):
        self._connection, self._prefix, self._habits, self._cache = connection, prefix_of(token), habits, cache
        self._get_head, self._log = _command(b"GET", _one(head_of(token))), _one(log_of(token))
        self._head: Head | None = None
        self._blocks: dict[int, list[Block]] = {}
        self._last: dict[int, tuple[Ints, Readable]] = {}
        self._trusted: list[Trusted] = []
        self.asked: list[Wanted] = []
        self.moved = self.lost = self.told = False

    @property
    def head(self) -> Head:
        """The state that all lines are of."""
        if self._head is None:
            self._replies([])
        return cast(Head, self._head)

    def of(self, rack: Rack, rows: Ints) -> Readable:
        """The lines of rows, int64 [n]; those of the same array are looked for once."""
        last = self._last.get(rack.code)
        if last is None or last[0] is not rows:
            last = self._last[rack.code] = rows, self._found(rack, rows)
        return last[1]

    def _found(self, rack: Rack, rows: Ints) -> Readable:
        block = self._block(rack, rows)
        if block is not None:
            return block
        if not self.told:
            self._learn(rack, rows)
            self.asked.append((rack, rows))
        return (self._cached(rack, rows) if self._cache.takes(rack, rows) else None) or self._fresh(rack, rows)

    def ahead(self, wanted: Sequence[Wanted]) -> None:
        """Gets all that is going to be asked for in one round trip, whatever the cache has."""
        self.asked += wanted
        self._get([(rack, in_order(rows)[0]) for rack, rows in wanted])

    def together(self, wanted: Sequence[Wanted]) -> None:
        """Gets what is going to be asked for and is not in the cache; a second time what has just left it."""
        self.asked += wanted
        self.told = True
        wanted = [one for one in wanted if self._block(*one) is None]
        cached = [one for one in wanted if self._cache.takes(*one)]
        plain = [one for one in wanted if not self._cache.takes(*one)]
        ordered = [in_order(rows) for _, rows in plain]
        blocks = self._fill(cached, [(rack, rows) for (rack, _), (rows, _) in zip(plain, ordered, strict=True)])
        for (rack, rows), (_, line), block in zip(plain, ordered, blocks, strict=True):
            self._last[rack.code] = rows, Picked(rack, block.lines, line)
        if any(len(self._cache.missing(rack, rows)) for rack, rows in cached):
            self._fill(cached, [])

    def finish(self) -> None:
        """Makes sure that what was read is of one state that Redis has had, also when all of it was in the cache."""
        if self._trusted and self._head is None:
            self._replies([])

    def _block(self, rack: Rack, rows: Ints) -> Picked | None:
        """From what has been fetched."""
        found = (block.of(rows) for block in self._blocks.get(rack.code, ()))
        return next((one for one in found if one is not None), None)

    def _fresh(self, rack: Rack, rows: Ints) -> Readable:
        unique, _ = in_order(rows)
        first, *_ = self._get([(r, unique) for r in self._habits.of(rack, rows)])
        return cast(Picked, first.of(rows))

    def _cached(self, rack: Rack, rows: Ints) -> Readable | None:
        """From the cache, into which comes what is missing there; None when others have moved it on."""
        if self._head is None and rack.form == "column":
            kept = self._cache.lines(rack, rows, version=self._cache.version, moved=self._has_moved)
            if kept is not None:
                return Trusted(kept, rack, rows, note=self._trusted.append)
        for _ in range(_TRIES):
            if self._head is not None:
                kept = self._cache.lines(rack, rows, version=self._head.version, moved=self._has_moved)
                if kept is not None:
                    return kept
            self._fill([(r, rows) for r in self._habits.of(rack, rows)], [])
        return None

    def _fill(self, cached: Sequence[Wanted], plain: Sequence[Wanted]) -> list[Block]:
        """One round trip: into the cache what is missing there, the rest as blocks."""
        lacking = [(rack, self._cache.missing(rack, rows)) for rack, rows in cached]
        found = self._raw([*plain, *(one for one in lacking if len(one[1]))])
        for rack, rows, lines in found[len(plain) :]:
            self._cache.put(rack, rows, lines.cells[:, rack.place], version=self.head.version)
        return self._shelve(found[: len(plain)])

    def _learn(self, rack: Rack, rows: Ints) -> None:
        for other, their in self.asked:
            if other.subject == rack.subject and other is not rack and np.array_equal(their, rows):
                self._habits.learn(other, rack, rows)

    def _get(self, wanted: Sequence[Wanted]) -> list[Block]:
        """Gets lines; rows ascending, each once."""
        return self._shelve(self._raw(wanted))

    def _shelve(self, found: Sequence[tuple[Rack, Ints, Lines]]) -> list[Block]:
        blocks = [Block(*one) for one in found]
        for block in blocks:
            self._blocks.setdefault(block.rack.code, []).append(block)
        return blocks

    def _raw(self, wanted: Sequence[Wanted]) -> list[tuple[Rack, Ints, Lines]]:
        if self._head is not None and not wanted:
            return []
        replies = self._replies([c for rack, rows in wanted for c in self._commands(rack, rows)])
        lines = chain.from_iterable(replies)
        return [(r, rows, Lines(list(islice(lines, len(rows))), r.width)) for r, rows in wanted]

    def _replies(self, commands: Sequence[bytes]) -> list[list[bytes | None]]:
        """One round trip. The head is asked for before the first and after each: in between nothing has changed."""
        before = [self._get_head, *self._notes()] if self._head is None else []
        asked = [*before, *commands, self._get_head]
        with speaking():
            self._connection.send_packed_command([b"".join(asked)])
            replies = [self._connection.read_response(disable_decoding=True) for _ in asked]
        for head in (*replies[: bool(before)], replies[-1]):
            self._settled(head)
        if before:
            notes = [(int(name.partition(b"-")[0]), data) for name, (_, data) in chain(*replies[1 : len(before)])]
            self._cache.follow(self.head.version, notes)
            self._check()
        return replies[len(before) : -1]

    def _notes(self) -> list[bytes]:
        """What asks for the notes since the version of the cache."""
        if self._cache.version < 0:
            return []
        since = _one(b"(%d-1" % self._cache.version)
        return [_command(b"XRANGE", _one(b"+"), _bulks(self._log) + _bulks(since), already=2)]

    def _check(self) -> None:
        """What was taken from the cache before anything was known of Redis must still be so."""
        self._last.clear()  # read from the cache as it stood
        for some in self._trusted:
            kept = self._cache.lines(some.rack, some.rows, version=self.head.version, moved=self._has_moved)
            if kept is None or not some.same(kept):
                self._has_moved()

    def _has_moved(self) -> None:
        self.moved = True
        raise Moved

    def _commands(self, rack: Rack, rows: Ints) -> Iterator[bytes]:
        """What asks for the lines of rows, in their order."""
        if not rack.pairs:
            yield from (_command(b"MGET", rack.keys(self._prefix, part)) for part in _parts(rows))
            return
        first, second = apart(rows)
        starts = np.flatnonzero(np.concatenate([[True], first[1:] != first[:-1]])).tolist() if len(rows) else []
        keys = rack.keys(self._prefix, first[starts])
        for key, start, end in zip(keys, starts, [*starts[1:], len(rows)], strict=True):
            fields = _parts(second[start:end])
            yield from (_command(b"HMGET", number_bytes(part), _bulks(key[None, :]), already=1) for part in fields)

    def _settled(self, data: Any) -> None:
        """The head, which must be the same in all round trips."""
        head = Head.of(data)
        if head is None or (self._head is not None and head.version != self._head.version):
            self.moved, self.lost = True, head is None
            raise Moved
        self._head = self._head or head  # a later watermark of the same version is no change


def in_order(rows: Ints) -> tuple[Ints, Ints | None]:
    """Row numbers in order, each once, and where each of `rows` is among them; None when they come so."""
    return (rows, None) if bool((rows[1:] > rows[:-1]).all()) else np.unique(rows, return_inverse=True)


def _size(rows: Ints) -> int:
    """About how many rows: habits differ between one person and a catalogue."""
    return len(rows).bit_length()


def _parts(rows: Ints) -> Iterator[Ints]:
    return (rows[i : i + _AT_ONCE] for i in range(0, len(rows), _AT_ONCE))


def _one(text: bytes) -> Bytes:
    return np.frombuffer(text, np.uint8)[None, :]


def _command(name: bytes, arguments: Bytes, before: bytes = b"", *, already: int = 0) -> bytes:
    """A command with arguments [n, length], after so many others."""
    count = 1 + already + len(arguments)
    return b"*%d\r\n$%d\r\n%b\r\n%b" % (count, len(name), name, before) + _bulks(arguments)


def _bulks(keys: Bytes) -> bytes:
    """Keys [n, length] as arguments of a command."""
    start = np.frombuffer(b"$%d\r\n" % keys.shape[1], np.uint8)
    out = np.empty((len(keys), len(start) + keys.shape[1] + 2), np.uint8)
    out[:, : len(start)], out[:, -2:] = start, _END
    out[:, len(start) : -2] = keys
    return out.tobytes()
