"""What all commands share: the project they work on, and how they print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from winnow.project import Project

ProjectFolder = Annotated[Path, Parameter(name=["--project", "-p"], help="Folder of the project.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document instead of tables.")]
HERE = Path()


def opened(folder: Path) -> "Project":
    """The project in a folder."""
    from winnow.project import Project

    return Project(folder)
