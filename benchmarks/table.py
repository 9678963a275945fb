"""The table of the systems in the README: `python -m benchmarks table` writes it from `docs/evidence`.

Lines are counted in the files of the systems, everything else stands in the evidence; nothing is typed by hand.
"""

import json
from typing import Any

from benchmarks.evidence import FOLDER, ROOT

from winnow import systems

README = ROOT / "README.md"
BEGIN, END = "<!-- systems: python -m benchmarks table -->", "<!-- /systems -->"
HEAD = ("System", "Lines", "Data, held-out part", "Rungs", "Headline, 95 % interval", "p99", "Command")


def main() -> None:
    """Puts the table where the marks are in the README."""
    README.write_text(put(README.read_text()))
    print(json.dumps({"name": "table", "systems": len(systems.names()), "measured": len(list(FOLDER.glob("*.json")))}))


def put(text: str) -> str:
    """The text with the table of now between the marks."""
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"the README has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def table() -> str:
    """The table as Markdown: one row for each system in the box."""
    rows = [HEAD, tuple("---" for _ in HEAD), *(row(name) for name in systems.names())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def lines(name: str) -> int:
    """How many lines the file of a system has."""
    return len(systems.source(name).splitlines())


def row(name: str) -> tuple[str, ...]:
    """The cells of one system; dashes where nothing has been measured."""
    title, path = name.replace("_", " "), FOLDER / f"{name}.json"
    shown = f"[{title}](docs/systems/{name}.md)" if (ROOT / "docs" / "systems" / f"{name}.md").exists() else title
    known = json.loads(path.read_text()) if path.exists() else None
    rest = _measured(known) if known else ("–",) * (len(HEAD) - 2)
    return shown, str(lines(name)), *rest


def _measured(known: dict[str, Any]) -> tuple[str, ...]:
    rungs = " / ".join(_number(r["value"]) for r in known["rungs"].values())
    span = f" ({_number(known['low'])} to {_number(known['high'])})" if known["low"] is not None else ""
    p99 = f"{known['p99_ms']:g} ms" if known["p99_ms"] is not None else "–"
    named = f"{' / '.join(known['rungs'])}: {rungs}"
    return known["data"], named, f"{known['metric']} **{_number(known['value'])}**{span}", p99, f"`{known['command']}`"


def _number(value: float) -> str:
    """Three decimals, without the zero before them."""
    return f"{value:.3f}".removeprefix("0") if abs(value) < 10 else f"{value:.0f}"
