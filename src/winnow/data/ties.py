"""Ties: events that one row does to another, often of its own table, and the states that such events make and end.

follow, unfollow = (Tie(n, refs={"member": member, "author": member}) for n in ("follow", "unfollow"))
following = Bond(follow, undone=unfollow)
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.data.schema import Events, Path, Played


@dataclass(frozen=True)
class End(Path):
    """The row at one end of a bond, as a key: events are counted by it though both ends are rows of one table.

    Args:
        name: what state calls it. State of each bond is kept on its own, so that no other can crowd it out.
    """

    name: str = ""

    @property
    def called(self) -> str:
        return self.table.name  # whose ties are asked for need not play the role that they play in the tie

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Tie(Events):
    """Something that a row does to another: its first role is who does it, its last to whom."""

    @property
    def ends(self) -> tuple[str, str]:
        """The first role and the last."""
        roles = list(self.refs)
        return roles[0], roles[-1]


@dataclass(frozen=True)
class Bond(Declared):
    """A state between two rows: it stands when the last `made` has a later own time than the last `undone`.

    Args:
        made: what makes it: follow, befriend, join, block, mute.
        undone: what ends it.
        mutual: whether it holds both ways whoever made it, and either can end it.
    """

    made: Tie
    undone: Tie
    mutual: bool = field(kw_only=True, default=False)

    @property
    def name(self) -> str:
        """That of the event which makes it."""
        return self.made.name

    def ends(self, of: Tie) -> tuple[End, End]:
        """The keys of both rows in events that make it or end it."""
        first, last = (End(_played(of, role), (), f"{self.name}.{n}") for role, n in zip(of.ends, "12", strict=True))
        return first, last

    @property
    def tables(self) -> tuple[str, str]:
        """Names of the tables at both ends."""
        first, last = (self.made.refs[role].name for role in self.made.ends)
        return first, last

    def problems(self, system: Any) -> Iterator[Problem]:
        ends = [tuple(of.refs[role].name for role in of.ends) for of in (self.made, self.undone)]
        if ends[0] != ends[1]:
            what = f"`{self.made.name}` and `{self.undone.name}` do not tie the same tables"
            yield Problem("unlike-ties", what, self.where, "one could not end the other", "give both the same refs")
        if self.mutual and len(set(self.tables)) > 1:
            what = f"`{self.name}` ties {' and '.join(self.tables)}, and cannot hold both ways"
            yield Problem("unlike-ties", what, self.where, fix="leave `mutual` out")


def _played(of: Tie, role: str) -> Played:
    return of.refs[role].playing(role)
