"""What events carry for their aggregates, each column read once per batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.data.schema import Events
from winnow.features import keys
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.keys import Columns
from winnow.features.state import NEVER

Mask = NDArray[np.bool_]


class Values:
    """The values of the events of one type in one batch.

    Args:
        events: the type.
        columns: their columns, [n] each.
    """

    def __init__(self, events: Events, columns: Columns):
        self._events, self._columns = events, columns
        self.at: Ints = columns["at"]
        self._made: dict[Any, Any] = {}

    def field(self, name: str) -> NDArray[Any]:
        """A role or field as it is, [n]."""
        return keys.field(self._events, self._columns, name)

    def of(self, a: Aggregate) -> tuple[Ints | None, Mask | None]:
        """What each event adds to, or is in, a `sum` or `max`; None for ones. And which have a value; None for all."""
        if a.kind == "max":
            compared: Ints = self._once(("max", a.value, a.negated), lambda: keys.compared(a, self._columns))
            return compared, compared != NEVER
        if a.value is None and a.half_life is None:
            return None, None
        return self._once(("sum", a.value, a.half_life), lambda: keys.weight(a, self._columns)), None

    def kept(self, name: str) -> Ints:
        """What a list keeps of each event: row numbers and flags; of numbers millionths, NEVER for missing."""
        values = self.field(name)
        return keys.measured(values) if values.dtype.kind == "f" else values

    def _once(self, name: Any, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]
