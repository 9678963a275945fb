"""The systems that come in the box, one file of choices each; `winnow init` copies one into a project to be edited."""

from pathlib import Path

from winnow.core.errors import unknown

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The systems in the box."""
    return sorted(p.stem for p in _FOLDER.glob("[!_]*.py"))


def source(name: str) -> str:
    """The text of a system's file.

    Raises:
        NotFound: `unknown-system`.
    """
    if name not in names():
        raise unknown("system", name, names())
    return (_FOLDER / f"{name}.py").read_text()
