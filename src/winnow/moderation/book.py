"""The policies of a project: every version that was stored, and which of them is in force."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from winnow.core.errors import Conflict, InputError, Problem, unknown
from winnow.moderation.ledger import Ledger, Writer
from winnow.moderation.policy import Policy
from winnow.moderation.preview import Preview, past, preview
from winnow.moderation.targets import Sample, resolve


@dataclass(frozen=True)
class Version:
    """One stored version of a policy.

    Args:
        version: 1 for the first.
        policy: the document, with a number in every rule that has one.
        active: whether it is in force.
        at: microseconds UTC, when it was stored.
        who: who stored it.
        why: what for.
        resolutions: how thresholds were found.
    """

    version: int
    policy: Policy
    active: bool
    at: int
    who: str
    why: str
    resolutions: tuple[Mapping[str, Any], ...] = ()

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "version": self.version, "hash": self.policy.hash, "active": self.active, "at": self.at, "who": self.who,
            "why": self.why, "unresolved": self.policy.unresolved, "resolutions": list(self.resolutions),
            "policy": self.policy.to_data(),
        }  # fmt: skip


class Book:
    """Stores and activates policies; nothing stored is ever changed.

    Args:
        ledger: where versions are kept.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._versions: dict[int, Version] = {}

    def put(self, policy: Policy, *, who: str, why: str = "", samples: Mapping[str, Sample] | None = None) -> Version:
        """Stores a version; the same document again is the version that it was.

        Args:
            policy: checked by `parse`.
            who: who stores it.
            why: for the record.
            samples: harm → labelled posts, on which wished-for precision and cost become thresholds.

        Raises:
            InputError: `unreachable-target`, `thresholds-out-of-order`.
        """
        told: list[Mapping[str, Any]] = []
        if samples is not None:
            policy, found = resolve(policy, samples)
            told = [msgspec.to_builtins(one) for one in found]
        with self._ledger.writing() as writer:
            known = writer.connection.execute("SELECT version FROM policy WHERE hash = ?", (policy.hash,)).fetchone()
            version = known[0] if known else _count(writer.connection) + 1
            body = {"version": version, "hash": policy.hash, "document": policy.to_data(), "who": who, "why": why}
            writer.add("policy", str(version), body | {"resolutions": told})
        return self.version(version)

    def version(self, version: int) -> Version:
        """One version.

        Raises:
            NotFound: `unknown-policy`.
        """
        with self._ledger.reading() as connection:
            active = _active(connection)
        if version not in self._versions:
            record = self._ledger.find("policy", str(version))
            if record is None:
                raise unknown("policy", str(version), [str(v.version) for v in self.versions()], where="version")
            data = record.data
            policy = msgspec.convert(data["document"], Policy)
            self._versions[version] = Version(
                version, policy, False, record.at, data["who"], data["why"], tuple(data["resolutions"])
            )
        return replace(self._versions[version], active=active == version)

    def versions(self) -> list[Version]:
        """All versions, newest first."""
        with self._ledger.reading() as connection:
            found = [v for (v,) in connection.execute("SELECT version FROM policy ORDER BY version DESC")]
        return [self.version(v) for v in found]

    def active(self) -> Version | None:
        """The version in force; None before the first."""
        with self._ledger.reading() as connection:
            found = _active(connection)
        return self.version(found) if found else None

    def in_force(self) -> Version:
        """The version in force.

        Raises:
            Conflict: `no-policy`.
        """
        found = self.active()
        if found is None:
            fix = "store one with PUT /v1/moderation/policies, preview it and activate it"
            raise Conflict(Problem("no-policy", "no policy is in force", fix=fix))
        return found

    def preview(self, version: int, *, who: str = "", since: int = 0, most: int = 100_000) -> Preview:
        """What a version would have done to past posts, against the one in force; the record of it lets it activate.

        Args:
            version: a stored version.
            who: who asks.
            since: only decisions made from then on, microseconds UTC.
            most: the newest so many decisions.

        Raises:
            NotFound: `unknown-policy`.
            Conflict: `policy-unresolved`.
        """
        candidate, present = self.version(version), self.active()
        _demand_resolved(candidate)
        rows = past(self._ledger, since=since, most=most)
        found = preview(candidate.policy, rows, present=present.policy if present else None)
        body = {"version": version, "against": present.version if present else 0, "who": who, "posts": found.posts}
        with self._ledger.writing() as writer:
            writer.add("preview", writer.next_key(), body | {"changed": found.changed, "actions": found.actions})
        return found

    def activate(self, version: int, *, who: str, why: str = "", force: bool = False) -> Version:
        """Puts a version in force.

        Args:
            version: a stored version, previewed against the one in force.
            who: who decides.
            why: for the record; needed when forced.
            force: without a preview.

        Raises:
            NotFound: `unknown-policy`.
            Conflict: `policy-unresolved`, `policy-not-previewed`.
            InputError: `no-reason`, when forced without one.
        """
        candidate = self.version(version)
        _demand_resolved(candidate)
        if force and not why:
            raise InputError(Problem("no-reason", "a preview is skipped without a reason", "why", fix="say why"))
        with self._ledger.writing() as writer:
            now = _active(writer.connection)
            if not force:
                _demand_preview(writer, version, now)
            body = {"version": version, "previous": now, "who": who, "why": why, "forced": force}
            if now != version:
                writer.add("activate", writer.next_key(), body)
        return self.version(version)


def _active(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT version FROM policy WHERE active = 1").fetchone()
    return int(row[0]) if row else 0


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COALESCE(MAX(version), 0) FROM policy").fetchone()[0])


def _demand_resolved(version: Version) -> None:
    if fields := version.policy.unresolved:
        what = f"version {version.version} has wishes that no sample has turned into thresholds: {', '.join(fields)}"
        raise Conflict(Problem("policy-unresolved", what, "version", fix="store it again with a labelled sample"))


def _demand_preview(writer: Writer, version: int, now: int) -> None:
    sql = "SELECT 1 FROM preview WHERE version = ? AND against = ? LIMIT 1"
    if writer.connection.execute(sql, (version, now)).fetchone() is None:
        against = f"against version {now}, which is in force" if now else "on past posts"
        why = "a threshold that is off by a little can hide a great many posts"
        what = f"version {version} was not previewed {against}"
        raise Conflict(Problem("policy-not-previewed", what, "version", why, "preview it, look at it, activate it"))
