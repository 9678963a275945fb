"""A system file without what the data does not have."""

import ast
import builtins
import difflib
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from winnow.core.errors import InputError, Problem
from winnow.core.system import System
from winnow.data.declare import event_types
from winnow.data.schema import Events, Table
from winnow.project.starting.editing import Text, tidy
from winnow.project.starting.lacking import Lacking


def run(source: str, name: str = "template") -> dict[str, Any]:
    """What a system file defines."""
    module = ModuleType(name)
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module.__dict__


def fitted(source: str, lacking: Iterable[str]) -> tuple[str, list[str]]:
    """A system file without what is lacking, as far as it can stand without; and what had to stay.

    What stays will be missing in every row: features of it are empty, and a model learns nothing from them.

    Args:
        source: text of a system file that is right.
        lacking: `table`, `table.column`, `event`, `event.field`.

    Raises:
        InputError: `nothing-to-learn`, when nothing that a head is made of is there.
    """
    names = sorted(lacking, key=lambda name: ("." in name, name))
    if {e.name for e in event_types(list(of(source).labels.heads.values()))} <= set(names):
        cut(source, names)
    gone = _can_go(source, [], names)
    return cut(source, gone), [name for name in names if name not in gone]


def _can_go(source: str, gone: list[str], names: list[str]) -> list[str]:
    """What goes already, with those of the names that can: all of them, or those of each half."""
    if not names or _sound(source, [*gone, *names]):
        return [*gone, *names]
    if len(names) == 1:
        return gone
    half = len(names) // 2
    return _can_go(source, _can_go(source, gone, names[:half]), names[half:])


def _sound(source: str, lacking: Iterable[str]) -> bool:
    """Whether the file can stand without what is lacking."""
    try:
        return not of(cut(source, lacking)).find_problems()
    except Exception:  # whatever a file says when a name of it is gone
        return False


def cut(source: str, lacking: Iterable[str]) -> str:
    """A system file without what rests on tables, columns, events and fields that are lacking.

    Features, sources, filters, rules and heads that need them go; so do imports and functions that nobody uses then.

    Args:
        source: text of a system file that is right.
        lacking: `table`, `table.column`, `event`, `event.field`.

    Raises:
        InputError: `nothing-to-learn`, when no head is left, or no other part that a system cannot do without.
    """
    if not (names := frozenset(lacking)):
        return source
    text, space = Text(source), run(source)
    found = Lacking(closed(space, names), space)
    found.find(text.tree)
    if found.dead & {"frame", "system"} or found.heads >= set(found.space["system"].labels.heads):
        what = f"without {', '.join(sorted(names))} nothing is left of the system to learn or to serve"
        fix = "map the events that its heads are made of, or start from another system"
        raise InputError(Problem("nothing-to-learn", what, fix=fix))
    left = _ruled(_without_unused(text.without(found.gone, found.swaps.values())))
    return promised(left) if found.heads else left


def _ruled(source: str) -> str:
    """With another feature as the heuristic of a ladder where its own is lost: the one that is called most like it."""
    text = Text(source)
    numeric = [n for f in of(source).features if f.type == "numeric" for n in f.names]
    calls = (n for n in ast.walk(text.tree) if isinstance(n, ast.Call) and text.of(n.func) == "w.Formula" and n.args)
    lost = [a for a in (call.args[0] for call in calls) if isinstance(a, ast.Constant) and a.value not in numeric]
    best = [(a, difflib.get_close_matches(str(a.value), numeric, n=1, cutoff=0.0)) for a in lost]
    return text.changed([(text.span(a), f'"{near[0]}"') for a, near in best if near])


def closed(space: Mapping[str, Any], names: frozenset[str]) -> frozenset[str]:
    """Names with what refers to them: columns that point to a table, events about its rows."""
    tables = [v for v in space.values() if isinstance(v, Table)]
    events = [v for v in space.values() if isinstance(v, Events)]
    while True:
        more = {f"{t.name}.{c}" for t in tables for c, k in t.columns.items() if k.table and k.table.name in names}
        more |= {e.name for e in events if any(table.name in names for table in e.refs.values())}
        if more <= names:
            return names
        names |= more


