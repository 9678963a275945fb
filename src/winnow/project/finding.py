"""Finds a system by name: in the project, else in the box."""

import tempfile
from pathlib import Path

from winnow import systems
from winnow.core.loading import load
from winnow.core.system import System
from winnow.project.project import SYSTEMS, Project


def find_system(name: str, folder: Path) -> System:
    """The system of that name in the project folder, else the one in the box.

    Raises:
        NotFound: `unknown-system`.
    """
    if (folder / SYSTEMS).is_dir():
        return Project(folder).system(name)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"{name}.py"
        path.write_text(systems.source(name))
        return load(path)
