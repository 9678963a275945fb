"""A user's own system, started from one in the box and cut to the data that they have."""

import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from winnow import systems as box
from winnow.core.errors import Conflict, InputError, Problem
from winnow.core.settings import Settings
from winnow.core.system import System
from winnow.data.importers.mapping import layout
from winnow.data.schema import Events
from winnow.project import shared
from winnow.project.project import SETTINGS, SYSTEMS
from winnow.project.starting import cutting, files, writing
from winnow.project.starting.guessing import Found, Guess, guess

MAPPING, NOTES = "mapping.toml", "README.md"


@dataclass(frozen=True)
class Started:
    """What was made.

    Args:
        folder: of the project.
        files: that were written.
        found: table or event → the file it comes from, and its columns, as the mapping says them.
        unsure: what to look at, in words.
        left_out: what the template has and the data does not.
    """

    folder: str
    files: list[str]
    found: dict[str, Found] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def start(
    name: str, folder: Path, *, template: str = "video_recommendation", data: Path | None = None,
    mapping: Path | None = None, again: bool = False,
) -> Started:  # fmt: skip
    """Makes a project with a system of one's own.

    Args:
        name: of the system.
        folder: of the project; made when it is not there.
        template: the system in the box to start from.
        data: folder with CSV or Parquet files; which is what is guessed, and the system cut to it.
        mapping: a mapping written by hand; the system is cut to it.
        again: write over the system file and the mapping.

    Raises:
        NotFound: `unknown-system`; `no-such-path`, `no-files` of the data.
        Conflict: `name-taken`.
        InputError: `bad-name`; `nothing-to-learn` when the data has too little for the template; `bad-mapping`.
    """
    _check(name, folder, again=again)
    source = box.source(template)
    system = cutting.of(source)
    made = Guess()
    if data is not None:
        made = guess(system, files.read(data))
    elif mapping is not None:
        made = _mapped(mapping)
    lacks = made.lacking(system) if data or mapping else set()
    called = _caller(source, made)
    source = cutting.widened(source, {n: found.more for n, found in made.tables.items() if found.more})
    source = cutting.instead(source, _substitutes(system, lacks))
    if made.events and system.labels.of.name not in made.events and system.labels.waits:
        source = cutting.chosen(source)
    source, kept = cutting.fitted(source, lacks)
    source = cutting.named(source, name, template, made.words)
    if kept:
        made.unsure.append(f"the data lacks {', '.join(kept)}, and the system cannot stand without: they stay, empty")
    text = writing.guessed(name, made, called) if data else "" if mapping else writing.skeleton(name, system)
    note = writing.notes(name, template, data=str(data or "FOLDER"), folder=str(folder), found=bool(data or mapping))
    written = _write(folder, name, {f"{SYSTEMS}/{name}.py": source, MAPPING: text, NOTES: note})
    found = {called(n): f for n, f in (*made.tables.items(), *made.events.items())}
    found = {n: replace(f, columns={called(c): s for c, s in f.columns.items()}) for n, f in found.items()}
    return Started(str(folder), written, found, made.unsure, sorted(lacks - set(kept)))


def _check(name: str, folder: Path, *, again: bool) -> None:
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        fix = "small letters, digits and _, a letter first: book_shop"
        raise InputError(Problem("bad-name", f"`{name}` cannot be the name of a system", "NAME", fix=fix))
    taken = [p for p in (f"{SYSTEMS}/{name}.py", MAPPING) if (folder / p).exists()]
    if taken and not again:
        fix = "choose another name or --folder, or write over them with --again"
        raise Conflict(Problem("name-taken", f"{folder} has {' and '.join(taken)} already", str(folder), fix=fix))


def _mapped(path: Path) -> Guess:
    """What a mapping written by hand brings."""
    said = layout(path)
    made = Guess()
    for found, sources in ((made.tables, said.table), (made.events, said.event)):
        for source in sources:
            before = found[source.name].columns if source.name in found else {}
            found[source.name] = Found(source.file, before | dict.fromkeys(source.columns, ""), "")
    return made


def _substitutes(system: System, lacks: set[str]) -> dict[str, str]:
    """Event types that are lacking → the one that the first head is made of, where that is about the same things."""
    events = shared.events([system])
    first = cutting.first_event(system)
    if first in lacks:
        return {}
    return {n: first for n, e in events.items() if n in lacks and _roles(e) == _roles(events[first])}


def _roles(event: Events) -> list[str]:
    return [table.name for table in event.refs.values()]


def _caller(source: str, made: Guess) -> Callable[[str], str]:
    """Names of the template → names of the system; words that the file uses otherwise stay as they are."""
    for old, (one, _) in list(made.words.items()):
        if one == old or not cutting.may_be_called(one, source):
            del made.words[old]
    return lambda name: cutting.renamed(name, made.words)


def _write(folder: Path, name: str, texts: dict[str, str]) -> list[str]:
    (folder / SYSTEMS).mkdir(parents=True, exist_ok=True)
    kept = {path: text for path, text in texts.items() if text}
    if (folder / NOTES).exists():
        del kept[NOTES]
    for path, text in kept.items():
        (folder / path).write_text(text)
    if not (folder / SETTINGS).exists():
        Settings.write_default(folder / SETTINGS)
        kept[SETTINGS] = ""
    return [str(folder / path) for path in kept]
