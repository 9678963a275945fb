"""Commands that search."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winnow.cli.options import HERE, Json, ProjectFolder, opened


def search(
    system: str, what: str | None = None, *, id: str | None = None, box: str | None = None, size: int = 10,
    language: str = "", correct: bool = True, explain: bool = False, project: ProjectFolder = HERE, json: Json = False,
) -> None:  # fmt: skip
    """What is found for a text, where a system is asked by text; else the pictures that look like one, or a box of it.

    Args:
        system: Name of the system.
        what: Text to look for, or the file of a picture.
        id: Item of the collection to look for instead.
        box: Part to look for: left,top,right,bottom as shares from 0 to 1, such as 0,0,0.5,1.
        size: How many to show.
        language: Of the text, such as en.
        correct: Search for words as they are typed with --no-correct.
        explain: Tell also what each stage did.
    """
    from winnow.cli.explaining import print_explanation
    from winnow.cli.printing import print_json
    from winnow.serving.search_text import by_text

    with opened(project) as found:
        texts = by_text(found.system(system))
        asked: dict[str, Any] = {"id": id, "box": _edges(box), "size": size, "explain": explain, "reasons": explain}
        asked |= {"text": what, "language": language, "correct": correct} if texts else {"picture": _bytes(what)}
        reply = found.search(system, **{name: value for name, value in asked.items() if value is not None})
        names = found.words(system)
    if json:
        print_json(reply)
    elif explain:
        print_explanation(reply, names)
    else:
        _print(reply, names, asked=str(what or id))


def _print(reply: Mapping[str, Any], names: Mapping[str, str], *, asked: str) -> None:
    from winnow.cli.printing import out, print_rows

    for word in reply["corrected"]:
        out.print(f"searched for [bold]{word['searched']}[/] in place of {word['typed']}; --no-correct keeps it")
    for cause in reply["why_empty"]:
        out.print(f"nothing found: {cause['what']} `{cause['name']}`; {cause['fix']}")
    shown = [
        {"": i["position"], "id": i["id"], "name": names.get(i["id"], ""), "score": round(i["score"], 4)}
        for i in reply["items"]
    ]
    if not any(row["name"] for row in shown):
        shown = [{k: v for k, v in row.items() if k != "name"} for row in shown]
    print_rows(shown, title=f"for {asked}, {reply['ms']:.1f} ms")


def _bytes(path: str | None) -> bytes | None:
    """A picture's file as it is."""
    from winnow.core.errors import NotFound, Problem

    if path is None:
        return None
    if not (file := Path(path)).is_file():
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
