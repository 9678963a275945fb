"""What the systems of a project have in common: their tables and events, and whether they agree about them."""

from collections.abc import Iterable

from winnow.core.declare import canonical
from winnow.core.errors import Problem
from winnow.core.system import System
from winnow.data.schema import Events, Played, Table


def tables(systems: Iterable[System]) -> dict[str, Table]:
    """Every table of the systems."""
    found = [p for s in systems for p in s.parts() if isinstance(p, Table)]
    return {t.name: t for t in sorted(found, key=lambda t: not isinstance(t, Played))}  # as it is, if that is declared


def events(systems: Iterable[System]) -> dict[str, Events]:
    """Every event type of the systems."""
    return {p.name: p for s in systems for p in s.parts() if isinstance(p, Events)}


def disagreements(systems: Iterable[System]) -> list[Problem]:
    """Tables or events that two systems declare differently under one name."""
    first: dict[tuple[str, str], tuple[str, str]] = {}
    found = []
    for system in systems:
        for part in system.parts():
            if isinstance(part, Table | Events):
                text = canonical(part.to_data())
                name = part.called if isinstance(part, Table) else part.name
                owner, known = first.setdefault((type(part).__name__, name), (system.name, text))
                if known != text:
                    what = f"`{part.name}` is declared differently by {owner} and {system.name}"
                    found.append(Problem("two-meanings", what, part.where, "the systems of a project share its tables",
                                         "import one declaration from the other file"))  # fmt: skip
    return found
