"""The parts of a held-out set where models usually fail: new users, new items, rare items."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

EVERYTHING = "all"


def standard(users: Ints, items: Ints, *, trained_users: Ints, trained_items: Ints) -> dict[str, Mask]:
    """The slices that every system reports.

    Args:
        users: user row numbers of the held-out rows, int64 [N].
        items: item row numbers of the held-out rows, int64 [N].
        trained_users: user row numbers of the training rows, any length; repeats allowed.
        trained_items: item row numbers of the training rows; how often an item occurs is its popularity.

    Returns:
        Name → bool [N]: `new user`, `new item`, and `popularity 1/10` (rarest) to `10/10`. Empty ones are left out.
    """
    counts = popularity(items, trained_items)
    found = {"new user": ~np.isin(users, trained_users), "new item": counts == 0, **deciles(counts)}
    return {name: mask for name, mask in found.items() if mask.any()}


def popularity(items: Ints, trained_items: Ints) -> Ints:
    """How often each row's item occurs in training, int64 [N]."""
    n = max(items.max(initial=-1), trained_items.max(initial=-1)) + 1
    return np.bincount(trained_items, minlength=n)[items]


def deciles(counts: Ints, name: str = "popularity") -> dict[str, Mask]:
    """Rows by decile of a count, bool [N] each; rows of equal count stay together, so some deciles can be empty.

    >>> {k: v.sum().item() for k, v in deciles(np.arange(20)).items() if k.endswith(("1/10", "10/10"))}
    {'popularity 1/10': 2, 'popularity 10/10': 2}
    """
    if not len(counts):
        return {}
    ordered = np.sort(counts)
    code = np.searchsorted(ordered, counts, "left") * 10 // len(counts)
    return {f"{name} {d + 1}/10": code == d for d in range(10)}
