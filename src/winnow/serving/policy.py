"""Policy: what may be shown at all. It only fails closed: when a rule cannot be evaluated, nothing passes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from winnow.core.candidates import Candidates, Mask
from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.data.schema import Path
from winnow.data.ties import Bond
from winnow.features.aggregate import Aggregate
from winnow.features.declare import Key, as_path
from winnow.features.ties import times_of
from winnow.serving.kit import Kit
from winnow.serving.query import Query
from winnow.serving.trace import Trace


@dataclass(frozen=True, kw_only=True)
class Rule(Declared):
    """One condition that everything shown must meet."""

    personal: ClassVar[bool] = False  # whether it depends on who asks, and so cannot be answered for everybody

    @property
    def name(self) -> str:
        """How traces call it."""
        return type(self).__name__

    def aggregates(self) -> tuple[Aggregate, ...]:
        """The live state that it needs kept."""
        return ()

    def admit(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        """Which candidates may be shown, bool [N]."""
        raise NotImplementedError


@dataclass(frozen=True)
class Available(Rule):
    """Never shows an item whose flag is 0; one without a flag may be shown, since most catalogues flag exceptions.

    Args:
        of: a flag column of the items.
    """

    of: Path

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.of.kind.storage != "flag":
            yield Problem("bad-column", f"`{self.of}` is {self.of.kind.storage}", self.where, fix="use a flag column")

    def admit(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        return kit.view(query, candidates.rows).path(self.of) != 0  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Unless(Rule):
    """Never shows an item whose flag is 1: what is private, what is unsafe.

    Args:
        of: a flag column of the items.
        unknown: whether an item without the flag may be shown; False where silence is no permission.
    """

    of: Path
    unknown: bool = field(kw_only=True, default=True)

    @property
    def name(self) -> str:
        return f"Unless {self.of.columns[-1]}"

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.of.kind.storage != "flag":
            yield Problem("bad-column", f"`{self.of}` is {self.of.kind.storage}", self.where, fix="use a flag column")

    def admit(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        flags = kit.view(query, candidates.rows).path(self.of)
        return (flags != 1) if self.unknown else (flags == 0)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Apart(Rule):
    """Never shows an item of somebody with whom a bond stands: who was blocked, or muted.

    Asked of the state of each pair, whatever the number of pairs, so that it holds from the request on that follows
    the event. Were state of a pair ever lost for want of room (setting `features.pairs`), nothing would be shown.

    Args:
        bond: what keeps them apart.
        by: the column of the items that names the other; the table itself where the items are people.
        either: whether it also holds when the other made it.
        unknown: whether items may be shown that name nobody.
    """

    bond: Bond
    by: Key = field(kw_only=True)
    either: bool = field(kw_only=True, default=True)
    personal: ClassVar[bool] = True
    unknown: bool = field(kw_only=True, default=False)

    @property
    def path(self) -> Path:
        """Where the other is named."""
        return as_path(self.by)

    @property
    def name(self) -> str:
        return f"Apart {self.bond.name} {self.path.columns[-1] if self.path.columns else self.path.table.called}"

    def aggregates(self) -> tuple[Aggregate, ...]:
        return times_of(self.bond)

    def problems(self, system: Any) -> Iterator[Problem]:
        tables = self.bond.tables
        if self.path.domain != tables[1] or system.labels.user.name != tables[0]:
            what = (
                f"`{self.bond.name}` ties {' to '.join(tables)}, and `{self.path}` names rows of `{self.path.domain}`"
            )
            yield Problem("unlike-ends", what, self.where, "nobody would be kept apart", "use another column")
        if self.either and tables[0] != tables[1]:
            what = f"a `{tables[1]}` cannot `{self.bond.name}` a `{tables[0]}`"
            yield Problem("unlike-ends", what, self.where, fix="give either=False")

    def admit(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        if lost := kit.catalogue.lost & {f"pairs:{a.subject}" for a in self.aggregates()}:
            raise LookupError(f"state of pairs was lost in {', '.join(sorted(lost))}: raise `features.pairs`")
        others = kit.view(query, candidates.rows).path(self.path)
        apart = kit.tied(self.bond, query.user, others, query.at, doubt=True, either=self.either)
        return ~apart & (self.unknown | (others >= 0))


@dataclass(frozen=True)
class OfAge(Rule):
    """Never shows an item to people who are too young for it, or of whom nobody knows that they are old enough.

    Args:
        least: a number column of the items: the age in years from which it may be shown; missing or 0 for everybody.
        born: a number column of the users: the year of birth. Of a year, people count as born on its last day.
    """

    least: Path
    born: Path = field(kw_only=True)
    personal: ClassVar[bool] = True

    def problems(self, system: Any) -> Iterator[Problem]:
        for path in (self.least, self.born):
            if path.kind.storage != "number":
                yield Problem("bad-column", f"`{path}` is {path.kind.storage}", self.where, fix="use a number column")

    def admit(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        least = kit.view(query, candidates.rows).path(self.least)
        born = kit.column(self.born, query.user, query.at)
        year = int(np.datetime64(query.at, "us").astype("datetime64[Y]").astype(int)) + 1970
        return np.isnan(least) | (least <= 0) | (year - born - 1 >= least)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Exists(Rule):
    """Never shows an item that was deleted, or that the catalogue never had. Part of every pipeline."""

    def admit(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        return kit.existing(query, candidates.rows)


EXISTS = Exists()


def admit(rules: Sequence[Rule], candidates: Candidates, query: Query, kit: Kit, trace: Trace) -> Candidates:
    """What may be shown by every rule."""
    for rule in (EXISTS, *rules):
        told = "nothing may be shown"
        candidates = trace.sift("policy", rule.name, rule.admit, candidates, query, kit, open_=False, told=told)
    return candidates