def _without_unused(source: str) -> str:
    """Without assignments, functions and imports that nothing uses, which taking one out may leave more of."""
    while True:
        text = Text(source)
        used = {n.id for n in ast.walk(text.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        gone = {id(node) for node in ast.walk(text.tree) if _unused(node, used)}
        if not gone:
            return source
        source = text.without(gone)


def _unused(node: ast.AST, used: set[str]) -> bool:
    if isinstance(node, ast.alias):
        return (node.asname or node.name) not in used
    if isinstance(node, ast.FunctionDef):
        return node.name not in used
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id not in used | {"system"}
    return False


def instead(source: str, other: Mapping[str, str]) -> str:
    """A system file whose sources and counts read other events.

    Args:
        source: text of a system file.
        other: event type that is lacking → the one that takes its place.
    """
    text = Text(source)
    parts = [n for n in ast.walk(text.tree) if isinstance(n, ast.keyword) and n.arg == "sources"]
    counts = [n for n in ast.walk(text.tree) if isinstance(n, ast.Call) and text.of(n.func) in ("w.count", "w.since")]
    return _swapped(source, text, other, [*parts, *counts])


def _swapped(source: str, text: Text, other: Mapping[str, str], parts: Sequence[ast.AST]) -> str:
    variables = {v.name: k for k, v in run(source).items() if isinstance(v, Events)}
    swap = {variables[a]: variables[b] for a, b in other.items() if a in variables and b in variables}
    names = (n for part in parts for n in ast.walk(part) if isinstance(n, ast.Name) and n.id in swap)
    swapped = text.changed([(text.span(n), swap[n.id]) for n in names])
    counts = Counter(name for feature in of(swapped).features for name in feature.names)
    return swapped if not counts or max(counts.values()) == 1 else source


def chosen(source: str, k: int = 10) -> str:
    """A system file for logs that tell what people chose and not what they were shown.

    Choices are learned from against alternatives; what somebody chose stands for what they have seen; the gate looks at
    the order of things, since there are no probabilities.
    """
    system = of(source)
    first = first_event(system)
    text, variables = Text(source), {v.name: n for n, v in run(source).items() if isinstance(v, Events)}
    calls = [n for n in ast.walk(text.tree) if isinstance(n, ast.Call)]
    heads = (w.value for c in calls if text.of(c.func) == "w.Labels" for w in c.keywords if w.arg == "heads")
    wishes = (w.value for c in calls if text.of(c.func) == "w.Retrain" for w in c.keywords if w.arg == "promote_if")
    changes = [((text.span(v)[1],) * 2, f", against=w.Alternatives({variables[first]}, k={k})") for v in heads]
    changes += [(text.span(v), '{"auc": "not worse"}') for v in wishes]
    source = text.changed(changes)
    text = Text(source)
    filters = [n for n in ast.walk(text.tree) if isinstance(n, ast.keyword) and n.arg == "filters"]
    return _swapped(source, text, {system.labels.of.name: first}, filters)


def promised(source: str) -> str:
    """With a frame that promises what its heads predict, and no more."""
    text, heads = Text(source), of(source).labels.heads
    said = " and ".join([", ".join([f"P({h})" for h in heads][:-1])] * (len(heads) > 1) + [f"P({[*heads][-1]})"])
    calls = (n for n in ast.walk(text.tree) if isinstance(n, ast.Call) and text.of(n.func) == "w.Frame")
    places = (k.value for call in calls for k in call.keywords if k.arg == "predict")
    return text.changed([(text.span(v), f'"{said} of what is shown, given who asks and when"') for v in places])


def renamed(source: str, words: Mapping[str, tuple[str, str]]) -> str:
    """A system file that calls its tables otherwise.

    Args:
        source: text of a system file.
        words: word of the file → the singular and the plural that take its place.
    """
    for old, (one, many) in words.items():
        for word, new in ((f"{old}s", many), (old, one)):
            pattern = rf"(?<![A-Za-z]){word}(?![a-z])"
            source = re.sub(pattern, new, source)
            source = re.sub(pattern.replace(word, word.capitalize()), new.capitalize(), source)
    return source


def may_be_called(word: str, source: str) -> bool:
    """Whether a table may have a name: an identifier that means nothing else in the file."""
    taken = {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)}
    taken |= {n for n in run(source) if not n.startswith("__")} | set(dir(builtins)) | {"system"}
    return bool(re.fullmatch("[a-z][a-z0-9_]*", word)) and not keyword.iskeyword(word) and word not in taken


def named(source: str, name: str, template: str, words: Mapping[str, tuple[str, str]]) -> str:
    """A system file under another name, its first line says whose it is, and with other words for its tables."""
    parts = [renamed(part, words) for part in re.split(rf"\b{template}\b", source)]
    title = name.replace("_", " ").capitalize()
    return re.sub(r'^"""[^:\n]*: ', f'"""{title}: ', name.join(parts), count=1)


def widened(source: str, more: Mapping[str, Mapping[str, str]]) -> str:
    """A system file with further columns, each one a feature.

    Args:
        source: text of a system file.
        more: table → column → its kind as the file writes it (`w.number`).
    """
    text, space = Text(source), run(source)
    variables = {v.name: k for k, v in space.items() if isinstance(v, Table)}
    changes, features = [], []
    for call in (n for n in ast.walk(text.tree) if isinstance(n, ast.Call) and n.args):
        name = getattr(call.args[0], "value", None)
        columns = next((k.value for k in call.keywords if k.arg == "columns"), None)
        if text.of(call.func) == "w.Table" and isinstance(name, str) and name in more and isinstance(columns, ast.Dict):
            start, _ = text.span(columns)
            items = ", ".join(f'"{c}": {kind}' for c, kind in more[name].items())
            changes.append(((start + 1, start + 1), f"\n    {items},"))
            features += [f"w.column({variables[name]}.{c})" for c, kind in more[name].items() if kind != "w.text"]
    listed = next((n.value for n in ast.walk(text.tree) if isinstance(n, ast.Assign) and _is_features(n)), None)
    if features and listed is not None:
        start, _ = text.span(listed)
        changes.append(((start + 1, start + 1), f"\n    {', '.join(features)},"))
    return tidy(text.changed(changes))


def _is_features(node: ast.Assign) -> bool:
    (target,) = node.targets
    return isinstance(target, ast.Name) and target.id == "features" and isinstance(node.value, ast.List)


def of(source: str) -> System:
    """The system that a file declares."""
    system: System = run(source)["system"]
    return system


def first_event(system: System) -> str:
    """The event type that the first head is made of."""
    return event_types([next(iter(system.labels.heads.values()))])[0].name
