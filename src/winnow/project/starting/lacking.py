"""What a system file says about things that the data does not have: found in its syntax tree, told by the engine."""

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from winnow.data.schema import EventField, Events, Path, Table
from winnow.data.ties import Bond

_SEVERAL = (ast.List, ast.Set, ast.Tuple)
_SCOPES = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_WITH = {"picture": "looks"}  # keywords that go together: what is read, and what reads it
_CHOICES = ("columns", "but", "once", "apart")  # keywords whose tuples list alternatives: one less is no other thing


@dataclass
class Lacking:
    """Which parts of a file cannot stand without what is lacking.

    Args:
        names: tables, event types, `table.column` and `event.field` that the data lacks.
        space: the names that the file defines when it runs, and their values.
        heads: heads of the labels that are lost with them.
        dead: names of the file that mean nothing any more.
        gone: nodes that go, by id: elements, items, keywords, statements.
        swaps: choices by something lacking, by id, and what they come to without it.
    """

    names: frozenset[str]
    space: Mapping[str, Any]
    heads: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    swaps: dict[int, tuple[ast.AST, ast.AST]] = field(default_factory=dict)

    def find(self, tree: ast.Module) -> None:
        """Marks everything that goes; what goes may take other things along, so this looks until nothing is new."""
        before = -1
        while before != (before := len(self.gone) + len(self.dead) + len(self.heads)):
            for statement in tree.body:
                self._statement(statement, self.dead, frozenset())

    def _statement(self, node: ast.stmt, dead: set[str], local: frozenset[str]) -> None:
        if isinstance(node, ast.FunctionDef):
            self._function(node, dead)
        elif isinstance(node, ast.Assign):
            self._assignment(node, dead, local)

    def _function(self, node: ast.FunctionDef, dead: set[str]) -> None:
        own, inside = frozenset(a.arg for a in node.args.args), set(dead)
        for statement in node.body:
            if isinstance(statement, ast.Return) and statement.value is not None:
                if self._dies(statement.value, inside, own):
                    dead.add(node.name)
                    self.gone.add(id(node))
            else:
                self._statement(statement, inside, own)

    def _assignment(self, node: ast.Assign, dead: set[str], local: frozenset[str]) -> None:
        (target,) = node.targets
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.GeneratorExp):
            self._unpacked(target, node.value, dead)
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            if self._side_by_side(target, node.value, dead, local):
                self.gone.add(id(node))
        elif self._assigned(node.value, dead, local) or (isinstance(target, ast.Name) and self._made_of(target)):
            self.gone.add(id(node))
            dead |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}

    def _assigned(self, value: ast.AST, dead: set[str], local: frozenset[str]) -> bool:
        listed = isinstance(value, ast.Tuple)
        return self._thinned(value.elts, dead, local) if listed else self._dies(value, dead, local)  # type: ignore[attr-defined]

    def _side_by_side(self, target: ast.Tuple, values: ast.Tuple, dead: set[str], local: frozenset[str]) -> bool:
        """`liked, seen = last(like), last(view)`: each name for itself; whether all of them go."""
        for name, value in zip(target.elts, values.elts, strict=True):
            if isinstance(name, ast.Name) and (self._dies(value, dead, local) or self._made_of(name)):
                dead.add(name.id)
                self.gone |= {id(name), id(value)}
        return all(id(name) in self.gone for name in target.elts)

    def _unpacked(self, target: ast.Tuple, made: ast.GeneratorExp, dead: set[str]) -> None:
        """`click, like = (w.Events(name, refs=both) for name in ("click", "like"))`"""
        listed = made.generators[0].iter
        if isinstance(listed, ast.Tuple) and len(listed.elts) == len(target.elts):
            for name, value in zip(target.elts, listed.elts, strict=True):
                if isinstance(name, ast.Name) and self._lacks(self.space.get(name.id)):
                    dead.add(name.id)
                    self.gone |= {id(name), id(value)}

    def _made_of(self, name: ast.Name) -> bool:
        """Whether a name of the file stands for a bond that nothing makes."""
        value = self.space.get(name.id)
        return isinstance(value, Bond) and self._lacks(value.made)

    # Expressions

    def _dies(self, node: ast.AST, dead: set[str], local: frozenset[str]) -> bool:
        """Whether an expression cannot stand; what can stand without some of its elements loses them."""
        if isinstance(node, ast.Name):
            return node.id not in local and (node.id in dead or self._lacks(self.space.get(node.id)))
        if isinstance(node, ast.Attribute):
            return self._dies(node.value, dead, local) or self._lacks(self._value(node, local))
        if isinstance(node, ast.IfExp) and self._dies(node.test, dead, local):
            self.swaps[id(node)] = node, node.orelse
            return self._dies(node.orelse, dead, local)
        return self._parts_die(node, dead, local)

    def _parts_die(self, node: ast.AST, dead: set[str], local: frozenset[str]) -> bool:
        if isinstance(node, ast.Call):
            return self._call(node, dead, local)
        if isinstance(node, ast.Dict):
            return self._dict(node, dead, local)
        if isinstance(node, ast.List):
            return self._thinned(node.elts, dead, local)
        if isinstance(node, _SCOPES):
            return self._comprehension(node, dead, local)
        return any(self._dies(child, dead, local) for child in ast.iter_child_nodes(node))

    def _thinned(self, parts: Iterable[ast.AST], dead: set[str], local: frozenset[str]) -> bool:
        """Takes out the elements that cannot stand; whether none is left of some."""
        parts = list(parts)
        self.gone |= {id(part) for part in parts if self._dies(part, dead, local)}
        return bool(parts) and all(id(part) in self.gone for part in parts)

    def _dict(self, node: ast.Dict, dead: set[str], local: frozenset[str]) -> bool:
        for key, value in zip(node.keys, node.values, strict=True):
            name = key.value if isinstance(key, ast.Constant) else None
            if name in self.heads or (key is not None and self._dies(key, dead, local)):
                self.gone.add(id(value))
            elif self._dies(value, dead, local):
                self.gone.add(id(value))
                self.heads |= {name} & self._known_heads() if isinstance(name, str) else set()
        return bool(node.values) and all(id(value) in self.gone for value in node.values)

    def _known_heads(self) -> set[str]:
        return set(self.space["system"].labels.heads)

    def _comprehension(self, node: Any, dead: set[str], local: frozenset[str]) -> bool:
        inner = local | {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        for generator in node.generators:
            listed = generator.iter
            elements = listed.elts if isinstance(listed, ast.List | ast.Tuple) else None
            if self._thinned(elements, dead, local) if elements else self._dies(listed, dead, local):
                return True
        made = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        return any(self._dies(part, dead, inner) for part in made)

    def _call(self, node: ast.Call, dead: set[str], local: frozenset[str]) -> bool:
        if self._dies(node.func, dead, local) or any(self._dies(a, dead, local) for a in node.args):
            return True
        made = self._value(node.func, local)
        declares = node.args and made in (Table, Events) and getattr(node.args[0], "value", None)
        for keyword in node.keywords:
            if declares and isinstance(keyword.value, ast.Dict):
                self._declared(str(declares), keyword.value)
            elif self._loses(keyword, dead, local, may=_may_lack(made, keyword.arg)):
                return True
        lost = {_WITH.get(str(k.arg)) for k in node.keywords if id(k) in self.gone}
        self.gone |= {id(k) for k in node.keywords if k.arg in lost}
        return bool(declares) and declares in self.names

    def _loses(self, keyword: ast.keyword, dead: set[str], local: frozenset[str], *, may: str) -> bool:
        """Whether a call dies of one of its keywords; one that it can do without only goes."""
        if may == "any" and keyword.arg in self.heads:
            self.gone.add(id(keyword))
            return False
        value = keyword.value
        choices = isinstance(value, ast.Tuple) and keyword.arg in _CHOICES
        dies = self._thinned(value.elts, dead, local) if choices else self._dies(value, dead, local)  # type: ignore[attr-defined]
        if dies and may:
            self.gone.add(id(keyword))
        return dies and not may and not isinstance(value, ast.List)

    def _declared(self, owner: str, columns: ast.Dict) -> None:
        """The columns of a table, the fields and roles of an event."""
        for key, value in zip(columns.keys, columns.values, strict=True):
            if isinstance(key, ast.Constant) and f"{owner}.{key.value!s}" in self.names:
                self.gone.add(id(value))

    def _value(self, node: ast.AST, local: frozenset[str]) -> Any:
        """What a name or a chain of attributes stands for in the file; None when that is not known."""
        if isinstance(node, ast.Name):
            return None if node.id in local else self.space.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self._value(node.value, local)
            return None if owner is None else getattr(owner, node.attr, None)
        return None

    def _lacks(self, value: Any) -> bool:
        return isinstance(value, Table | Events | Path | EventField) and any(n in self.names for n in needs(value))


def needs(value: Table | Events | Path | EventField) -> Iterator[str]:
    """The tables, columns, event types and fields that something declared rests on."""
    if isinstance(value, Table):
        yield value.name
    elif isinstance(value, Events):
        yield value.name
        yield from (table.name for table in value.refs.values())
    elif isinstance(value, EventField):
        yield from needs(value.events)
        yield f"{value.events.name}.{value.name}"
    else:
        yield value.table.name
        for depth, column in enumerate(value.columns):
            owner = Path(value.table, value.columns[:depth]).kind.table or value.table
            yield f"{owner.name}.{column}"
            yield from needs(owner.columns[column].table) if owner.columns[column].table else ()  # type: ignore[arg-type]


def _may_lack(made: Any, name: str | None) -> str:
    """Whether a call can do without a keyword: it has a value otherwise (`default`), or takes any (`any`)."""
    try:
        known = inspect.signature(made).parameters
    except (TypeError, ValueError):
        return ""
    if name is not None and name in known:
        return "" if known[name].default is inspect.Parameter.empty else "default"
    return "any" if any(p.kind is p.VAR_KEYWORD for p in known.values()) else ""
