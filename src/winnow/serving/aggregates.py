"""Which live state systems need kept."""

from collections.abc import Iterable

from winnow.core.system import System
from winnow.features.aggregate import Aggregate
from winnow.features.plan import Plan
from winnow.releases.registry import Registry


def needed(systems: Iterable[System]) -> tuple[Aggregate, ...]:
    """The live state that features, sources and filters of all systems need, each once."""
    plans = ((*Plan.of(s.features, s.labels).aggregates, *s.pipeline.aggregates()) for s in systems)
    return tuple(dict.fromkeys(a for aggregates in plans for a in aggregates))


def released(registry: Registry, names: Iterable[str]) -> list[System]:
    """The declarations of the releases that serve or may serve next: the champion and the newest of each system."""
    found = []
    for name in names:
        ids = {registry.pointers(name).champion, *(r.id for r in registry.releases(name)[:1])}
        systems = [registry.open(name, i, hashes=False).system() for i in sorted(filter(None, ids))]
        found += [s for s in systems if s is not None]
    return found
