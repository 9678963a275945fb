"""How the commands of `winnow features` look to a person."""

import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from rich import box
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from winnow.cli.printing import out
from winnow.project.features.picture import sparkline, written

if TYPE_CHECKING:
    from winnow.features.lineage import Node
    from winnow.project.features.sizing import Sizes
    from winnow.project.features.telling import Told

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def print_list(frame: pl.DataFrame, system: str) -> None:
    """One line per column; what nothing is known about is left out."""
    table = Table(title=f"features of {system}: {len(frame)} columns", title_justify="left",
                  box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)  # fmt: skip
    told = [c for c in _TITLES if _says(frame[c])]
    for name in ("name", "kind", "window", *told):
        table.add_column(_TITLES.get(name, name), justify="right" if name in _FORMS else "left", no_wrap=True)
    table.add_column("used by")
    for row in frame.to_dicts():
        table.add_row(*(_cell(name, row[name]) for name in ("name", "kind", "window", *told)), _users(row, system))
    out.print(table)
    if "coverage" not in told:
        hint = f"winnow features list {system} --measure"
        out.print(f"coverage, default share and cost: {hint}", style="dim", highlight=False)


_TITLES = {"default": "default", "ttl": "ttl", "owner": "owner", "coverage": "cover", "default_share": "empty",
           "us_per_1k": "µs/1k", "importance": "gain"}  # fmt: skip
_FORMS = {"default": "{:g}", "coverage": "{:.0%}", "default_share": "{:.0%}", "us_per_1k": "{:,.0f}",
          "importance": "{:.1%}"}  # fmt: skip


def _says(column: pl.Series) -> bool:
    return bool(column.is_not_null().any() and (column.dtype != pl.String or (column.fill_null("") != "").any()))


def _cell(name: str, value: Any) -> str:
    return "" if value is None else _FORMS.get(name, "{}").format(value)


def _users(row: Mapping[str, Any], system: str = "") -> str:
    """The systems, without the one that the list is about, and how many releases."""
    releases = len(row["releases"])
    told = [name for name in row["systems"] if name != system]
    return ", ".join([*told, *[f"{releases} release{'s' * (releases > 1)}"] * bool(releases)])


def print_card(card: Mapping[str, Any]) -> None:
    """A sentence, the tree, the state, figures."""
    out.print(f"[bold]{card['name']}[/] [dim]{card['kind']}, {card['type']}, declared at {card['declared']}[/]")
    out.print(card["meaning"], highlight=False)
    out.print(_tree(card["lineage"]))
    if card["state"]:
        out.print(_state(card["state"]))
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, text in _figures(card):
        table.add_row(f"[dim]{name}[/]", text)
    out.print(table)


def _tree(node: "Node") -> Tree:
    """What a feature is made of, as a tree."""

    def grow(tree: Tree, node: "Node") -> Tree:
        for inner in node.of:
            told = f" [dim]· {inner.told}[/]" if inner.told else ""
            grow(tree.add(f"{inner.name}{told}", highlight=False), inner)
        return tree

    return grow(Tree("made of", style="dim"), node)


def _state(state: list[Mapping[str, Any]]) -> Table:
    table = Table("state kept", "by", "window", "hop", "buckets", title_justify="left")
    for row in state:
        table.add_row(row["keeps"], row["by"], row["window"], row["hop"], str(row["buckets"]))
    return table


