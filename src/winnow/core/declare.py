"""Declarations: frozen values that know where they were written, print as canonical JSON and have a hash."""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

from winnow.core.errors import Problem
from winnow.core.time import FOREVER, to_us

_PACKAGE = str(Path(__file__).resolve().parents[1])
_SYSTEMS = str(Path(_PACKAGE) / "systems")


def _where() -> str:
    """`file:line` of the nearest frame that belongs to a system file rather than to the engine."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_SYSTEMS) or not (name.startswith((_PACKAGE, "<string>", "<frozen"))):
            return f"{Path(name).name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """Base of everything a system file can say.

    A subclass is a frozen dataclass; subclassing registers it, so that JSON can be read back and `known` can list
    what exists. `problems` reports the design mistakes that the part itself can see.
    """

    _kinds: ClassVar[dict[str, type["Declared"]]] = {}
    where: str = field(default_factory=_where, compare=False, repr=False)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        Declared._kinds[cls.__name__] = cls

    def to_data(self) -> dict[str, Any]:
        """The declaration as JSON data: `kind` and every field but `where`."""
        own = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "where"}
        return {"kind": type(self).__name__, **own}

    @classmethod
    def known(cls) -> dict[str, type[Self]]:
        """Every registered subclass of this class by name."""
        return {name: kind for name, kind in Declared._kinds.items() if issubclass(kind, cls) and kind is not cls}

    def problems(self, system: Any) -> Iterator[Problem]:
        """The mistakes visible from here; `system` is the whole `System`."""
        yield from ()


def plain(value: Any) -> Any:
    """A value as JSON data; declarations by their own `to_data`, durations as microseconds."""
    if isinstance(value, Declared):
        return value.to_data()
    if isinstance(value, timedelta):
        return None if value == FOREVER else {"us": to_us(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    return value


def canonical(data: Any) -> str:
    """JSON with sorted keys and no spaces: equal data, equal text."""
    return json.dumps(plain(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(data: Any) -> str:
    """The first 16 hex digits of the SHA-256 of the canonical JSON.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(canonical(data).encode()).hexdigest()[:16]


def walk(value: Any, _within: tuple[int, ...] = ()) -> Iterator[Declared]:
    """Every declaration inside a value, outermost first; through dataclasses, mappings and sequences.

    What contains itself is entered once.
    """
    if id(value) in _within:
        return
    if isinstance(value, Declared):
        yield value
    if is_dataclass(value) and not isinstance(value, type):
        inner: Iterable[Any] = [getattr(value, f.name) for f in fields(value)]
    elif isinstance(value, Mapping):
        inner = value.values()
    else:
        inner = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    for part in inner:
        yield from walk(part, (*_within, id(value)))
