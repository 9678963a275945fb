"""Policy: what may be shown at all. It only fails closed: when a rule cannot be evaluated, nothing passes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from winnow.core.candidates import Candidates, Mask
from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.data.schema import Path
from winnow.serving.kit import Kit
from winnow.serving.query import Query
from winnow.serving.trace import Trace


@dataclass(frozen=True, kw_only=True)
class Rule(Declared):
    """One condition that everything shown must meet."""

    @property
    def name(self) -> str:
        """How traces call it."""
        return type(self).__name__

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
