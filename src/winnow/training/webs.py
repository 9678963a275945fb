"""The graph that models learn from: who was tied to whom when training ended."""

from collections.abc import Iterable, Iterator
from typing import Any

import polars.selectors as cs

from winnow.core.system import Ladder, System
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
    bond = next(bonds([*_models(system.retrieval), *_models(system.ranking)]), None)
    if bond is None:
        return None
    made, undone = (_columns(history, tie.name) for tie in (bond.made, bond.undone))
    size = int(people.rows.max(initial=-1)) + 1
    return Web(standing(bond, made, undone, size=size, before=before), people)


def bonds(models: Iterable[Any]) -> Iterator[Bond]:
    """The bonds that models learn from, those of the members of blends included."""
    for model in models:
        if isinstance(getattr(model, "bond", None), Bond):
            yield model.bond
        yield from bonds(getattr(model, "members", ()))


def _models(ladder: Ladder | None) -> list[Any]:
    return [model for models in (ladder.rungs if ladder else {}).values() for model in models]


def _columns(history: History, name: str) -> Columns:
    frame = history.events(name).select(cs.integer()).collect()
    return {column: frame[column].to_numpy() for column in frame.columns}
