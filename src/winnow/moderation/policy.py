"""Policies as data: per harm the thresholds, the actions and what the user is told; apart from any model.

name = "community"

[harms.insult]
severity = 2.0
reason = "This insults somebody."
rules = [{ action = "demote", at = 0.6 }, { action = "remove", precision = 0.9 }]

[[exceptions]]
name = "news"
harms = ["insult"]
verified = ["news"]
at_most = "warn"
why = "Reports may quote."
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, structs

from winnow.core.declare import canonical

ACTIONS = ("allow", "warn", "age_gate", "demote", "hold", "remove", "escalate")
HIDING = ("hold", "remove", "escalate")  # nobody but the author sees the post
Share = Annotated[float, Meta(gt=0, le=1)]
Cost = Annotated[float, Meta(gt=0)]


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What mistakes cost, in any one unit.

    Args:
        miss: of leaving a harmful post alone.
        false_alarm: of acting on a harmless one.
    """

    miss: Cost
    false_alarm: Cost


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which probability on an action is taken: a number, or a wish that a labelled sample turns into one.

    Args:
        action: one of the policy's actions.
        at: the smallest probability.
        precision: share of the posts acted on that must be harmful.
        cost: the threshold is where mistakes cost least.
    """

    action: str
    at: Share | None = None
    precision: Share | None = None
    cost: Costs | None = None


class Harm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One harm.

    Args:
        reason: what the author is told.
        rules: from the weakest action to the strongest.
        severity: weight of one view of it against other harms, for the order of review.
        top: of the gravest kind: when nobody can judge it, posts are held and escalated; the author of a known one is
            told no details.
        confirmed: what is done when a reviewer has found it, or the content is known.
    """

    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    rules: tuple[Rule, ...] = ()
    severity: Cost = 1.0
    top: bool = False
    confirmed: str = "remove"


class Exemption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Posts that are dealt with more mildly. Every condition that is given must hold.

    Args:
        name: for the record.
        harms: which harms; none of them may be `top`.
        at_most: the strongest action left.
        why: for the record.
        verified: marks, one of which the author carries.
        authors: ids.
        languages: of the post.
    """

    name: str
    harms: Annotated[tuple[str, ...], Meta(min_length=1)]
    at_most: str
    why: str = ""
    verified: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole policy.

    Args:
        name: of the policy.
        harms: head of the model → what is done about it.
        exceptions: the first that fits a harm counts.
        order: the actions from the weakest to the strongest.
        review: actions after which people look at the post.
        unseen: what is done about a harm that is not `top` while nobody can judge it.
        withheld: what the author of known content of the gravest kind is told.
    """

    name: str
    harms: Annotated[dict[str, Harm], Meta(min_length=1)]
    exceptions: tuple[Exemption, ...] = ()
    order: tuple[str, ...] = ACTIONS
    review: tuple[str, ...] = ("demote", "hold", "escalate")
    unseen: str = "demote"
    withheld: str = "This is not allowed here."

    def strength(self, action: str) -> int:
        """The place of an action in the order; more is stronger."""
        return self.order.index(action)

    @property
    def hash(self) -> str:
        """Hex SHA-256 of the document."""
        return hashlib.sha256(canonical(self.to_data()).encode()).hexdigest()

    @property
    def unresolved(self) -> list[str]:
        """Fields of rules whose threshold is still a wish."""
        return [
            f"harms.{name}.rules[{place}]"
            for name, harm in self.harms.items()
            for place, rule in enumerate(harm.rules)
            if rule.at is None
        ]

    def to_data(self) -> dict[str, Any]:
        """The policy as JSON data."""
        return dict(msgspec.to_builtins(self))


def resolved(policy: Policy, thresholds: Mapping[tuple[str, int], float]) -> Policy:
    """The policy with a number in every rule named by (harm, place)."""
    harms = {
        name: structs.replace(
            harm, rules=tuple(structs.replace(r, at=thresholds.get((name, i), r.at)) for i, r in enumerate(harm.rules))
        )
        for name, harm in policy.harms.items()
    }
    return structs.replace(policy, harms=harms)
