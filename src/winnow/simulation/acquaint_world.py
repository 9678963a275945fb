"""A network whose truth is known: people, their ties as they grow, and what showing one to another would come to."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.special import expit

from winnow.core.time import days, to_us
from winnow.simulation.acquaint_people import Persons, make_persons
from winnow.simulation.noted import Noted, facts, places
from winnow.simulation.people import Floats, Rows
from winnow.simulation.reactions import Flags
from winnow.simulation.visiting import weighed

VALUE: Mapping[str, float] = {
    "accept": 10.0, "message": 5.0, "request": 0.0, "decline": -3.0, "dismiss": -1.0, "block": -50.0,
}  # fmt: skip
MONTHS = 15
_TIES = 1.1  # that a person makes in a month, about
_CLOSURE = 0.7  # how much a friend in common helps


@dataclass(frozen=True)
class AcquaintSize:
    """How big a network is.

    Args:
        people: how many.
        days: length of the initial log; ties are older by more than a year.
        shown: length of the lists of the older site.
    """

    people: int = 600
    days: int = 75
    shown: int = 10


@dataclass(frozen=True, eq=False)
class Ties:
    """Who is tied to whom, and who is kept from whom.

    Args:
        friends: symmetric, bool [P, P].
        asked, declined, dismissed, blocked: by the first of the second, bool [P, P].
    """

    friends: Flags
    asked: Flags
    declined: Flags
    dismissed: Flags
    blocked: Flags

    @classmethod
    def none(cls, count: int) -> "Ties":
        """Nobody knows anybody."""
        return cls(*(np.zeros((count, count), bool) for _ in range(5)))

    @property
    def mutual(self) -> Floats:
        """How many friends any two share, [P, P]."""
        known = self.friends.astype(np.float32)
        return np.asarray(known @ known, np.float64)

    def open(self) -> Flags:
        """Whom each may be shown, bool [P, P]: neither friends, nor asked, declined or blocked either way."""
        apart = self.friends | self.asked | self.declined | self.blocked
        return ~(apart | apart.T | self.dismissed | np.eye(len(apart), dtype=bool))


@dataclass(frozen=True, eq=False)
class AcquaintWorld(Noted):
    """People and their ties when the log begins. Two of the same size, seed and end are equal in every number.

    Args:
        size, seed, until: see `Noted`.
        persons: who they are.
        weights: head → its worth, as in the value model of the system.
    """

    size: AcquaintSize
    persons: Persons
    weights: Mapping[str, float]

    @classmethod
    def make(
        cls, size: AcquaintSize | None = None, *, until: int, seed: int = 1, weights: Mapping[str, float] = VALUE
    ) -> "AcquaintWorld":
        """Builds the world; a second for 600 people."""
        size = size or AcquaintSize()
        starts_at = until - to_us(days(size.days))
        rng = np.random.default_rng([seed, 51])
        return cls(size, seed, until, make_persons(size.people, starts_at=starts_at, until=until, rng=rng), weights)

    @classmethod
    def read(cls, path: Path) -> "AcquaintWorld":
        """The world that `write` noted down, built again.

        Raises:
            NotFound: `no-world`.
        """
        data = facts(path, fix="`winnow demo FOLDER --system people_you_may_know --no-serve` makes one")
        size = AcquaintSize(**data["size"])
        return cls.make(size, until=data["until"], seed=data["seed"], weights=data["weights"])

    def write(self, path: Path) -> None:
        """See `Noted.note`."""
        self.note(path, self.weights)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Id of a person → row."""
        return places(self.persons.ids)

    @cached_property
    def founded(self) -> tuple[Rows, Rows, Rows]:
        """The ties with which the log begins: two rows and the moment of each, in the order of time.

        Ties form month by month, where people meet and through friends in common, among those who have joined.
        """
        p, rng, month = self.persons, self.rng(52), to_us(days(30))
        friends, found = np.zeros(p.knows.shape, bool), []
        for number in range(MONTHS):
            begin = self.starts_at - (MONTHS - number) * month
            known = friends.astype(np.float32)
            there = p.joined_at < begin + month // 2
            pull = p.knows**1.5 * (0.3 + _CLOSURE * np.sqrt(known @ known)) * (there[:, None] & there) * ~friends
            chance = _TIES * pull / np.maximum(pull.sum(axis=1, keepdims=True), 1e-9)
            one, two = np.nonzero(np.triu(rng.random(pull.shape) < np.maximum(chance, chance.T), 1))
            friends[one, two] = friends[two, one] = True
            found.append((one, two, begin + rng.integers(0, month, len(one))))
        one, two, at = (np.concatenate(part) for part in zip(*found, strict=True))
        at = np.maximum(at, np.maximum(p.joined_at[one], p.joined_at[two]) + 1)
        order = np.argsort(at, kind="stable")
        return one[order], two[order], at[order]

    def chances(self, people: Rows, others: Rows, mutual: Floats) -> dict[str, Floats]:
        """P(outcome | looked at) per head, for pairs of rows that broadcast to one shape.

        Who is well known is asked more than they answer: a request is no connection.

        Args:
            people: who is shown.
            others: whom.
            mutual: friends in common.
        """
        p = self.persons
        knows, near = p.knows[people, others], np.log1p(mutual)
        request = expit(-3.4 + 3.2 * knows + 0.35 * near + 0.5 * p.warmth[people] + 0.55 * p.standing[others])
        yes = expit(-2.2 + 4.6 * knows + 0.35 * near - 0.5 * p.standing[others])
        message = expit(-2.0 + 2.0 * p.affinity[people, others] + 1.5 * knows)
        no = 0.5 * (1 - yes)
        return {
            "request": request, "accept": request * yes, "message": request * yes * message,
            "decline": request * no, "dismiss": (1 - request) * expit(-3.4 - 2.0 * knows),
            "block": request * no * expit(-3.0 - 2.0 * p.affinity[people, others]),
        }  # fmt: skip

    def true_value(self, people: Rows, others: Rows, mutual: Floats) -> Floats:
        """The expected value of a showing that is looked at: sum over heads of weight x chance."""
        chance = self.chances(people, others, mutual)
        return np.asarray(sum(weight * chance[head] for head, weight in self.weights.items()))

    def accepted(self, people: Rows, lists: Rows, ties: Ties) -> Floats:
        """Connections that lists would bring, as a share of what is looked at, float64 [N].

        Args:
            people: who is shown, int64 [N].
            lists: rows in order, -1 where a list is shorter, int64 [N, k].
            ties: as they are.
        """
        others = np.maximum(lists, 0)
        mutual = ties.mutual[people[:, None], others]
        return weighed(self.chances(people[:, None], others, mutual)["accept"], lists >= 0)
