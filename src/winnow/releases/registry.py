"""Which releases exist, which one serves, who decided so, and the live weights of each system.

Every change is one transaction: a process killed at any moment leaves the old state or the new one.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from winnow.core.errors import Conflict, InputError, NotFound, Problem, did_you_mean
from winnow.releases import manifest as manifests
from winnow.releases import tables
from winnow.releases.manifest import Manifest
from winnow.releases.release import Release, load
from winnow.releases.store import Store

Action = Literal["promote", "rollback", "shadow"]


@dataclass(frozen=True)
class Pointers:
    """What a system serves now; a worker that sees another value loads what changed.

    Args:
        champion: id of the release that answers, None before the first promotion.
        shadow: id of the release that scores along without being shown.
        weights_version: version of the live weights, 0 before the first edit.
    """

    champion: str | None = None
    shadow: str | None = None
    weights_version: int = 0


@dataclass(frozen=True)
class Promotion:
    """One line of the history: `release` took the place of `previous`; `at` is in microseconds UTC."""

    seq: int
    system: str
    action: Action
    release: str | None
    previous: str | None
    at: int
    who: str
    why: str


@dataclass(frozen=True)
class Listed:
    """One registered release."""

    id: str
    system: str
    created_at: int
    registered_at: int
    manifest: Manifest


@dataclass(frozen=True)
class Weights:
    """One version of the live weights of a system's value model; `at` is in microseconds UTC.

    `experiment` is the data of the experiment whose arms replace them for those who take part; None for none.
    """

    version: int
    values: Mapping[str, float]
    at: int
    who: str
    why: str
    experiment: Mapping[str, Any] | None = None


class Registry:
    """The registry of one project.

    Args:
        url: SQLAlchemy URL of the metadata database, as in `sqlite:///shop/meta.db`.
        root: folder that holds `<system>/<release id>/`.

    Raises:
        Unavailable: `registry-unreachable`, `registry-newer`.
    """

    def __init__(self, url: str, root: Path):
        self.root = root
        self._store = Store(url)

    def close(self) -> None:
        """Closes the database connections."""
        self._store.close()

    # Releases

    def register(self, release: Release, *, at: int) -> None:
        """Makes a built release known; doing it again changes nothing."""
        row = {
            "id": release.id, "system": release.manifest.system, "declaration": release.manifest.declaration,
            "created_at": release.manifest.created_at, "registered_at": at, "manifest": release.manifest.text(),
        }  # fmt: skip
        with self._store.write() as connection:
            known = connection.execute(select(tables.release.c.id).where(tables.release.c.id == release.id)).first()
            if known is None:
                connection.execute(insert(tables.release).values(row))

    def releases(self, system: str | None = None) -> list[Listed]:
        """Registered releases, newest first."""
        query = select(tables.release).order_by(tables.release.c.created_at.desc(), tables.release.c.id)
        if system is not None:
            query = query.where(tables.release.c.system == system)
        with self._store.read() as connection:
            return [_listed(row) for row in connection.execute(query)]

    def newest(self, system: str) -> str:
        """Id of the release built last.

        Raises:
            NotFound: `no-release`.
        """
        found = self.releases(system)
        if not found:
            raise NotFound(Problem("no-release", f"`{system}` has no release yet", fix="run `winnow train`"))
        return found[0].id

    def open(self, system: str, release: str | None = None, *, hashes: bool = True) -> Release:
        """A registered release from disk, the champion when none is named; see `release.load` for the checks.

        Raises:
            NotFound: `unknown-release`, `no-champion`.
            Unavailable: `release-missing`, `release-corrupt`.
        """
        wanted = release or self.champion(system)
        with self._store.read() as connection:
            _demand(connection, system, wanted)
        return load(self.root / system / wanted, hashes=hashes)

    # The pointer

    def pointers(self, system: str) -> Pointers:
        """What the system serves now, by one read of one row."""
        with self._store.read() as connection:
            return _pointers(connection, system)

    def champion(self, system: str) -> str:
        """Id of the release that answers.

        Raises:
            NotFound: `no-champion` before the first promotion.
        """
        found = self.pointers(system).champion
        if found is None:
            fix = "`winnow train` makes a release; `winnow promote` lets it serve"
            raise NotFound(Problem("no-champion", f"no release of `{system}` serves yet", fix=fix))
        return found

    def promote(
        self, system: str, release: str, *, at: int, who: str, why: str = "", expected: str | None = None
    ) -> Pointers:
        """Lets a registered release serve.

        Args:
            system: name of the system.
            release: id of the release.
            at: microseconds UTC.
            who: person or job that decides.
            why: for the history.
            expected: the champion that the decision was made against; None skips the check.

        Raises:
            NotFound: `unknown-release`.
            Conflict: `champion-changed` when another promotion came between.
        """
        with self._store.write() as connection:
            _demand(connection, system, release)
            before = _pointers(connection, system)
            if expected is not None and before.champion != expected:
                what = f"the champion of `{system}` is {before.champion}, not {expected}"
                raise Conflict(Problem("champion-changed", what, fix="compare with the new champion and promote again"))
            _point(connection, system, champion=release)
            _note(connection, system, "promote", release=release, previous=before.champion, at=at, who=who, why=why)
            return _pointers(connection, system)

    def rollback(self, system: str, *, at: int, who: str, why: str = "") -> Pointers:
        """Goes back to the release that served before the present one was promoted; repeated, further back.

        Raises:
            Conflict: `nothing-before` when no earlier release served.
        """
        with self._store.write() as connection:
            served = _served(connection, system)
            if len(served) < 2:
                what = f"no release of `{system}` served before the present one"
                raise Conflict(Problem("nothing-before", what, fix="`winnow promote` a release of your choice"))
            now, back = served[-1], served[-2]
            _point(connection, system, champion=back)
            _note(connection, system, "rollback", release=back, previous=now, at=at, who=who, why=why)
            return _pointers(connection, system)

    def shadow(self, system: str, release: str | None, *, at: int, who: str, why: str = "") -> Pointers:
        """Lets a release score along without being shown; None ends that.

        Raises:
            NotFound: `unknown-release`.
        """
        with self._store.write() as connection:
            if release is not None:
                _demand(connection, system, release)
            before = _pointers(connection, system).shadow
            _point(connection, system, shadow=release)
            _note(connection, system, "shadow", release=release, previous=before, at=at, who=who, why=why)
            return _pointers(connection, system)

    def history(self, system: str) -> list[Promotion]:
        """Every promotion, rollback and shadow of a system, oldest first."""
        with self._store.read() as connection:
            return _history(connection, system)

    # Live weights

    def set_weights(self, system: str, values: Mapping[str, float], *, at: int, who: str, why: str = "") -> Weights:
        """Stores a new version of the live weights; workers see it with their next look at the pointers.

        An experiment that runs goes on.

        Raises:
            InputError: `weight-not-finite`.
        """
        _demand_finite(values)
        with self._store.write() as connection:
            last = _last_weights(connection, system)
            experiment = last.experiment if last else None
            return _store_weights(connection, system, last, Weights(0, dict(values), at, who, why, experiment))

    def set_experiment(
        self, system: str, experiment: Mapping[str, Any] | None, *, declared: Mapping[str, float], at: int, who: str,
        why: str = "",
    ) -> Weights:  # fmt: skip
        """Starts an experiment on the weights in place of the one that runs, or with None ends it: a new version.

        Args:
            system: name of the system.
            experiment: the data of an `Experiment`.
            declared: the weights of the declaration, for a system whose weights nobody has edited.
            at: microseconds UTC.
            who: person or job that decides.
            why: for the history.

        Raises:
            InputError: `weight-not-finite`.
        """
        for values in (experiment or {}).get("weights", {}).values():
            _demand_finite(values)
        with self._store.write() as connection:
            last = _last_weights(connection, system)
            values = dict(last.values if last else declared)
            return _store_weights(connection, system, last, Weights(0, values, at, who, why, experiment))

    def weights(self, system: str, version: int | None = None) -> Weights | None:
        """One version of the live weights, the newest when none is named; None when nobody has edited them."""
        found = [w for w in self.weights_history(system) if version in (None, w.version)]
        return found[-1] if found else None

    def weights_history(self, system: str) -> list[Weights]:
        """Every version of the live weights, oldest first."""
        table = tables.weights
        query = select(table).where(table.c.system == system).order_by(table.c.version)
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        return [_weights(row) for row in rows]


def _pointers(connection: Connection, system: str) -> Pointers:
    table = tables.pointer.c
    query = select(table.champion, table.shadow, table.weights_version).where(table.system == system)
    row = connection.execute(query).first()
    return Pointers(*row) if row else Pointers()


def _demand_finite(values: Mapping[str, float]) -> None:
    bad = [h for h, v in values.items() if isinstance(v, bool) or not math.isfinite(v)]
    if bad:
        raise InputError(*(Problem("weight-not-finite", f"weight of `{h}` is {values[h]}", h) for h in bad))


def _weights(row: Row[Any]) -> Weights:
    experiment = json.loads(row.experiment) if row.experiment else None
    return Weights(row.version, json.loads(row.head_weights), row.at, row.who, row.why, experiment)


def _last_weights(connection: Connection, system: str) -> Weights | None:
    table = tables.weights
    query = select(table).where(table.c.system == system).order_by(table.c.version.desc()).limit(1)
    row = connection.execute(query).first()
    return _weights(row) if row else None


def _store_weights(connection: Connection, system: str, last: Weights | None, new: Weights) -> Weights:
    """Stores a version after the last one, and points to it."""
    stored = replace(new, version=last.version + 1 if last else 1)
    experiment = json.dumps(stored.experiment) if stored.experiment else None
    row = {"system": system, "version": stored.version, "at": stored.at, "who": stored.who, "why": stored.why}
    values = {"head_weights": json.dumps(dict(stored.values)), "experiment": experiment}
    connection.execute(insert(tables.weights).values(**row, **values))
    _point(connection, system, weights_version=stored.version)
    return stored


def _point(connection: Connection, system: str, **columns: Any) -> None:
    changed = connection.execute(update(tables.pointer).where(tables.pointer.c.system == system).values(columns))
    if not changed.rowcount:
        connection.execute(insert(tables.pointer).values(system=system, **columns))


def _note(connection: Connection, system: str, action: Action, **columns: Any) -> None:
    connection.execute(insert(tables.promotion).values(system=system, action=action, **columns))


def _history(connection: Connection, system: str) -> list[Promotion]:
    table = tables.promotion
    query = select(table).where(table.c.system == system).order_by(table.c.seq)
    return [Promotion(**row._mapping) for row in connection.execute(query)]


def _served(connection: Connection, system: str) -> Sequence[str]:
    """The champions of the past as a stack: a promotion pushes, a rollback pops."""
    stack: list[str] = []
    for line in _history(connection, system):
        if line.action == "promote" and line.release:
            stack.append(line.release)
        elif line.action == "rollback":
            stack.pop()
    return stack


def _demand(connection: Connection, system: str, release: str) -> None:
    table = tables.release.c
    known = connection.execute(select(table.id).where(table.system == system)).scalars().all()
    if release not in known:
        what = f"`{system}` has no release `{release}`"
        raise NotFound(Problem("unknown-release", what, fix=did_you_mean(release, known)))


def _listed(row: Row[Any]) -> Listed:
    return Listed(row.id, row.system, row.created_at, row.registered_at, manifests.parse(row.manifest))
