"""What the tests of systems share: a trained project with its ingester and a desk, in this process."""

import re
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from winnow.features.live import Caps, LiveReader
from winnow.project import Project
from winnow.serving.desk import Desk
from winnow.serving.gather import Gatherer
from winnow.serving.hydrate import hydrate
from winnow.serving.ingester import LIVE, Ingester
from winnow.serving.renew import Renewal
from winnow.serving.request import RankRequest


class Staged:
    """A project with its ingester and a desk; `post` returns when what is posted is in live state."""

    system_name = ""

    def __init__(self, folder, *, pairs=1 << 16, served=None, rows=1 << 16):
        self.project, self.number = Project(folder), 0
        self.gatherer, self.system = Gatherer(), self.project.system(self.system_name)
        self.ingester = Ingester(
            self.project.log, folder / LIVE, self.project.systems.values(), tables=self.project.tables.values(),
            rows=50_000, caps=Caps(rows=rows, pairs=pairs), encodings=self.project.encodings,
        )  # fmt: skip
        self.post()
        live, self.ids = LiveReader(folder / LIVE, encodings=self.project.encodings), self.project.log.ids
        renewal = Renewal(self.system, registry=self.project.registry, live=live, ids=self.ids, folder=folder)
        self.desk = Desk(self.system, renewal, self.ids, gatherer=self.gatherer, served=served)
        self.desk.refresh()

    def post(self, *events, **rows):
        """Puts table rows and events in, and waits until live state has them."""
        for table, given in rows.items():
            self.project.intake.rows(table, list(given))
        if events:
            self.number += 1
            given = [{"event_id": f"t{self.number}-{i}", **e} for i, e in enumerate(events)]
            assert self.project.intake.events(given).accepted == len(given)
        while self.ingester.step():
            pass

    def rank(self, user, **options):
        return self.desk.rank(RankRequest(user=user, **options))

    def shown(self, user, **options):
        """Ids in order; nothing may have failed."""
        reply = self.rank(user, **options)
        assert reply.degraded == []
        return [item.id for item in reply.items]

    def query(self, user, **given):
        return replace(hydrate(RankRequest(user=user), self.desk.kit, self.ids), **given)

    def source(self, name):
        return next(s for s in self.system.pipeline.sources if s.name == name)

    def proposed(self, name, user, **given):
        """Ids that a source proposes, best first."""
        rows, scores = self.source(name).propose(self.query(user, **given), self.desk.kit)
        assert (np.diff(scores.astype(np.float64)) <= 1e-6).all()
        assert len(np.unique(rows)) == len(rows)
        return self.ids.ids(self.system.labels.item.name, rows)

    def close(self):
        self.gatherer.close()
        self.ingester.close()
        self.project.close()


@contextmanager
def opened(kind, folder, **options):
    """A staged project, closed in the end."""
    found = kind(folder, **options)
    try:
        yield found
    finally:
        found.close()


def with_rungs(text, rungs):
    """The text of a system's file with other ladders."""
    for name, ladder in rungs.items():
        text, times = re.subn(rf"{name} = w\.Ladder\(.*\)\n", f"{name} = w.Ladder({ladder})\n", text)
        assert times == 1
    return text
