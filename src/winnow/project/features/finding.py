"""Finds a feature of a project by the name of its column, and the rows that ids stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow.core.errors import InputError, Problem, unknown
from winnow.core.system import System
from winnow.features.declare import Feature
from winnow.features.plan import Plan

if TYPE_CHECKING:
    from winnow.project import Project


@dataclass(frozen=True)
class Found:
    """One feature of a system.

    Args:
        system: that declares it.
        feature: the declaration.
        name: the column asked for.
    """

    system: System
    feature: Feature
    name: str

    @property
    def plan(self) -> Plan:
        """The plan of this feature alone."""
        whole = Plan.of(self.system.features, self.system.labels)
        return Plan((self.feature,), whole.roles)

    @property
    def roles(self) -> list[str]:
        """The roles whose rows its value depends on, in the order of the impression."""
        needed = self.plan.depends_on(self.feature)
        return [role for role in self.system.labels.of.refs if role in needed]


def find(project: "Project", name: str, system: str | None = None) -> Found:
    """A feature by the name of one of its columns.

    Args:
        project: where to look.
        name: the column.
        system: which system's, where several declare this name differently.

    Raises:
        NotFound: `unknown-feature`, `unknown-system`.
        InputError: `several-meanings`.
    """
    systems = [project.system(system)] if system else list(project.systems.values())
    found = [Found(s, f, name) for s in systems for f in s.features if name in f.names]
    if not found:
        raise unknown("feature", name, [n for s in systems for f in s.features for n in f.names])
    if len({str(f.feature.to_data()) for f in found}) > 1:
        what = f"`{name}` means different things in {' and '.join(f.system.name for f in found)}"
        raise InputError(Problem("several-meanings", what, fix="say which: --system NAME"))
    return found[0]


def rows_of(project: "Project", found: Found, ids: Mapping[str, str]) -> dict[str, int]:
    """The row numbers of the ids that a feature's value depends on, by role.

    Args:
        project: that knows the ids.
        found: the feature.
        ids: role → id; roles that it does not depend on are left out.

    Raises:
        InputError: `missing-role`, telling how to give it.
        NotFound: `unknown-row`.
    """
    labels = found.system.labels
    options = {labels.user_role: "--user ID", labels.item_role: "--item ID"}
    problems = []
    for role in found.roles:
        if role not in ids:
            table, fix = labels.of.refs[role].name, options.get(role, f"--key {role}=ID")
            problems.append(Problem("missing-role", f"`{found.name}` depends on the {table}", fix=f"add {fix}"))
    if problems:
        raise InputError(*problems)
    return {role: _row(project, labels.of.refs[role].name, ids[role]) for role in found.roles}


def _row(project: "Project", table: str, given: str) -> int:
    row = int(project.log.ids.rows(table, [given])[0])
    if row < 0:
        size = project.log.ids.size(table)
        near = project.log.ids.ids(table, range(min(size, 2_000)))
        raise unknown("row", given, near[:2_000], where=table)
    return row
