"""Alternatives: what a choice was made against, where the log holds choices but not what had been shown."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.data.schema import Events


@dataclass(frozen=True)
class Alternatives(Declared):
    """Choices that followed no impression teach as well: each stands against k items that could have been chosen.

    The items are drawn at random, the same every time, from those alive at the moment of the choice that the user had
    not chosen before and did not choose within the label window. All k + 1 rows have their features as of that moment.

    How many there are is made up, so what a model learns from such rows puts items in order and is no probability:
    calibration is fitted on impressions alone, and without any there is none. Held out, a choice is judged by replay:
    all items that were alive at its moment are scored.

    Args:
        of: the events that are choices: register, buy, book.
        k: drawn for each.
        seed: of the draw.
    """

    of: Events
    k: int = field(kw_only=True, default=20)
    seed: int = field(kw_only=True, default=0)

    def problems(self, system: Any) -> Iterator[Problem]:
        labels, why = system.labels, "nobody could tell who chose what"
        for table in (labels.user, labels.item):
            if table not in self.of.refs.values():
                what = f"`{self.of.name}` does not refer to `{table.name}`"
                yield Problem("unjoinable-choice", what, self.where, why, f"add the reference to `{self.of.name}`")
        if self.of.name not in {head.events.name for head in labels.heads.values()}:
            what = f"no head counts `{self.of.name}`"
            yield Problem("unlabelled-choice", what, self.where, "a choice would be a row without a label",
                          f"add a head with labels.any({self.of.name})")  # fmt: skip
        if self.k < 1:
            yield Problem("bad-alternatives", f"k is {self.k}", self.where, fix="1 or more")
