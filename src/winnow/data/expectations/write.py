"""Writes `expectations.toml`: sorted, one section per event type, table and column, with what was observed."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from winnow.data.expectations.declare import Bots, ColumnExpectation, Expectations, Group, Storms

Notes = Mapping[tuple[str, ...], str]  # (section, …, key) → what was observed; (section, …) for the section itself
_HEAD = """\
# What is expected of the data of this project. `winnow data infer` wrote it; edit it as you like, and keep it in
# version control. Comments tell what was observed. A line that is taken out is not checked any more.
#
# level = "warn"    a row outside at_least, at_most or a closed list (others = 0), or without a value although
#                   missing = 0, is let in and counted
# level = "refuse"  such a row goes to the quarantine
# never_below, never_above: a row beyond is refused at any level
# Everything else is a share or a rate: no single row breaks it, `winnow data check` reports it.
"""


def to_toml(expectations: Expectations, notes: Notes | None = None) -> str:
    """The text of the file.

    Args:
        expectations: what to write.
        notes: what to say beside it.
    """
    notes = notes or {}
    lines = [_HEAD]
    for name in ("period", "bots", "storms"):
        if (part := getattr(expectations, name)) is not None:
            lines += _section((name,), part, notes)
    for section, groups in (("event", expectations.event), ("table", expectations.table)):
        for name in sorted(groups):
            lines += _group((section, name), groups[name], notes)
    return "\n".join(lines)


def _group(path: tuple[str, ...], group: Group, notes: Notes) -> Iterator[str]:
    yield from _section(path, group, notes, skip="columns")
    for name in sorted(group.columns):
        yield from _section((*path, "columns", name), group.columns[name], notes)


def _section(path: tuple[str, ...], part: msgspec.Struct, notes: Notes, *, skip: str = "") -> Iterator[str]:
    yield f"[{'.'.join(map(_key, path))}]" + _comment(notes.get(path))
    for field in msgspec.structs.fields(part):
        value = getattr(part, field.name)
        if field.name != skip and _worth(part, field, value):
            yield f"{field.name} = {_value(value)}" + _comment(notes.get((*path, field.name)))
    yield ""


def _worth(part: msgspec.Struct, field: msgspec.structs.FieldInfo, value: Any) -> bool:
    """Whether a line says something: limits always, defaults of other things never."""
    if field.name == "level":
        return isinstance(part, ColumnExpectation) and (value != field.default or _has_level(part))
    return value not in (None, {}) and (isinstance(part, Bots | Storms) or value != field.default)


def _has_level(column: ColumnExpectation) -> bool:
    """Whether a row can break the expectation of a column in a way that the level decides."""
    return column.at_least is not None or column.at_most is not None or 0 in (column.missing, column.others)


def _comment(note: str | None) -> str:
    return f"  # {_printable(note)}" if note else ""


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(k)} = {_value(v)}' for k, v in value.items())} }}" if value else "{}"
    return f"[{', '.join(map(_value, value))}]"


def _text(text: str) -> str:
    # JSON strings are TOML strings but for the one control character that JSON lets stand.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
