"""How `explain` and `show` look to a person."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from winnow.cli.printing import out
from winnow.core.system import System
from winnow.core.time import short

TITLES = ("title", "name", "text")


def print_explanation(reply: Mapping[str, Any], names: Mapping[str, str] | None = None) -> None:
    """Stages with counts and milliseconds, then the items with their reasons.

    Args:
        reply: of a rank request with `explain`.
        names: item id → words for people.
    """
    told, names = reply["explanation"], names or {}
    person = "known" if reply["known_user"] else "new"
    out.print(f"[bold]{told['user']['id']}[/] ({person}), as of {reply['as_of']}, release {reply['release']}, "
              f"{reply['ms']:.1f} ms")  # fmt: skip
    for what, ids in told["user"]["recent"].items():
        if ids:
            out.print(f"[dim]{what}:[/] " + " · ".join(names.get(i, i) for i in ids[:6]), highlight=False)
    out.print(_stages(told["stages"]))
    out.print(_items(reply, names))
    for part in reply["degraded"]:
        out.print(f"[yellow]degraded[/] {part['stage']} {part.get('part', '')}: {part['effect']}")


def _stages(stages: list[dict[str, Any]]) -> Table:
    table = Table("stage", "part", title="what happened", title_justify="left")
    for name in ("in", "out", "ms"):
        table.add_column(name, justify="right")
    table.add_column("")
    for s in stages:
        table.add_row(s["kind"], s["name"], f"{s['in']:,}", f"{s['out']:,}", f"{s['ms']:.2f}", s["error"])
    return table


def _items(reply: Mapping[str, Any], names: Mapping[str, str]) -> Table:
    heads = list(reply["explanation"]["items"][0]["heads"]) if reply["items"] else []
    table = Table("", "item", title="what is shown, and why", title_justify="left")
    for name in (*heads, "value"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for item, why in zip(reply["items"], reply["explanation"]["items"], strict=True):
        reasons = "; ".join(r["text"] for r in item.get("reasons") or []) or ", ".join(item["sources"])
        figures = [f"{why['heads'][h]:.3f}" for h in heads]
        table.add_row(
            str(item["position"]), names.get(item["id"], item["id"]), *figures, f"{why['value']:.2f}", reasons
        )
    return table


def print_system(system: System) -> None:
    """The declaration in the words of its six steps."""
    labels, plan = system.labels, [n for f in system.features for n in f.names]
    table = Table(title=f"{system.name} {system.hash}", title_justify="left", show_header=False)
    rows = {
        "1 frame": f"{system.frame.business}\n{system.frame.predict}\n"
                   f"p99 {short(system.frame.p99)}, events kept {short(system.frame.retention)}",
        "2 data": f"{labels.of.name} of {labels.item.name} by {labels.user.name}; "
                  f"heads within {short(labels.within)}: {', '.join(labels.heads)}",
        "3 features": f"{len(plan)} columns: {', '.join(plan[:6])} …",
        "4 model": "\n".join(f"{what} {rung}: {', '.join(type(m).__name__ for m in models)}"
                             for what, ladder in (("retrieval", system.retrieval), ("ranking", system.ranking))
                             if ladder for rung, models in ladder.rungs.items()),
        "5 serve": " → ".join(type(p).__name__ for part in ("sources", "filters", "slate", "policy")
                              for p in getattr(system.pipeline, part)),
        "6 learn": f"every {short(system.retrain.every)}, promoted if "
                   + ", ".join(f"{m} {w}" for m, w in system.retrain.promote_if.items()),
    }  # fmt: skip
    for name, text in rows.items():
        table.add_row(f"[bold]{name}[/]", text)
    out.print(table)
