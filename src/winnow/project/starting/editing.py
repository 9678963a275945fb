"""Takes parts out of the text of a file as a person would: what stays keeps its words, its lines and its comments."""

import ast
import re
from collections.abc import Container, Iterable, Iterator
from itertools import groupby

Span = tuple[int, int]


class Text:
    """A file and its syntax tree; places are in bytes, as the tree counts columns.

    Args:
        source: of the file.
    """

    def __init__(self, source: str) -> None:
        self.tree = ast.parse(source)
        self._bytes = source.encode()
        lines = self._bytes.splitlines(keepends=True)
        self._starts = [sum(map(len, lines[:i])) for i in range(len(lines) + 1)]

    def span(self, node: ast.AST) -> Span:
        """Where a node begins and ends."""
        start = self._starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def of(self, node: ast.AST) -> str:
        """The text of a node."""
        start, end = self.span(node)
        return self._bytes[start:end].decode()

    def without(self, gone: Container[int], swaps: Iterable[tuple[ast.AST, ast.AST]] = ()) -> str:
        """The text without some nodes: elements, items of mappings, keywords, statements.

        Args:
            gone: their ids.
            swaps: nodes, and what stands in their place.
        """
        return self.changed([*self._cuts(gone), *((self.span(old), self.of(new)) for old, new in swaps)])

    def changed(self, changes: Iterable[tuple[Span, str]]) -> str:
        """The text with other text in some places, which do not overlap unless one holds the other."""
        out, last = [], 0
        for (start, end), text in sorted(changes, key=lambda c: (c[0][0], c[0][1] > c[0][0], -c[0][1])):
            if start >= last:
                out += [self._bytes[last:start].decode(), text]
                last = end
        return tidy("".join((*out, self._bytes[last:].decode())))

    def _cuts(self, gone: Container[int]) -> Iterator[tuple[Span, str]]:
        within = set[int]()
        for node in (n for n in ast.walk(self.tree) if id(n) not in within):
            if isinstance(body := getattr(node, "body", None), list):
                yield from ((self._lines(s), "") for s in body if id(s) in gone and not _partly(s, gone))
            if isinstance(node, ast.Assign) and (single := self._single(node, gone)):
                yield self.span(node), single
                within |= {id(n) for n in ast.walk(node)}
            else:
                yield from self._dropped(node, gone)

    def _lines(self, node: ast.AST) -> Span:
        """A statement with its whole lines, and a comment above it that stands alone."""
        start = self._starts[node.lineno - 1]  # type: ignore[attr-defined]
        return start, self._starts[node.end_lineno]  # type: ignore[attr-defined]

    def _items(self, node: ast.AST) -> list[tuple[ast.AST, Span]]:
        """What stands between the commas of a node, in order, with what decides whether it goes."""
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return [(e, self.span(e)) for e in node.elts]
        if isinstance(node, ast.Dict):
            return [(v, self._item(k, v)) for k, v in zip(node.keys, node.values, strict=True)]
        if isinstance(node, ast.Call):
            parts: list[ast.AST] = [*node.args, *node.keywords]
            return sorted(((p, self.span(p)) for p in parts), key=lambda part: part[1])
        if isinstance(node, ast.ImportFrom):
            return [(alias, self.span(alias)) for alias in node.names]
        return []

    def _item(self, key: ast.AST | None, value: ast.AST) -> Span:
        start, end = self.span(value)
        return (start - 2 if key is None else self.span(key)[0]), end

    def _single(self, node: ast.Assign, gone: Container[int]) -> str:
        """Of several names made in a row only one is left: it is made by itself."""
        (target,) = node.targets
        kept = [n for n in target.elts if id(n) not in gone] if isinstance(target, ast.Tuple) else []
        if len(kept) != 1:
            return ""
        made = node.value
        if isinstance(made, ast.Tuple):
            (value,) = (v for v in made.elts if id(v) not in gone)
            return f"{self.of(kept[0])} = {self.of(value)}"
        if not isinstance(made, ast.GeneratorExp) or not isinstance(listed := made.generators[0].iter, ast.Tuple):
            return ""
        (value,) = (v for v in listed.elts if id(v) not in gone)
        text = re.sub(rf"\b{self.of(made.generators[0].target)}\b", self.of(value), self.of(made.elt))
        return f"{self.of(kept[0])} = {text}"

    def _dropped(self, node: ast.AST, gone: Container[int]) -> Iterator[tuple[Span, str]]:
        """What to cut between the brackets of a node so that commas and lines still fit."""
        items = self._items(node)
        runs = [(kept, [s for _, s in run]) for kept, run in groupby(items, key=lambda item: id(item[0]) not in gone)]
        for i, (kept, run) in enumerate(runs):
            if not kept:
                before, after = (
                    (runs[i - 1][1][-1][1] if i else None),
                    (runs[i + 1][1][0][0] if runs[i + 1 :] else None),
                )
                yield self._cut((run[0][0], run[-1][1]), before, after), ""
        left = [span for kept, run in runs if kept for span in run]
        if isinstance(node, ast.Tuple) and len(left) == 1 < len(items):
            yield (left[0][1],) * 2, ","

    def _cut(self, run: Span, before: int | None, after: int | None) -> Span:
        """A run of elements with the comma on one side of it: on that where the line goes on."""
        start, end = run
        if after is None:
            return (start if before is None else before), end
        breaks = b"\n" in self._bytes[end:after], before is not None and b"\n" in self._bytes[before:start]
        return (before, end) if before is not None and breaks == (True, False) else (start, after)


def _partly(node: ast.AST, gone: Container[int]) -> bool:
    """Whether only some of the names of an assignment go."""
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    return isinstance(target, ast.Tuple) and any(id(n) not in gone for n in target.elts) and (
        any(id(n) in gone for n in target.elts)
    )  # fmt: skip


def tidy(text: str) -> str:
    """No lines of blanks within brackets, none that trails, never more than two together."""
    text = re.sub(r", (?:columns|fields)=\{\s*\}", "", text)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^[ \t]*,\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"([\[({,])\n\n+(?=[ \t]*\S)", r"\1\n", text)
    text = re.sub(r"\n\n+(?=[ \t]+[\])}])", "\n", text)
    text = re.sub(r"\n\n(?= {4,}\S)(?<=,\n\n)", "\n", text)
    return re.sub(r"\n{4,}", "\n\n\n", text)
