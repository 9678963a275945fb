"""What several reviewers' findings amount to, and how well reviewers agree."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from winnow.moderation.ledger import Ledger
from winnow.moderation.prevalence import wilson

Heads = Mapping[str, bool | int]


def majority(said: Sequence[Mapping[str, int]], heads: Iterable[str], *, final: bool = False) -> dict[str, int] | None:
    """What most reviewers found, per harm; None when they are evenly split.

    Args:
        said: the findings of each reviewer; empty for those who could not tell, who do not count.
        heads: the harms.
        final: a tie counts as harmful.

    >>> majority([{"insult": 1}, {"insult": 1}, {"insult": 0}], ["insult"])
    {'insult': 1}
    >>> majority([{"insult": 1}, {"insult": 0}], ["insult"]) is None
    True
    """
    told = [one for one in said if one]
    if not told:
        return {}
    found = {head: sum(one.get(head, 0) for one in told) for head in heads}
    if not final and any(2 * yes == len(told) for yes in found.values()):
        return None
    return {head: int(2 * yes >= len(told)) for head, yes in found.items()}


def cohen(first: Sequence[int], second: Sequence[int]) -> float:
    """Cohen's kappa of two reviewers: agreement beyond what chance would give.

    κ = (p_o − p_e) / (1 − p_e), with p_o the share of posts on which they agree and p_e = Σ_k p_1k p_2k.

    Args:
        first: what one said about each post, [N].
        second: what the other said about the same posts, [N].

    Returns:
        1 for full agreement, 0 for chance; NaN when both only ever said the same one thing, or for no posts.

    Source: J. Cohen, A coefficient of agreement for nominal scales, Educ. and Psychological Measurement 20 (1960).

    >>> round(cohen([1] * 25 + [0] * 25, [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15), 2)
    0.4
    """
    n = len(first)
    if not n:
        return float("nan")
    seen = sum(a == b for a, b in zip(first, second, strict=True)) / n
    one, two = Counter(first), Counter(second)
    chance = sum(one[k] * two[k] for k in one) / n**2
    return (seen - chance) / (1 - chance) if chance < 1 else float("nan")


def krippendorff(units: Iterable[Sequence[int]]) -> float:
    """Krippendorff's alpha for categories: agreement beyond chance of any number of reviewers per post.

    α = 1 − (n − 1) Σ_c≠k o_ck / Σ_c≠k n_c n_k, with o_ck = Σ_u (ordered pairs c, k within u) / (m_u − 1).

    Args:
        units: for each post what its reviewers said; posts with fewer than two are left out.

    Returns:
        1 for full agreement, 0 for chance, less for worse; NaN when only one thing was ever said, or nothing.

    Source: K. Krippendorff, Content Analysis, 3rd edition (2013), chapter 12.

    >>> round(krippendorff([[0, 1], [1, 1], [0, 1], [0, 0], [0, 0], [0, 1], [0, 0], [0, 0], [1, 0], [0, 0]]), 3)
    0.095
    """
    pairs: Counter[tuple[int, int]] = Counter()
    totals: Counter[int] = Counter()
    weights: defaultdict[tuple[int, int], float] = defaultdict(float)
    for unit in units:
        if len(unit) < 2:
            continue
        totals.update(unit)
        for a, b in combinations(unit, 2):
            pairs[a, b] += 1
            weights[a, b] += 1 / (len(unit) - 1)
            weights[b, a] += 1 / (len(unit) - 1)
    n = sum(totals.values())
    by_chance = n * n - sum(count * count for count in totals.values())
    differing = sum(weight for (a, b), weight in weights.items() if a != b)
    return 1 - (n - 1) * differing / by_chance if by_chance else float("nan")


@dataclass(frozen=True)
class Reviewer:
    """How one reviewer does on posts with a known answer.

    Args:
        name: of the reviewer.
        right: answers that are those known, over all harms.
        answers: all of them.
        low: of the 95 % interval of the share of right ones.
        high: the other end.
    """

    name: str
    right: int
    answers: int
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How well reviewers agree.

    Args:
        posts: that two or more have reviewed.
        alpha: harm → Krippendorff's alpha.
        kappa: `(reviewer, reviewer)` → Cohen's kappa over all harms of the posts that both reviewed, and how many.
        golden: of each reviewer.
    """

    posts: int
    alpha: Mapping[str, float]
    kappa: Mapping[tuple[str, str], tuple[float, int]]
    golden: tuple[Reviewer, ...]


def counted(ledger: Ledger) -> Agreement:
    """The agreement in a log, over all verdicts that were not taken back."""
    sql = """
        SELECT v.task, v.reviewer, v.heads, t.truth FROM verdict v JOIN task t ON t.id = v.task
        WHERE v.voided = 0 AND v.heads <> '{}' ORDER BY v.seq"""
    posts: defaultdict[str, dict[str, dict[str, int]]] = defaultdict(dict)
    marks: defaultdict[str, list[bool]] = defaultdict(list)
    with ledger.reading() as connection:
        for task, reviewer, heads, truth in connection.execute(sql).fetchall():
            if truth is None:
                posts[task][reviewer] = json.loads(heads)
            else:
                known, said = json.loads(truth), json.loads(heads)
                marks[reviewer] += [said.get(head, 0) == answer for head, answer in known.items()]
    several = [said for said in posts.values() if len(said) > 1]
    return Agreement(len(several), _alpha(several), _kappa(several), _golden(marks))


def _alpha(posts: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, float]:
    heads = dict.fromkeys(head for post in posts for said in post.values() for head in said)
    return {
        head: krippendorff([said[head] for said in post.values() if head in said] for post in posts) for head in heads
    }


def _kappa(posts: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[tuple[str, str], tuple[float, int]]:
    answers: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    both: Counter[tuple[str, str]] = Counter()
    for post in posts:
        for a, b in combinations(sorted(post), 2):
            both[a, b] += 1
            answers[a, b] += [(post[a][head], post[b][head]) for head in post[a] if head in post[b]]
    return {pair: (cohen(*zip(*said, strict=True)), both[pair]) for pair, said in answers.items() if said}


def _golden(marks: Mapping[str, Sequence[bool]]) -> tuple[Reviewer, ...]:
    return tuple(Reviewer(n, sum(m), len(m), *wilson(sum(m), len(m))) for n, m in sorted(marks.items()))
