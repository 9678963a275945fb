"""What lists beside a listing are worth, by what is known of the travellers: would they book one of them?"""

from collections.abc import Callable, Sequence

import numpy as np

from winnow.simulation.listings_world import Doubles, Ints, ListingWorld, Trips

List = Callable[[Trips, int, int], Ints]
"""A trip, and the row of the listing looked at → rows of the list beside it, best first."""

_FADES = 0.9  # of those who look at a place in a list, how many look at the next


def begins(world: ListingWorld, trips: Trips, *, salt: int = 0) -> Ints:
    """The listing that each traveller looks at first, int64 [T]; -1 where there is none to look at.

    It is about what they want, and fits: a search leads there, which does not know their style.
    """
    rng, rows = world.rng(9, salt), np.arange(len(world.listings))
    found = np.full(len(trips), -1)
    for one in range(len(trips)):
        fit = rows[world.fits(trips, one, rows)]
        if len(fit):
            liking = world.pleases(trips, one, fit, style=False) + rng.normal(0, 1, len(fit))
            found[one] = fit[np.argmax(liking)]
    return found


def bookings(world: ListingWorld, trips: Trips, one: int, shown: Sequence[int] | Ints) -> float:
    """The probability that a traveller books one of a list: looks at its place, opens it, and takes it."""
    rows = np.asarray(shown, np.int64)
    seen = _FADES ** np.arange(len(rows))
    return float(1 - np.prod(1 - seen * world.clicks(trips, one, rows) * world.books(trips, one, rows)))


def worth(world: ListingWorld, trips: Trips, beside: List) -> Doubles:
    """The probability of a booking from the list beside the first listing of each trip, float64 [T]; NaN: none fits."""
    found = np.full(len(trips), np.nan)
    for one, row in enumerate(begins(world, trips).tolist()):
        if row >= 0:
            found[one] = bookings(world, trips, one, beside(trips, one, row))
    return found
