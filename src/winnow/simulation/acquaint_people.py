"""The people of a network: where they studied, work and belong, what they are like, and who of them would get on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from winnow.core.time import days, to_us
from winnow.simulation.people import Floats, Rows, unit
from winnow.simulation.reactions import Flags
from winnow.simulation.titles import person_ids

_TOWNS = ("lagos", "leeds", "lyon", "lima", "kyoto", "pune", "gent", "oslo")
_STUDIES = ("north-college", "south-college", "river-school", "hill-academy", "harbour-school", "city-college")
_FIRMS = ("acorn", "birch", "cedar", "dune", "ember", "fjord", "grove", "heron", "iris", "juniper")
_GROUPS = ("chess", "climbing", "choir", "cinema", "sailing", "baking", "robots", "gardens", "running", "theatre")
_NATURE = 4
_YEAR = 2026


@dataclass(frozen=True, eq=False)
class Persons:
    """Everyone, as columns.

    Args:
        ids: readable ids, [P].
        nature: what they are like, which nobody is told: unit length, [P, 4].
        school, work, town: places in the lists of names, [P].
        studied, worked: first and last year, [P, 2]; NaN for no last year yet.
        groups: who is in which group, bool [P, G].
        warmth: readiness to ask, about standard normal, [P].
        standing: how much others are drawn to ask them, about standard normal, [P].
        visits_per_day: mean, [P].
        joined_at: microseconds, [P].
        hidden: who does not want to be shown to others, [P].
        private: who shows nobody whom they know, [P].
    """

    ids: list[str]
    nature: Floats
    school: Rows
    work: Rows
    town: Rows
    studied: Floats
    worked: Floats
    groups: Flags
    warmth: Floats
    standing: Floats
    visits_per_day: Floats
    joined_at: Rows
    hidden: Flags
    private: Flags

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def affinity(self) -> Floats:
        """How alike any two are, -1 to 1, [P, P]."""
        return np.asarray(self.nature @ self.nature.T)

    @cached_property
    def knows(self) -> Floats:
        """How surely any two know and like each other beyond the network, 0 to 1, [P, P]."""
        shared = np.minimum(self.groups.astype(np.float64) @ self.groups.T, 2)
        met = 2.6 * _overlap(self.school, self.studied) + 2.2 * _overlap(self.work, self.worked) + 0.9 * shared
        met = met + 0.6 * (self.town[:, None] == self.town)
        found: Floats = expit(-4.2 + met + 2.4 * self.affinity)
        np.fill_diagonal(found, 0.0)
        return found

    def names(self, what: str) -> list[str]:
        """The school, work or town of everybody."""
        told = {"school": _STUDIES, "work": _FIRMS, "town": _TOWNS}[what]
        rows: list[int] = getattr(self, what).tolist()
        return [told[i % len(told)] + (f"-{i // len(told)}" if i >= len(told) else "") for i in rows]

    def circles(self) -> list[list[str]]:
        """The groups of everybody."""
        return [[_GROUPS[g] for g in np.flatnonzero(row).tolist()] for row in self.groups]


def make_persons(count: int, *, starts_at: int, until: int, rng: np.random.Generator) -> Persons:
    """People of whom those of one school or firm are a little alike; one in five joins while the log runs."""
    schools, firms = max(count // 60, 3), max(count // 35, 4)
    school, work = rng.integers(0, schools, count), rng.integers(0, firms, count)
    centre = rng.standard_normal((schools + firms, _NATURE))
    nature = unit(rng.standard_normal((count, _NATURE)) + 0.35 * (centre[school] + centre[schools + work]))
    begun = rng.integers(1995, 2019, count).astype(np.float64)
    hired = np.minimum(begun + rng.integers(3, 8, count), _YEAR - 1)
    left = np.where(rng.random(count) < 0.5, np.minimum(hired + rng.integers(1, 9, count), _YEAR), np.nan)
    late = rng.random(count) < 0.2
    early = starts_at - rng.integers(0, to_us(days(500)), count)
    return Persons(
        ids=person_ids(count, rng), nature=nature, school=school, work=work,
        town=rng.integers(0, len(_TOWNS), count), studied=np.stack([begun, begun + rng.integers(2, 6, count)], axis=1),
        worked=np.stack([hired, left], axis=1), groups=rng.random((count, len(_GROUPS))) < 0.12,
        warmth=rng.standard_normal(count), standing=rng.standard_normal(count),
        visits_per_day=rng.lognormal(-1.0, 0.7, count),
        joined_at=np.where(late, rng.integers(starts_at, until - to_us(days(2)), count), early),
        hidden=rng.random(count) < 0.03, private=rng.random(count) < 0.05,
    )  # fmt: skip


def _overlap(place: Rows, years: Floats) -> Floats:
    """Whether two were at one place at the same time, 0 or 1, [P, P]."""
    first, last = years[:, 0], np.where(np.isnan(years[:, 1]), _YEAR, years[:, 1])
    together = (np.minimum(last[:, None], last) >= np.maximum(first[:, None], first)) & (place[:, None] == place)
    return np.asarray(together, np.float64)
