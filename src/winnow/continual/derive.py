"""A release made from another: some of its files are new, all others are the same files on disk.

Releases stay immutable: what is refreshed on a cadence of its own (a calibration, the weights of a network) makes a new
release with the parent's other parts, equal in their SHA-256 and sharing their disk space by hard links.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from winnow.core.time import now_us
from winnow.releases.manifest import Window
from winnow.releases.registry import Registry
from winnow.releases.release import Release, build

PARENT = "parent"


def derived(
    registry: Registry, parent: Release, change: Callable[[Path], None], *, without: tuple[str, ...],
    models: Mapping[str, Any], window: Window | None = None,
) -> Release:  # fmt: skip
    """Builds and registers a release; serves nothing yet.

    Args:
        registry: of the project.
        parent: the release whose parts are taken over.
        change: writes the new files into the folder that it is given; must not write to files that are taken over.
        without: files, or folders ending in `/`, that are not taken over.
        models: facts that replace the parent's in `manifest.models`.
        window: what the new files learned from; the parent's when left out.
    """
    facts = parent.manifest
    with build(registry.root, facts.system) as draft:
        for name in facts.files:
            if not any(name == w or (w.endswith("/") and name.startswith(w)) for w in without):
                place = draft.folder / name
                place.parent.mkdir(parents=True, exist_ok=True)
                os.link(parent.folder / name, place)
        change(draft.folder)
        now = now_us()
        merged = {**facts.models, **models, PARENT: parent.id}
        release = draft.finish(
            replace(facts, created_at=now, models=merged, window=window or facts.window, metrics={}, files={})
        )
    registry.register(release, at=now)
    return release
