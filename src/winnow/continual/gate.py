"""The gate: whether a candidate may take the champion's place, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from winnow.evaluation.report import Record, direction

_SIGN = {"lower": 1.0, "higher": -1.0}


@dataclass(frozen=True)
class Check:
    """One metric of one head: the candidate's difference from the champion, and whether that is acceptable.

    Args:
        difference: candidate minus champion on the same rows, with its 95 % interval `low` to `high`.
    """

    metric: str
    head: str
    wish: str
    difference: float
    low: float
    high: float
    better: bool
    worse: bool

    def text(self) -> str:
        mark = "[red]✗[/]" if self.worse else "[green]✓[/]"
        verdict = "better" if self.better else "worse" if self.worse else "no difference beyond chance"
        return (
            f"{mark} {self.head} {self.metric} {self.difference:+.4f} ({self.low:+.4f} to {self.high:+.4f}): {verdict}"
        )


@dataclass(frozen=True)
class Verdict:
    """What the gate found.

    Args:
        candidate: release id.
        champion: the release it was compared with; None when there was none.
        passed: whether every wish is met.
        promoted: whether the candidate serves now.
        why: in words.
        checks: every comparison made.
        doubts: reasons besides metrics: hours with odd labels, old rows forgotten.
    """

    candidate: str
    champion: str | None
    passed: bool
    why: str
    promoted: bool = False
    checks: Sequence[Check] = field(default=())
    doubts: Sequence[str] = field(default=())

    def text(self) -> str:
        """For people."""
        state = "serves now" if self.promoted else "waits"
        lines = [*(f"  {c.text()}" for c in self.checks), *(f"  [red]✗[/] {doubt}" for doubt in self.doubts)]
        return "\n".join([f"[bold]{self.candidate}[/] {state}: {self.why}", *lines])

    def serving(self) -> "Verdict":
        """The same verdict, acted upon."""
        return replace(self, promoted=True)


def first(candidate: str) -> Verdict:
    """The verdict on the first release of a system: there is nothing to compare it with."""
    return Verdict(candidate, None, True, "the first release, nothing to compare it with")


def decide(
    candidate: str, champion: str, differences: Sequence[Record], wishes: Mapping[str, str], *,
    doubts: Sequence[str] = (),
) -> Verdict:  # fmt: skip
    """Judge paired differences against the declared wishes.

    `not worse` holds when no head is worse beyond chance (its 95 % interval lies wholly on the bad side). `lower` and
    `higher` ask besides for one head that is better beyond chance.

    Args:
        candidate: release id.
        champion: release id.
        differences: candidate minus champion, from `rankers.compare`, over all rows.
        wishes: metric → `lower`, `higher` or `not worse`.
        doubts: reasons not to trust the candidate, or the rows that it was judged on; any of them fails it.
    """
    checks = [_check(r, wishes[r["metric"]]) for r in differences if r["metric"] in wishes and r["value"] is not None]
    failed = [f"{c.head} {c.metric} is worse" for c in checks if c.worse]
    for metric, wish in wishes.items():
        of_metric = [c for c in checks if c.metric == metric]
        if wish != "not worse" and not any(c.better for c in of_metric):
            failed.append(f"no head's {metric} is {wish} beyond chance")
        if not of_metric:
            failed.append(f"{metric} could not be compared: no head that both predict has it")
    why = "; ".join(failed) if failed else f"against {champion}: nothing is worse beyond chance"
    return doubted(Verdict(candidate, champion, not failed, why, checks=checks), doubts)


def doubted(verdict: Verdict, doubts: Sequence[str]) -> Verdict:
    """The verdict with reasons not to trust the candidate, or what it was judged by; any of them fails it."""
    if not doubts:
        return verdict
    reasons = doubts if verdict.passed else [verdict.why, *doubts]
    return replace(verdict, passed=False, why="; ".join(reasons), doubts=(*verdict.doubts, *doubts))


def forgotten(golden: Sequence[Record], at_most: Mapping[str, float]) -> list[str]:
    """What a candidate has forgotten: metrics on old rows that are worse than the champion's by more than is allowed.

    Args:
        golden: candidate minus champion on old rows, from `rankers.compare`, over all rows.
        at_most: metric → how much worse it may be.
    """
    found = []
    for r in golden:
        if r["metric"] in at_most and r["value"] is not None:
            worse = r["value"] * _SIGN.get(direction(r["metric"]), 1.0)
            if worse > at_most[r["metric"]]:
                found.append(f"{r['head']} {r['metric']} on old rows is worse by {worse:.4f}")
    return found


def _check(record: Record, wish: str) -> Check:
    value, low, high = (float(record[k] or 0.0) for k in ("value", "low", "high"))
    sign = _SIGN.get(direction(record["metric"]), 1.0)
    better, worse = (high < 0, low > 0) if sign > 0 else (low > 0, high < 0)
    return Check(record["metric"], record["head"], wish, value, low, high, better, worse)
