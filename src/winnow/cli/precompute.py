"""`winnow precompute`: works out beforehand what stored sources propose."""

from functools import partial
from typing import TYPE_CHECKING

from winnow.cli.options import HERE, Json, ProjectFolder, opened
from winnow.core.errors import InputError, Problem
from winnow.core.time import now_us

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from winnow.project import Project

_DAY_US = 86_400_000_000


def precompute(system: str, *, days: int = 30, project: ProjectFolder = HERE, json: Json = False) -> None:
    """Works out what the stored sources of a system propose for everybody who was active of late.

    The lists belong to the release that serves. Who is cut off goes on where they were when it is called again.

    Args:
        system: Name of the system.
        days: How far back somebody must have been shown a list to count as active.
    """
    from winnow.cli.printing import print_json, print_rows
    from winnow.cli.printing import progress as bar
    from winnow.serving.stored import place, precompute, stored_sources

    with opened(project) as here:
        kit = here.runtime.desk(here.system(system).name).kit
        sources = stored_sources(kit)
        if not sources:
            what = f"`{system}` declares no stored source"
            fix = "wrap one: Stored(FriendsOfFriends(...))"
            raise InputError(Problem("nothing-stored", what, system, "there is nothing to work out beforehand", fix))
        people, rows = active(here, system, days=days), []
        for source in sources:
            with bar() as told:
                made = precompute(kit, source, people, told=partial(told, source.name))
            rows.append({"source": source.name, "people": len(made), "release": kit.bundle.release,
                         "bytes": sum(f.stat().st_size for f in place(kit, source).iterdir())})  # fmt: skip
    print_json(rows) if json else print_rows(rows, title="lists worked out")


def active(project: "Project", system: str, *, days: int) -> "NDArray[np.int64]":
    """The rows of those who were shown a list of a system in the last days, int64 [n]."""
    import polars as pl

    labels = project.system(system).labels
    project.history.sync(project.log)
    shown = project.history.events(labels.of.name).filter(pl.col("at") >= now_us() - days * _DAY_US)
    return shown.select(pl.col(labels.user_role).unique()).collect().to_series().to_numpy().astype("int64")
