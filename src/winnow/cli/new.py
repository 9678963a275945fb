"""`winnow new`: a system of one's own, started from one in the box and cut to one's data."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from winnow.cli.options import Json


def new(
    name: str, *, from_: Annotated[str, Parameter(name="--from", negative="")] = "video_recommendation",
    data: Path | None = None, mapping: Path | None = None, folder: Path | None = None, again: bool = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Start a system of your own from one in the box: a file under your name, a mapping for your data, next steps.

    Args:
        name: Of your system: small letters, digits and _.
        from_: The system in the box to start from.
        data: Folder with your CSV or Parquet files; guesses which is what, and cuts the system to what you have.
        mapping: A mapping that you have filled in; cuts the system to it.
        folder: Of the project; called like the system when left out.
        again: Write over a system file and a mapping that are there.
    """
    from winnow.cli.printing import out, print_json
    from winnow.project.starting.start import start

    place = folder or Path(name)
    made = start(name, place, template=from_, data=data, mapping=mapping, again=again)
    if json:
        print_json(made)
        return
    for called, found in made.found.items():
        columns = ", ".join(f"{c} ← {_shown(s)}" for c, s in found.columns.items())
        out.print(f"[bold]{called}[/] ← {found.file}: {columns}", highlight=False)
    for line in made.unsure:
        out.print(f"[yellow]![/] {line}", highlight=False)
    if made.left_out:
        out.print(f"Left out, for the data does not have it: {', '.join(made.left_out)}", highlight=False)
    out.print(f"Made {', '.join(made.files)}", highlight=False)
    step = f"winnow import mapping {data or 'FOLDER'} --mapping {place}/mapping.toml --project {place}"
    out.print(
        f"Next: {'look over' if data or mapping else 'fill in'} {place}/mapping.toml, then {step}", highlight=False
    )


def _shown(said: str) -> str:
    """A column as the mapping says it, without what TOML needs around it."""
    return said.strip('"') if said.startswith('"') else said.replace("[", r"\[")
