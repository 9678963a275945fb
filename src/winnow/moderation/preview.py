"""What a policy would have done: past decisions are ruled on again by their recorded scores, nothing is judged anew."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from winnow.moderation.ledger import Ledger
from winnow.moderation.policy import Policy
from winnow.moderation.ruling import Facts, Ruling, rule, rule_known

GROUPS = ("language", "country", "new_author")


@dataclass(frozen=True)
class Past:
    """One past post, as much of it as policies look at.

    Args:
        scores: harm → probability, None when nobody judged it.
        facts: about the post.
        groups: name of a kind of group → the group of this post.
        known: the harm of known content; empty for none.
        silent: harms of which some judge had said nothing.
    """

    scores: Mapping[str, float | None]
    facts: Facts
    groups: Mapping[str, str]
    known: str = ""
    silent: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True)
class Preview:
    """What a policy would have done with past posts.

    Args:
        posts: how many were looked at.
        changed: of how many the action would differ from that of the policy in force.
        actions: action → `{"would", "does"}`.
        harms: harm → action → `{"would", "does"}`, of the harm that called for it.
        groups: kind of group → group → `{"posts", "acted_would", "acted_does", "changed"}`.
        changes: from the action of the policy in force to the one that would be, and how often, most often first.
    """

    posts: int
    changed: int
    actions: Mapping[str, Mapping[str, int]]
    harms: Mapping[str, Mapping[str, Mapping[str, int]]]
    groups: Mapping[str, Mapping[str, Mapping[str, int]]]
    changes: tuple[Mapping[str, Any], ...]


def past(ledger: Ledger, *, since: int = 0, most: int = 100_000) -> list[Past]:
    """The newest decisions of a log as posts to rule on again, oldest first."""
    with ledger.reading() as connection:
        sql = "SELECT seq FROM decision WHERE at >= ? ORDER BY seq DESC LIMIT ?"
        seqs = [seq for (seq,) in connection.execute(sql, (since, most))]
    if not seqs:
        return []
    records = ledger.records(after=seqs[-1] - 1, kind="decision", limit=len(seqs))
    return [_past(record.data) for record in records]


def _past(data: Mapping[str, Any]) -> Past:
    facts = Facts(data["author"], tuple(data["verified"]), data["language"], data["reach"])
    groups = {"language": data["language"], "country": data["country"], "new_author": str(data["new_author"]).lower()}
    match = data["match"]
    return Past(data["scores"], facts, groups, match["harm"] if match else "", frozenset(data["silent"]))


def preview(policy: Policy, posts: Iterable[Past], *, present: Policy | None = None) -> Preview:
    """What a policy would have done with past posts, and what that changes.

    Args:
        policy: with a number in every rule.
        posts: past posts.
        present: the policy in force; None counts as allowing everything.
    """
    counts: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in ("action", "harm", "group", "change")}
    rows = 0
    for rows, post in enumerate(posts, 1):  # noqa: B007 - the count is used after the loop
        would, does = ruled(policy, post), ruled(present, post) if present else Ruling("allow")
        _count(counts, post, would=would, does=does)
    return Preview(
        rows,
        sum(counts["change"].values()),
        _nested(counts["action"]),
        _nested(counts["harm"]),
        _nested(counts["group"]),
        tuple({"from": a, "to": b, "posts": n} for (a, b), n in counts["change"].most_common()),
    )


def ruled(policy: Policy, post: Past) -> Ruling:
    """What a policy does about a past post; a harm that the policy does not name counts for nothing."""
    if post.known in policy.harms:
        return rule_known(policy, post.known, post.facts)
    return rule(policy, post.scores, post.facts, silent=post.silent)


def _count(counts: dict[str, Counter[tuple[str, ...]]], post: Past, *, would: Ruling, does: Ruling) -> None:
    differs = would.action != does.action
    for side, ruling in (("would", would), ("does", does)):
        counts["action"][ruling.action, side] += 1
        if ruling.harm:
            counts["harm"][ruling.harm, ruling.action, side] += 1
    if differs:
        counts["change"][does.action, would.action] += 1
    for kind, group in post.groups.items():
        acted = {"acted_would": would.action != "allow", "acted_does": does.action != "allow", "changed": differs}
        for what, so in {"posts": True, **acted}.items():
            counts["group"][kind, group or "unknown", what] += so


def _nested(counter: Counter[tuple[str, ...]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, n in sorted(counter.items()):
        place = tree
        for step in path[:-1]:
            place = place.setdefault(step, {})
        place[path[-1]] = n
    return tree