def _figures(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    measured, share = card["measured"], card["importance"]
    found = [("default", _cell("default", card["default"])), ("time to live", card["ttl"] or ""),
             ("owner", card["owner"])]  # fmt: skip
    if measured.get("rows"):
        found += [
            ("coverage", f"{measured['coverage']:.1%} of {measured['rows']:,} sampled impressions"),
            ("default share", _cell("default_share", measured["default_share"])),
            ("cost", f"{measured['us_per_1k']:,.0f} µs for 1000 rows, from history"),
        ]
        quantiles = measured["quantiles"] or {}
        found += [("quantiles", "  ".join(f"{float(q):.0%} {written(v)}" for q, v in quantiles.items()))]
    told = f"{share:.2%} of the gain of the trees, place {card['importance_rank']}" if share is not None else ""
    found += [("importance", told), ("used by", _users(card)), ("releases", ", ".join(card["releases"][:4]))]
    return [(name, text) for name, text in found if text]


def print_story(told: "Told") -> None:
    """The value now, its course as one line, and the last events."""
    first, last = (told.values["at"][i].strftime("%Y-%m-%d %H:%M") for i in (0, -1))
    out.print(
        f"[bold]{told.story.name}[/] of [bold]{escape(told.whose)}[/] is [bold]{escape(told.now)}[/]", highlight=False
    )
    out.print(told.meaning, style="dim", highlight=False)
    if not told.story.known[-1]:
        out.print("nothing is known: this is the default", style="yellow")
    out.print(f"{first} {sparkline(told.story)} {last}", highlight=False)
    if len(told.events):
        out.print(_events(told.events))


def _events(events: pl.DataFrame) -> Table:
    table = Table("when (UTC)", "event", "about", "now", "", title="what made it, newest first", title_justify="left")
    for row in events.to_dicts():
        late = f"known {_duration(row['late_s'])} later" if row["late_s"] >= 1 else ""
        value = f"{row['field']} {written(row['value'])}" if row["value"] is not None else ""
        told = ", ".join(filter(None, [value, row["about"]]))
        when = row["at"].strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(when, row["event"], escape(told), _counts(row["counts"]), late)
    return table


def _counts(times: int) -> str:
    return "[dim]no longer[/]" if not times else "counts" if times == 1 else f"counts {times} times"


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def story_data(told: "Told") -> dict[str, Any]:
    """A story as JSON data."""
    return {
        "name": told.story.name,
        "of": told.whose,
        "meaning": told.meaning,
        "now": told.now,
        "known": bool(told.story.known[-1]),
        "values": [{**row, "at": row["at"].isoformat()} for row in told.values.to_dicts()],
        "events": [{**row, "at": row["at"].isoformat()} for row in told.events.to_dicts()],
    }


def show_picture(path: Path) -> None:
    """Opens a picture with whatever this machine shows pictures with."""
    if not webbrowser.open(path.resolve().as_uri()):
        sys.stderr.write(f"nothing here can open {path}\n")


def print_sizes(told: "Sizes", system: str) -> None:
    """The largest tables and the sum."""
    title = f"live tables of {system}: {written_bytes(told.bytes)}"
    table = Table("table", title=title, title_justify="left")
    table.add_column("keys", justify="right")
    table.add_column("memory", justify="right")
    largest = told.tables.head(20)
    for name, keys, size in largest.rows():
        table.add_row(escape(name), "" if keys is None else f"{keys:,}", written_bytes(size))
    if len(told.tables) > len(largest):
        rest = told.bytes - int(largest["bytes"].sum())
        table.add_row(f"{len(told.tables) - len(largest)} more", "", written_bytes(rest))
    out.print(table)
    pairs = ", ".join(f"{count:,} {subject}" for subject, count in told.pairs.items())
    basis = "as many per event as the history has" if told.measured else "at most: there is no history to measure"
    out.print(f"pairs reckoned with ({basis}): {pairs or 'none'}", style="dim", highlight=False)


def sizes_data(told: "Sizes") -> dict[str, Any]:
    """A prediction as JSON data."""
    return {"bytes": told.bytes, "measured": told.measured, "rows": told.rows, "pairs": told.pairs,
            "tables": told.tables.to_dicts()}  # fmt: skip


def written_bytes(size: float) -> str:
    """Bytes as people read them.

    >>> written_bytes(512), written_bytes(3 * 2**20)
    ('512 B', '3.0 MiB')
    """
    power = 0
    while size >= 1024 and power < len(_UNITS) - 1:
        size, power = size / 1024, power + 1
    return f"{size:.1f} {_UNITS[power]}" if power else f"{size:.0f} B"


def print_skew(found: pl.DataFrame, shown: pl.DataFrame, system: str) -> None:
    """What differs, or that nothing does."""
    rows = int(found["rows"].max() or 0) if len(found) else 0  # type: ignore[arg-type]
    if not rows:
        out.print(f"{system} has served nothing that could be compared")
        return
    wrong = int((found["different"] > 0).sum())
    verdict = f"[red]✗[/] {wrong} of {len(found)} features differ" if wrong else "[green]✓[/] no difference"
    out.print(f"{verdict} in {rows:,} served rows of {system}, computed again from history")
    if len(shown):
        out.print(_skewed(shown))


def _skewed(shown: pl.DataFrame) -> Table:
    table = Table("feature", "rows", "differ", "first example", "served", "recomputed", "as of")
    for row in shown.to_dicts():
        example = f"{row['request']}, user {row['user']}, item {row['item']}" if row["different"] else ""
        values = [repr(row[c]) if row[c] is not None else "" for c in ("served", "recomputed")]
        table.add_row(
            row["feature"], f"{row['rows']:,}", f"{row['different']:,}", escape(example), *values, row["at"] or ""
        )
    return table
