"""How much harm there is, from a random sample of everything: what was decided about a post plays no part in it.

Every post is drawn with a chance that its decision records, whatever its scores, and reviewed by people. The estimate
covers the stretch of time up to the oldest drawn post that has not been reviewed yet: posts whose turn came early
because they looked harmful would otherwise be over-represented.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from winnow.core.time import iso
from winnow.moderation.ledger import Ledger

_Z = 1.959963984540054  # the normal quantile of 97.5 %


@dataclass(frozen=True)
class Prevalence:
    """The share of harmful posts, with its 95 % interval.

    Args:
        head: the harm.
        value: Horvitz-Thompson estimate over the estimated number of posts (Hájek); NaN before the first review.
        low: end of the interval.
        high: end of the interval.
        reviewed: drawn posts that it rests on.
        positives: those of them that have the harm.
        pending: drawn posts that nobody has reviewed yet.
        unanswered: drawn posts within the stretch of which reviewers could not tell.
        posts: all posts within the stretch, whatever was decided about them.
        until: the end of the stretch, ISO 8601; empty before the first post.
    """

    head: str
    value: float
    low: float
    high: float
    reviewed: int
    positives: int
    pending: int
    unanswered: int
    posts: int
    until: str


def prevalence(ledger: Ledger, head: str, *, since: int = 0) -> Prevalence:
    """The prevalence of a harm since a moment in microseconds UTC."""
    sql = """
        SELECT d.seq, d.sample, t.state, r.verdict FROM decision d JOIN task t ON t.id = d.id
        LEFT JOIN resolved r ON r.task = d.id AND r.head = ? WHERE d.sample > 0 AND d.at >= ? ORDER BY d.seq"""
    with ledger.reading() as connection:
        drawn = connection.execute(sql, (head, since)).fetchall()
        end = next((seq for seq, _, state, _ in drawn if state == "open"), None)
        within = "SELECT COUNT(*), MAX(at) FROM decision WHERE at >= ?" + ("" if end is None else " AND seq < ?")
        posts, last = connection.execute(within, (since, *([] if end is None else [end]))).fetchone()
    inside = [(p, said) for seq, p, _, said in drawn if end is None or seq < end]
    answers = [(p, said) for p, said in inside if said is not None]
    value, low, high = estimate([said for _, said in answers], [p for p, _ in answers])
    return Prevalence(
        head, value, low, high, len(answers), sum(said for _, said in answers),
        pending=sum(state == "open" for _, _, state, _ in drawn), unanswered=len(inside) - len(answers),
        posts=posts, until=iso(last) if last else "",
    )  # fmt: skip


def estimate(harmful: ArrayLike, chance: ArrayLike) -> tuple[float, float, float]:
    """A share and its 95 % interval from posts drawn with known chances.

    p = Σ (y_i / π_i) / Σ (1 / π_i); the interval is Wilson's with n = (Σ w)² / Σ w², the effective number of posts
    (w = 1/π). With equal chances that is the share of the sample and Wilson's interval of it.

    Args:
        harmful: 0 or 1, [N].
        chance: of being drawn, above 0 and at most 1, [N].

    Returns:
        Share, low, high; NaN, 0, 1 for no posts.

    Source: Horvitz and Thompson (1952), JASA 47; Kish, Survey Sampling (1965), for the effective number.

    >>> [round(float(v), 3) for v in estimate([1] * 5 + [0] * 45, [0.01] * 50)]
    [0.1, 0.043, 0.214]
    """
    y, w = np.asarray(harmful, np.float64), 1 / np.asarray(chance, np.float64)
    if not len(y):
        return float("nan"), 0.0, 1.0
    share, n = float(w @ y / w.sum()), float(w.sum() ** 2 / (w @ w))
    return share, *wilson(share * n, n)


def wilson(hits: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share.

    Args:
        hits: how many.
        n: out of how many; need not be whole.

    Returns:
        Low and high; 0 and 1 for none.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).

    >>> [round(v, 3) for v in wilson(0, 20)]
    [0.0, 0.161]
    """
    if n <= 0:
        return 0.0, 1.0
    p, z2 = hits / n, _Z * _Z
    centre, half = p + z2 / (2 * n), _Z * math.sqrt(max(0.0, p * (1 - p) / n + z2 / (4 * n * n)))
    low, high = ((centre - half) / (1 + z2 / n), (centre + half) / (1 + z2 / n))
    return max(0.0, low), min(1.0, high)
