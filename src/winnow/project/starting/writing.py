"""The mapping file and the notes of a project that was just started."""

from collections.abc import Callable, Iterator

from winnow.core.declare import walk
from winnow.core.system import System
from winnow.data.schema import EventField, Events, Kind, Path, Table
from winnow.project import shared
from winnow.project.starting.guessing import Found, Guess

_HEAD = """# What of your files is what of `{name}`: left of `=` the name in systems/{name}.py, right of it yours.
# A value may be "column", {{ column = "c", split = "|" }}, {{ column = "c", scale = 60 }}, {{ value = "the same" }}.
"""


def uses(system: System) -> dict[str, list[str]]:
    """`table.column` or `event.field` → what of a system reads it, in words."""
    found: dict[str, list[str]] = {}
    for number, part in (("feature", f) for f in system.features):
        for path in (*part.paths, *part.fields):
            found.setdefault(str(_named(path)), []).append(number)
    for part in walk(system.pipeline):
        for value in vars(part).values():
            for one in value if isinstance(value, list | tuple) else (value,):
                if isinstance(one, Path | EventField):
                    found.setdefault(_named(one), []).append(type(part).__name__)
    return found


def _named(value: Path | EventField) -> str:
    return f"{value.events.name}.{value.name}" if isinstance(value, EventField) else str(value)


def told(kind: Kind, readers: list[str]) -> str:
    """What a column is and who reads it, in a line."""
    features = readers.count("feature")
    others = dict.fromkeys(r for r in readers if r != "feature")
    said = [f"{features} feature{'s' * (features != 1)}"] * bool(features) + list(others)
    what = f"{kind.storage}" + (f" of {kind.table.name}" if kind.table else "")
    return (
        f"{what}; {'read by ' + ', '.join(said) if said else 'shown to people' if kind.storage == 'text' else 'kept'}"
    )


def guessed(name: str, guess: Guess, called: Callable[[str], str]) -> str:
    """The mapping that was found.

    Args:
        name: of the system.
        guess: what was found.
        called: names of the template → names of the system.
    """
    parts = [_HEAD.format(name=name)]
    parts += [_section("table", called(n), found, called) for n, found in guess.tables.items()]
    parts += [_section("event", n, found, called) for n, found in guess.events.items()]
    return "\n".join(parts)


def _section(kind: str, name: str, found: Found, called: Callable[[str], str]) -> str:
    lines = [f"[[{kind}]]", f'name = "{name}"', f'file = "{found.file}"', f"time = {found.time}"]
    if kind == "event":
        ids = ", ".join(f'"{i}"' for i in found.id)
        lines += [f"id = [{ids}]"]
    if found.where:
        column, values = found.where
        listed = ", ".join(f'"{v}"' for v in values)
        lines.append(f'where = {{ "{column}" = [{listed}] }}')
    lines += ["", f"[{kind}.columns]", *(f"{called(c)} = {said}" for c, said in found.columns.items())]
    return "\n".join(lines) + "\n"


def skeleton(name: str, system: System) -> str:
    """A mapping to fill in: every table, event and column of a system, what it is, and whether it may be left out."""
    readers, labels = uses(system), system.labels
    needed = {labels.user.name, labels.item.name}
    parts = [_HEAD.format(name=name), '# Fill in what stands as "?"; lines with # before them may be left out.\n']
    sections = [(_table(t, readers), t.name in needed) for t in shared.tables([system]).values()]
    sections += [(_event(e, readers), e.name == labels.of.name) for e in shared.events([system]).values()]
    parts += ["\n".join(_commented(section, needed)) for section, needed in sections]
    return "\n\n".join(parts) + "\n"


def _commented(lines: Iterator[str], needed: bool) -> Iterator[str]:
    """Sections that may be left out are comments as a whole."""
    yield from lines if needed else (line if line.startswith("# ") or not line else f"# {line}" for line in lines)


def _table(table: Table, readers: dict[str, list[str]]) -> Iterator[str]:
    yield from ("[[table]]", f'name = "{table.name}"', 'file = "?.csv"')
    yield from ('time = { value = "2024-01-01" }  # when the rows became known', "", "[table.columns]")
    yield f'{table.key} = "?"  # required: what names a row'
    for column, kind in table.columns.items():
        yield f'# {column} = "?"  # {told(kind, readers.get(f"{table.name}.{column}", []))}'


def _event(event: Events, readers: dict[str, list[str]]) -> Iterator[str]:
    yield from ("[[event]]", f'name = "{event.name}"', 'file = "?.csv"')
    yield 'time = { column = "?", unit = "iso" }  # or s, ms, us'
    yield 'id = ["?", "?", "?"]  # the columns that together tell one from all others'
    yield from ("", "[event.columns]")
    yield from (f'{role} = "?"  # required: id of a {table.name}' for role, table in event.refs.items())
    for column, kind in event.fields.items():
        yield f'# {column} = "?"  # {told(kind, readers.get(f"{event.name}.{column}", []))}'


def notes(name: str, template: str, *, data: str, folder: str, found: bool) -> str:
    """A README with the next commands."""
    check = "It was guessed from the files: look it over." if found else "Fill it in first, then cut the system to it:"
    again = f"winnow new {name} --from {template} --mapping {folder}/mapping.toml --folder {folder} --again"
    cut = "" if found else f"```\n{again}\n```\n\n"
    return f"""# {name.replace("_", " ").capitalize()}

Started from `{template}`. The system is `systems/{name}.py`: yours to change. `mapping.toml` says which of your files
and columns is what. {check}

{cut}```
winnow import mapping {data} --mapping {folder}/mapping.toml --project {folder}
winnow train {name} --project {folder}
winnow serve --project {folder}
```

Importing again adds nothing twice. `winnow validate --project {folder}` checks the system file after every change,
`winnow evaluate {name} --project {folder}` shows how good each model is, `winnow explain {name} --user ID --project
{folder}` why a list is as it is.
"""
