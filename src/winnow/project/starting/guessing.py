"""Guesses which file and column of a folder is which table, event and column of a system, and says so."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from winnow.core.system import System
from winnow.data.schema import Events, Kind, Table
from winnow.project import shared
from winnow.project.starting.cutting import first_event
from winnow.project.starting.files import Column, File
from winnow.project.starting.words import ACTIONS, PEOPLE, PERSONAL, done, likeness, words

FEW_ACTIONS = 20
_DAWN = '{ value = "1970-01-02" }'


@dataclass(frozen=True)
class Found:
    """Where the rows of a table or event type come from.

    Args:
        file: name of the file.
        columns: column of the system → how the mapping says it.
        time: when the rows happened or became known, as the mapping says it.
        id: columns that tell one event from others.
        where: the actions that count, by the column that tells them.
        more: further columns of the file, and their kinds.
    """

    file: str
    columns: dict[str, str]
    time: str
    id: tuple[str, ...] = ()
    where: tuple[str, tuple[str, ...]] | None = None
    more: dict[str, str] = field(default_factory=dict)


@dataclass
class Guess:
    """What was found in a folder.

    Args:
        tables, events: by the names of the system.
        words: table of the system → singular and plural of what the files call it.
        unsure: what could not be found, or was left out, in words.
    """

    tables: dict[str, Found] = field(default_factory=dict)
    events: dict[str, Found] = field(default_factory=dict)
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)

    def lacking(self, system: System) -> set[str]:
        """The tables, columns, events and fields of a system that nothing was found for."""
        lacks = set[str]()
        kept = {system.labels.user.name, system.labels.item.name, system.labels.of.name}
        for owners, found in ((shared.tables([system]), self.tables), (shared.events([system]), self.events)):
            for name, owner in owners.items():
                own = owner.fields if isinstance(owner, Events) else owner.columns
                lacks |= {name} if name not in found and name not in kept else set()
                lacks |= {f"{name}.{c}" for c in own if name not in found or c not in found[name].columns}
        return lacks


def guess(system: System, files: list[File]) -> Guess:
    """What of a folder is what of a system.

    Args:
        system: from the box.
        files: of the folder.
    """
    made, labels = Guess(), system.labels
    logs = [f for f in files if f.time is not None and (f.called() or _refers(f, files))]
    things = [f for f in files if f not in logs and f.key is not None]
    people = next((f for f in things if f.thing in PEOPLE), None)
    if people is None and len(things) > 1:
        people = next((f for f in things if f.called() is f.key), None)
    items = next((f for f in things if f is not people), None)
    for table, file in ((labels.user, people), (labels.item, items)):
        if file is not None:
            made.words[table.name] = file.thing, _plural(file)
            made.tables[table.name] = _table(table, file, made, logs)
    _logs(system, logs, (people, items), made)
    if items is None and (log := next(iter(made.events.values()), None)) is not None:
        role = list(labels.of.refs)[-1]
        made.tables[labels.item.name] = Found(log.file, {labels.item.key: log.columns[role]}, _DAWN)
        made.unsure.append(f"no file holds what people choose from: it is what stands in {log.file}")
    rest = [f.name for f in files if f not in (*logs, people, items)]
    made.unsure += [f"{name}: no idea what it holds; not mapped" for name in rest]
    return made


def _plural(file: File) -> str:
    stem = "_".join(words(file.name.rpartition(".")[0]))
    return stem if stem != file.thing else f"{stem}s"


def _refers(file: File, files: Iterable[File]) -> bool:
    """Whether its rows tell of two things that other files hold."""
    keys = [f.key for f in files if f is not file and f.key is not None]
    return len({id(c) for k in keys if (c := file.holding(k)) is not None and c is not file.key}) > 1


# Tables -------------------------------------------------------------------------------------------------------------


def _table(table: Table, file: File, made: Guess, logs: list[File]) -> Found:
    assert file.key is not None
    taken, columns = {file.key.name}, {table.key: _quoted(file.key.name)}
    for name, kind in table.columns.items():
        if (column := _like(name, kind, file, taken)) is not None:
            columns[name] = _said(column, kind, name)
            taken.add(column.name)
    more = dict(_more(file, taken, made, person=file.thing in PEOPLE))
    columns |= {c: _said(file.columns[c], None, c) for c in more}
    days = [f.time.earliest() for f in logs if f.time is not None]
    return Found(file.name, columns, f'{{ value = "{min(days)}" }}' if days else _DAWN, more=more)


def _like(name: str, kind: Kind, file: File, taken: set[str]) -> Column | None:
    """The column that is most likely the one of the system, by name, and by what it holds."""
    free = [c for c in file.columns.values() if c.name not in taken and _holds(c, kind)]
    best = max(free, key=lambda c: likeness(c.name, name, file.thing), default=None)
    return best if best is not None and likeness(best.name, name, file.thing) > 1 else None


def _holds(column: Column, kind: Kind) -> bool:
    """Whether a column can hold values of a kind."""
    if kind.storage == "ref" or kind.media:
        return False
    if kind.storage == "time":
        return column.unit is not None
    if kind.storage == "flag":
        return column.flag
    if kind.storage == "number":
        return column.numeric and column.unit != "iso"
    return column.unit is None and (kind.storage != "category" or column.separator is None)


def _more(file: File, taken: set[str], made: Guess, *, person: bool) -> Iterator[tuple[str, str]]:
    """The other columns that can become features; what looks like data about a person is left out."""
    for column in file.columns.values():
        if column.name in taken:
            continue
        if person and set(words(column.name)) & PERSONAL:
            made.unsure.append(f"{file.name}: `{column.name}` looks personal; left out")
        elif not column.name.isidentifier() or column.name in ("name", "key", "columns", "row", "type", "where", "at"):
            made.unsure.append(f"{file.name}: `{column.name}` cannot be the name of a column; left out")
        elif kind := _kind(column):
            yield column.name, kind
        else:
            made.unsure.append(f"{file.name}: `{column.name}` has no use in this system; left out")


def _kind(column: Column) -> str:
    if column.separator is not None:
        return "w.categories"
    if column.numeric and not column.flag:
        return "w.number"
    return "w.category" if column.unit is None and column.grouped else ""


# Events -------------------------------------------------------------------------------------------------------------


def _logs(system: System, logs: list[File], things: tuple[File | None, File | None], made: Guess) -> None:
    shown, known = system.labels.of, shared.events([system])
    about = {e.name: e for e in known.values() if set(e.refs.values()) == set(shown.refs.values())}
    said = [(file, action, value) for file in logs for action, value in _actions(file, about)]
    for file, action, value in sorted(said, key=lambda s: len(done(s[2] or s[0].thing, about)) or 9):
        names = [n for n in done(value or file.thing, about) if n not in made.events] or _first(system, made, value)
        if not names:
            made.unsure.append(
                f"{file.name}: {f'`{value}`' if value else 'its rows'} mean no event of this system; left out"
            )
            continue
        made.events[names[0]] = _event(about[names[0]], file, things, where=(action, value), made=made)
    _only_one(system, made, about)
    if shown.name not in made.events and made.events:
        made.unsure.append(
            f"no file tells what people were shown: every `{first_event(system)}` is learned from against things that "
            "could have been chosen, so predictions put things in order and are no probabilities"
        )


def _first(system: System, made: Guess, value: str) -> list[str]:
    """For a file whose name says nothing: what the first head is made of."""
    first = first_event(system)
    return [] if value or first in made.events else [first]


def _only_one(system: System, made: Guess, about: Mapping[str, Events]) -> None:
    """Where people do one thing only, it is what the first head is made of."""
    feedback = [n for n in made.events if n != system.labels.of.name]
    if len(feedback) == 1 and (first := first_event(system)) != feedback[0] and first in about:
        made.unsure.append(
            f"there is one thing that people do: it is called `{first}`, which the system predicts first"
        )
        made.events[first] = made.events.pop(feedback[0])


def _actions(file: File, about: Mapping[str, Events]) -> Iterator[tuple[str, str]]:
    """The column that tells what was done, with each of its values; ("", "") where the file is of one kind."""
    for column in file.columns.values():
        values = column.texts.unique().sort().to_list() if column.distinct <= FEW_ACTIONS else []
        told = [v for v in values if done(v, about)]
        if len(told) > 1 or (told and set(words(column.name)) & ACTIONS):
            yield from ((column.name, value) for value in values)
            return
    yield "", ""


def _event(
    event: Events, file: File, things: tuple[File | None, File | None], *, where: tuple[str, str], made: Guess
) -> Found:
    person, item = _ends(file, things)
    roles = list(event.refs)
    columns = {
        role: _quoted(c.name if c else "") for role, c in zip((roles[0], roles[-1]), (person, item), strict=True)
    }
    for role, column in zip(("person", "item"), (person, item), strict=True):
        made.unsure += [] if column else [f"{file.name}: no column found for the {role}; fill it in"]
    taken = {c.name for c in (person, item, file.time) if c} | {where[0]}
    for name, kind in event.fields.items():
        if (column := _like(name, kind, file, taken)) is not None:
            columns[name] = _said(column, kind, name)
            taken.add(column.name)
    ids = tuple(c.name for c in (person, item, file.time) if c)
    kept = (where[0], (where[1],)) if where[0] else None
    return Found(file.name, columns, _moment(file.time), ids, kept)


def _ends(file: File, things: tuple[File | None, File | None]) -> tuple[Column | None, Column | None]:
    """The columns that say who did it and to what."""
    people, items = things
    person = file.called() or (file.holding(people.key) if people and people.key else None)
    item = file.called(frozenset({items.thing})) if items else None
    if item is None and items is not None and items.key is not None:
        item = file.holding(items.key)
    if item is None:
        left = (c for c in file.columns.values() if c is not person and c is not file.time and "id" in words(c.name))
        item = next(left, None)
    return person, item


# How the mapping says it --------------------------------------------------------------------------------------------


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _said(column: Column, kind: Kind | None, wanted: str) -> str:
    name = _quoted(column.name)
    if column.unit and (kind is None or kind.storage == "time"):
        return f'{{ column = {name}, unit = "{column.unit}" }}'
    if column.separator and (kind is None or kind.storage == "categories"):
        return f"{{ column = {name}, split = {_quoted(column.separator)} }}"
    if "minutes" in words(column.name) and wanted.endswith(("_s", "seconds")):
        return f"{{ column = {name}, scale = 60 }}"
    return name


def _moment(column: Column | None) -> str:
    if column is None:
        return '{ column = "" }'
    return (
        f'{{ column = {_quoted(column.name)}, unit = "{column.unit}" }}'
        if column.unit
        else f"{{ column = {_quoted(column.name)} }}"
    )
