"""The graph that models learn from: who was tied to whom when training ended."""

import polars.selectors as cs

from winnow.core.declare import walk
from winnow.core.system import System
from winnow.data.graph_bonds import Columns, standing
from winnow.data.history import History
from winnow.data.ties import Bond
from winnow.models.examples import Catalogue, Web


def of(system: System, history: History, people: Catalogue, *, before: int) -> Web | None:
    """The web of the bond that a model of the system asks for; None when none does.

    Args:
        system: the declaration.
        history: in step with the log.
        people: everybody known when training ends.
        before: when training ends, microseconds UTC.
    """
    models = [ladder.rungs for ladder in (system.retrieval, system.ranking) if ladder is not None]
    bond = next((part for part in walk(models) if isinstance(part, Bond)), None)
    if bond is None:
        return None
    made, undone = (_columns(history, tie.name) for tie in (bond.made, bond.undone))
    size = int(people.rows.max(initial=-1)) + 1
    return Web(standing(bond, made, undone, size=size, before=before), people)


def _columns(history: History, name: str) -> Columns:
    frame = history.events(name).select(cs.integer()).collect()
    return {column: frame[column].to_numpy() for column in frame.columns}
