"""Targeting: which of many campaigns want a request, found without asking each of them.

A campaign makes demands on attributes of a request: one of some values (`OneOf`), none of some values (`NoneOf`), a
number between two (`Between`). Demands are compiled to an inverted index: value → the campaigns that it satisfies, as
bits where they are many and as rows where they are few. A request is a few unions and intersections of these; ranges
are compared for the campaigns that are left.

What is unknown about a request meets no demand: not even `NoneOf`, since it might be what is ruled out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Doubles, Ints, Mask
from winnow.core.errors import InputError, Problem

Words = NDArray[np.uint64]
Request = Mapping[str, Any]
UNKNOWN = -1
_FEW = 512  # one campaign in so many: below it, rows are quicker than bits, and smaller


@dataclass(frozen=True, eq=False)
class OneOf:
    """The request has one of these values.

    Args:
        attribute: of the request; one value or several.
        values: per campaign, int64 [N] or [N, M], padded with -1; none at all demands nothing.
    """

    attribute: str
    values: Ints

    def holds(self, request: Request, size: int) -> Mask:
        """Which campaigns are satisfied, one by one, bool [N]."""
        wide, known = _wide(self.values), _known(request, self.attribute)
        return np.asarray(np.isin(wide, known).any(axis=1) | (wide == UNKNOWN).all(axis=1))


@dataclass(frozen=True, eq=False)
class NoneOf:
    """The request is known to have none of these values; the arguments are those of `OneOf`."""

    attribute: str
    values: Ints

    def holds(self, request: Request, size: int) -> Mask:
        """Which campaigns are satisfied, one by one, bool [N]."""
        wide, known = _wide(self.values), _known(request, self.attribute)
        met = ~np.isin(wide, known).any(axis=1) if len(known) else np.zeros(size, bool)
        return np.asarray(met | (wide == UNKNOWN).all(axis=1))


@dataclass(frozen=True, eq=False)
class Between:
    """A number of the request lies between two.

    Args:
        attribute: of the request.
        low, high: per campaign, both included, float64 [N]; NaN for no bound.
    """

    attribute: str
    low: Doubles
    high: Doubles

    def holds(self, request: Request, size: int) -> Mask:
        """Which campaigns are satisfied, one by one, bool [N]."""
        return self.among(request, np.arange(size))

    def among(self, request: Request, rows: Ints) -> Mask:
        """Which of some campaigns are satisfied, bool [n]."""
        number = request.get(self.attribute)
        value = np.nan if number is None else float(number)
        low, high = self.low[rows], self.high[rows]
        # A comparison with NaN is false, so an unknown number passes only where nothing is demanded.
        return ((value >= low) | np.isnan(low)) & ((value <= high) | np.isnan(high))


Demand = OneOf | NoneOf | Between


def naive(demands: Sequence[Demand], request: Request, size: int) -> Ints:
    """The campaigns that want a request, by asking each of them: what the index must agree with."""
    held = [demand.holds(request, size) for demand in demands]
    return np.flatnonzero(np.logical_and.reduce(held)) if held else np.arange(size)


class Targeting:
    """The compiled demands of N campaigns.

    Args:
        demands: any number on each attribute.
        size: how many campaigns there are.

    Raises:
        InputError: `bad-targeting`.
    """

    def __init__(self, demands: Iterable[Demand], size: int) -> None:
        demands = list(demands)
        self.size = size
        for demand in demands:
            _check(demand, size)
        # What is needed of a value is looked up first where it leaves the fewest campaigns.
        terms = [_Terms(d, size) for d in demands if not isinstance(d, Between)]
        self._terms = sorted(terms, key=lambda t: t.free)
        self._ranges = [d for d in demands if isinstance(d, Between)]

    def match(self, request: Request) -> Ints:
        """The campaigns that want a request, rising, int64 [n].

        Args:
            request: attribute → a value, several values, or a number; left out, None or -1 for unknown.
        """
        bits = _every(self.size)
        for terms in self._terms:
            bits &= terms.met(_known(request, terms.attribute))
        rows = np.flatnonzero(np.unpackbits(bits.view(np.uint8), count=self.size, bitorder="little").view(bool))
        for demand in self._ranges:
            rows = rows[demand.among(request, rows)]
        return rows


class _Terms:
    """The inverted index of the demands on one attribute."""

    def __init__(self, demand: OneOf | NoneOf, size: int) -> None:
        self.attribute, self._excludes = demand.attribute, isinstance(demand, NoneOf)
        wide = _wide(demand.values)
        places, columns = np.nonzero(wide != UNKNOWN)
        values = wide[places, columns]
        order = np.lexsort((places, values))
        self._values, self._starts = np.unique(values[order], return_index=True)
        self._rows = places[order]
        self._ends = np.append(self._starts[1:], len(order))
        free = np.ones(size, bool)
        free[places] = False
        self.free, self._free = int(free.sum()), _packed(free)
        self._all = _every(size)
        many = np.flatnonzero(self._ends - self._starts > size // _FEW)
        self._many = {i: _packed(_flags(self._of(i), size)) for i in many.tolist()}

    def met(self, known: Ints) -> Words:
        """The campaigns that a request with these values satisfies, as bits; not to be written to."""
        if not len(known):
            return self._free
        found = np.searchsorted(self._values, known)
        hits = [int(i) for i, v in zip(found, known, strict=True) if i < len(self._values) and self._values[i] == v]
        if not hits:
            return self._all if self._excludes else self._free
        named = self._union(hits)
        return ~named if self._excludes else named | self._free

    def _union(self, hits: Sequence[int]) -> Words:
        bits = np.zeros_like(self._free)
        for i in hits:
            if i in self._many:
                bits |= self._many[i]
            else:
                rows = self._of(i)
                np.bitwise_or.at(bits, rows >> 6, np.left_shift(np.uint64(1), (rows & 63).astype(np.uint64)))
        return bits

    def _of(self, i: int) -> Ints:
        return np.asarray(self._rows[self._starts[i] : self._ends[i]])


def _known(request: Request, attribute: str) -> Ints:
    value = request.get(attribute)
    values: Ints = np.atleast_1d(np.asarray([] if value is None else value, np.int64))
    return np.asarray(values[values != UNKNOWN])


def _wide(values: Ints) -> Ints:
    return values.reshape(len(values), 1) if values.ndim == 1 else values


def _flags(rows: Ints, size: int) -> Mask:
    flags = np.zeros(size, bool)
    flags[rows] = True
    return flags


def _packed(flags: Mask) -> Words:
    padded = np.zeros(-(-len(flags) // 64) * 64, bool)
    padded[: len(flags)] = flags
    return np.packbits(padded, bitorder="little").view(np.uint64)


def _every(size: int) -> Words:
    return np.full(-(-size // 64), ~np.uint64(0))


def _check(demand: Demand, size: int) -> None:
    arrays = [demand.low, demand.high] if isinstance(demand, Between) else [demand.values]
    if any(len(a) != size for a in arrays):
        what = f"demands on `{demand.attribute}` of {len(arrays[0])} campaigns, where there are {size}"
        raise InputError(Problem("bad-targeting", what, fix="one row for each campaign"))
    if isinstance(demand, Between) and (empty := demand.low > demand.high).any():
        what = f"`{demand.attribute}` of row {int(np.argmax(empty))} has its lower bound above its upper one"
        raise InputError(Problem("bad-targeting", what, why="nobody could match", fix="swap them"))
