"""A feature seen from the other side: what somebody did to who asks, rather than who asks to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from winnow.core.errors import Problem
from winnow.data.schema import EventField, Path, Table
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.declare import Feature
from winnow.features.meaning import meaning
from winnow.features.view import View


@dataclass(frozen=True)
class Back(Feature):
    """The same feature with two roles exchanged; it keeps no state of its own.

    `back(count(visit, by=(person, candidate)), between=(person, candidate))`: how often they visited who asks.

    Args:
        of: the feature; its default holds.
        between: one table in the two roles that change places.
    """

    of: Feature
    between: tuple[Table, Table] = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "default", self.of.default)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"back_{name}" for name in self.of.names)

    @property
    def type(self) -> Literal["numeric", "categorical", "sequence", "training_only"]:
        return self.of.type

    @property
    def paths(self) -> tuple[Path, ...]:
        one, other = self.between
        places = {one.called: other, other.called: one}
        return tuple(Path(places.get(p.table.called, p.table), p.columns) for p in self.of.paths)

    @property
    def fields(self) -> tuple[EventField, ...]:
        return self.of.fields

    @property
    def static(self) -> bool:
        return self.of.static

    def aggregates(self) -> tuple[Aggregate, ...]:
        return self.of.aggregates()

    def seen(self, view: View) -> View:
        one, other = (view.roles.get(table.called, "") for table in self.between)
        return self.of.seen(view.turned(one, other))

    def compute(self, view: View) -> Sequence[Any]:
        return self.of.values(self.seen(view))

    def touched(self, view: View) -> Ints | None:
        return self.of.touched(self.seen(view))

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        one, other = self.between
        if one.name != other.name or one.called == other.called:
            what = f"`{one.called}` and `{other.called}` are not one table in two roles"
            fix = 'give (person, person.playing("candidate"))'
            yield Problem("unlike-ends", what, self.where, "they cannot change places", fix)


@meaning.register
def _(feature: Back, place: int) -> str:
    one, other = feature.between
    return f"with {one.called} and {other.called} exchanged: {meaning(feature.of, place)}"
