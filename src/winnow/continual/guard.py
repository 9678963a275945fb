"""The watch behind the gate: what passed it and yet does harm is taken back."""

from collections.abc import Sequence
from dataclasses import dataclass

from winnow.continual import monitor
from winnow.core.errors import Conflict
from winnow.core.system import System
from winnow.core.time import now_us
from winnow.monitoring.checks import Finding
from winnow.training.stores import Stores


@dataclass(frozen=True)
class Watched:
    """What the monitors found and what was done.

    Args:
        findings: all of them.
        release: what serves now.
        rolled_back: the release that was taken back; None when nothing was, or nothing served before it.
        why: in words.
    """

    findings: Sequence[Finding]
    release: str
    rolled_back: str | None
    why: str


def watch(stores: Stores, system: System, *, monitors: Sequence[str] = ("Calibration",)) -> Watched:
    """Runs the monitors; goes back to the release before when one of the named ones is beyond its limit.

    Args:
        stores: the project.
        system: the declaration.
        monitors: kinds of monitor that are reason enough. Skew and drift by themselves are for people to look at: an
            older release would read the same features.
    """
    champion = stores.registry.champion(system.name)
    findings = monitor.check(stores, system)
    bad = [f for f in monitor.bad(findings) if f.monitor in monitors]
    if not bad:
        return Watched(findings, champion, None, "nothing is beyond its limit")
    why = "; ".join(f"{f.subject} {f.measure}: {f.what}" for f in bad)
    try:
        back = stores.registry.rollback(system.name, at=now_us(), who="monitor", why=why)
    except Conflict:
        return Watched(findings, champion, None, f"{why}; no earlier release to go back to")
    return Watched(findings, str(back.champion), champion, why)
