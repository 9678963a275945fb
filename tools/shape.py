"""Print the sizes of functions and files, by layer: `make shape`."""

import ast
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]


def functions(source: str) -> list[int]:
    """Lines of every function in a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(n.end_lineno or 0) - n.lineno + 1 for n in ast.walk(ast.parse(source)) if isinstance(n, kinds)]


def row(name: str, files: list[Path]) -> tuple[str, ...]:
    """One line of the table."""
    texts = [f.read_text() for f in files]
    lines = [t.count("\n") for t in texts] or [0]
    sizes = [s for t in texts for s in functions(t)] or [0]
    figures = (len(files), sum(lines), np.median(lines), max(lines), len(sizes), np.median(sizes))
    tail = (np.quantile(sizes, 0.9), max(sizes))
    return (name, *(f"{x:.0f}" for x in figures + tail))


def main() -> None:
    table = Table("layer", "files", "lines", "median file", "longest", "functions", "median", "90 %", "longest")
    package = ROOT / "src" / "winnow"
    for layer in sorted(p for p in package.iterdir() if p.is_dir() and p.name != "__pycache__"):
        table.add_row(*row(layer.name, sorted(layer.rglob("*.py"))))
    table.add_section()
    for name in ("src", "tests", "benchmarks"):
        table.add_row(*row(name, sorted((ROOT / name).rglob("*.py"))))
    Console().print(table)


if __name__ == "__main__":
    main()
