"""Commands about pictures."""

from pathlib import Path
from typing import Any

from winnow.cli.options import HERE, Json, ProjectFolder, opened


def search(
    system: str, picture: Path | None = None, *, id: str | None = None, box: str | None = None, size: int = 10,
    explain: bool = False, project: ProjectFolder = HERE, json: Json = False,
) -> None:  # fmt: skip
    """The pictures that look like one: a file, or a picture of the collection; as a whole, or a box of it.

    Args:
        system: Name of the system.
        picture: File to look for.
        id: Picture of the collection to look for instead.
        box: Part to look for: left,top,right,bottom as shares from 0 to 1, such as 0,0,0.5,1.
        size: How many pictures.
        explain: Tell also what each stage did.
    """
    from winnow.cli.explaining import print_explanation
    from winnow.cli.printing import print_json, print_rows

    asked = {"id": id, "picture": _bytes(picture), "box": _edges(box), "size": size, "explain": explain}
    with opened(project) as found:
        reply = found.search(system, **{name: value for name, value in asked.items() if value is not None})
    if json:
        print_json(reply)
    elif explain:
        print_explanation(reply)
    else:
        shown = [{"": i["position"], "picture": i["id"], "score": round(i["score"], 4)} for i in reply["items"]]
        print_rows(shown, title=f"like {picture or id}, {reply['ms']:.1f} ms")


def _bytes(file: Path | None) -> bytes | None:
    from winnow.core.errors import NotFound, Problem

    if file is None:
        return None
    if not file.is_file():
        raise NotFound(Problem("no-such-path", f"`{file.name}` does not exist", str(file), fix="give a picture's path"))
    return file.read_bytes()


def _edges(box: str | None) -> list[Any] | None:
    """The numbers of a box; what is no number is refused where the box is read."""
    if box is None:
        return None
    from winnow.core.errors import InputError, Problem

    try:
        return [float(edge) for edge in box.split(",")]
    except ValueError as error:
        fix = "give four numbers such as 0,0,0.5,1"
        raise InputError(Problem("bad-box", f"`{box}` is not left,top,right,bottom", "box", fix=fix)) from error
