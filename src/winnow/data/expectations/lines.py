"""On which line of a TOML file a key stands; the parser in the standard library does not tell."""

import tomllib
from collections.abc import Iterator
from typing import Any

Place = tuple[str, ...]


def places(text: str) -> dict[Place, int]:
    """The line of every section and key.

    >>> places('[a."b c"]\\nd = 1\\n')
    {('a',): 1, ('a', 'b c'): 1, ('a', 'b c', 'd'): 2}
    """
    found: dict[Place, int] = {}
    inside: Place = ()
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("[") and (section := _path(stripped)):
            inside = section
            _note(found, inside, number)
        elif key := _key(stripped):
            _note(found, (*inside, *key), number)
    return found


def line_of(found: dict[Place, int], place: Place) -> int:
    """The line of a key, or of the nearest section around it; 1 when there is none."""
    return next((found[place[:n]] for n in range(len(place), 0, -1) if place[:n] in found), 1)


def _note(found: dict[Place, int], place: Place, number: int) -> None:
    """A section also names those that it is in."""
    for n in range(1, len(place) + 1):
        found.setdefault(place[:n], number)


def _key(line: str) -> Place:
    """The key before the first `=` that leaves one; the lines inside of a long list have none."""
    parts = line.split("=")
    candidates = ("=".join(parts[:n]) for n in range(1, len(parts)))
    return next((path for text in candidates if (path := _path(f"{text}= 0"))), ())


def _path(line: str) -> Place:
    try:
        return tuple(_names(tomllib.loads(line)))
    except tomllib.TOMLDecodeError:
        return ()


def _names(data: Any) -> Iterator[str]:
    while isinstance(data, dict) and data:
        name, data = next(iter(data.items()))
        yield name
