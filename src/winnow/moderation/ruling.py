"""A policy applied to what judges said about one post: the strongest action that any harm calls for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from winnow.moderation.policy import Exemption, Policy

Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class Facts:
    """What a policy may look at besides probabilities.

    Args:
        author: id.
        verified: marks of the author.
        language: of the post.
        reach: how many people are expected to see it.
    """

    author: str = ""
    verified: tuple[str, ...] = ()
    language: str = ""
    reach: float = 1.0


@dataclass(frozen=True)
class Ruling:
    """What is done about a post.

    Args:
        action: the strongest that any harm calls for.
        harm: the one that calls for it; empty when nothing is done.
        reason: what the author is told; empty when nothing is done.
        escalate: whether the people for the gravest cases must look.
        review: whether people must look.
        exception: the one that made the action milder.
        expected: expected harm: probability × reach × severity, of the harm for which that is most.
        unseen: harms that nobody could judge.
        withheld: whether the author is told no details.
    """

    action: str
    harm: str = ""
    reason: str = ""
    escalate: bool = False
    review: bool = False
    exception: str = ""
    expected: float = 0.0
    unseen: tuple[str, ...] = field(default=())
    withheld: bool = False


@dataclass(frozen=True)
class _Call:
    """What one harm calls for."""

    action: str
    harm: str
    expected: float
    escalate: bool = False
    exception: str = ""


def rule(policy: Policy, scores: Scores, facts: Facts, *, silent: frozenset[str] = frozenset()) -> Ruling:
    """What a policy does about a post that nobody knows yet.

    Args:
        policy: with a number in every rule.
        scores: harm → probability; None or left out when nobody judged it.
        facts: about the post.
        silent: harms of which some judge has said nothing.
    """
    calls = list(_calls(policy, scores, facts, silent=silent))
    first = max(calls, key=lambda call: (policy.strength(call.action), call.expected))
    acts = first.action != "allow"
    return Ruling(
        first.action,
        first.harm if acts else "",
        policy.harms[first.harm].reason if acts else "",
        escalate=any(call.escalate for call in calls),
        review=any(call.action in policy.review or call.escalate for call in calls),
        exception=first.exception,
        expected=max(call.expected for call in calls),
        unseen=tuple(h for h in policy.harms if scores.get(h) is None or h in silent),
    )


def rule_known(policy: Policy, harm: str, facts: Facts) -> Ruling:
    """What a policy does about content that is known to be harmful; no exception makes that milder."""
    found = policy.harms[harm]
    expected = facts.reach * found.severity
    if found.top:
        return Ruling("remove", harm, policy.withheld, True, True, expected=expected, withheld=True)
    review = found.confirmed in policy.review
    return Ruling(found.confirmed, harm, found.reason, False, review, expected=expected)


def _calls(policy: Policy, scores: Scores, facts: Facts, *, silent: frozenset[str]) -> Iterator[_Call]:
    for name in policy.harms:
        p = scores.get(name)
        if p is not None:
            yield _judged(policy, name, facts, p=p)
        if p is None or name in silent:
            yield _unseen(policy, name, facts)


def _judged(policy: Policy, name: str, facts: Facts, *, p: float) -> _Call:
    harm = policy.harms[name]
    reached = [r.action for r in harm.rules if r.at is not None and p >= r.at]
    action = max(reached, key=policy.strength, default="allow")
    exempt = next((e for e in policy.exceptions if name in e.harms and _fits(e, facts)), None)
    milder = exempt is not None and policy.strength(exempt.at_most) < policy.strength(action)
    if exempt is not None and milder:
        action = exempt.at_most
    expected = p * facts.reach * harm.severity
    return _Call(action, name, expected, action == "escalate", exempt.name if exempt and milder else "")


def _unseen(policy: Policy, name: str, facts: Facts) -> _Call:
    """Without a judge the gravest harms are taken to be there, and the others to be likely enough to show less."""
    harm = policy.harms[name]
    expected = facts.reach * harm.severity
    return _Call("hold", name, expected, True) if harm.top else _Call(policy.unseen, name, 0.5 * expected)


def _fits(exempt: Exemption, facts: Facts) -> bool:
    return (
        (not exempt.verified or bool(set(exempt.verified) & set(facts.verified)))
        and (not exempt.authors or facts.author in exempt.authors)
        and (not exempt.languages or facts.language in exempt.languages)
    )
