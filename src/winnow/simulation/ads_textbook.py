"""What theory says about auctions of slots: figures that simulations are held against.

Source: Myerson, "Optimal auction design", Mathematics of Operations Research 6 (1981); Edelman, Ostrovsky and Schwarz,
"Internet advertising and the generalized second-price auction", American Economic Review 97 (2007).
"""

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def uniform_revenue(bidders: int, effects: Doubles) -> float:
    """Expected revenue when values are drawn evenly from 0 to 1 and the better ad gets the better slot.

    It is the same for VCG with true bids and for every equilibrium of GSP or first price that gives slots by value
    (revenue equivalence). The step from slot j + 1 to slot j is worth its effect and is paid j times at the mean of the
    (j + 1)-th highest value.

    Args:
        bidders: how many.
        effects: of K slots, never rising, float64 [K].
    """
    steps = effects - np.append(effects[1:], 0.0)
    place = np.arange(1, len(effects) + 1)
    below = np.maximum(bidders - place, 0) / (bidders + 1)
    return float((steps * place * below).sum())


def reserve_revenue(bidders: int, reserve: float) -> float:
    """Expected revenue of one slot with a reserve, for the same values: the second highest value, or the reserve.

    Args:
        bidders: how many.
        reserve: 0 to 1; one half is best whatever the number of bidders.
    """
    n, r = bidders, reserve
    alone = n * r**n * (1 - r)  # one value above the reserve, which is paid, the others below
    second = (n - 1) * (1 - r**n) - n * (n - 1) / (n + 1) * (1 - r ** (n + 1))
    return alone + second


def envy_free_bids(values: Doubles, effects: Doubles) -> Doubles:
    """Bids of the locally envy-free equilibrium of GSP that is best for advertisers; its prices are those of VCG.

    Whoever stands at slot k would gain as much by its slot as by the next better one at the price paid there.

    Args:
        values: of a click, falling, float64 [N].
        effects: of K < N slots, float64 [K].
    """
    bids = values.astype(np.float64).copy()
    for place in range(len(values) - 1, 0, -1):
        if place > len(effects):
            continue  # who gets no slot bids the value
        here = effects[place] if place < len(effects) else 0.0
        below = bids[place + 1] if place + 1 < len(values) else 0.0
        better = effects[place - 1]
        bids[place] = ((better - here) * values[place] + here * below) / better
    return bids
