"""What is told about one feature: its card, and the story of its value with the events that made it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from winnow.core.time import now_us
from winnow.data.schema import EventField, Path
from winnow.features import lineage
from winnow.features.declare import Feature
from winnow.features.meaning import alone, sentence
from winnow.features.story import Asked, Lane, Story, told
from winnow.project.features import catalogue, importance, measuring, picture
from winnow.project.features.finding import Found, find, rows_of
from winnow.serving.ingester import QUIET_US
from winnow.training.dataset import HistorySource, state_of

if TYPE_CHECKING:
    from winnow.project import Project

LISTED = 20
EVENTS: dict[str, Any] = {
    "event": pl.String, "at": pl.Datetime("us", "UTC"), "late_s": pl.Float64, "counts": pl.Int64, "field": pl.String,
    "value": pl.Float64, "about": pl.String, "event_id": pl.String,
}  # fmt: skip


def card(project: "Project", name: str, *, system: str | None = None, sample: int = measuring.SAMPLE) -> dict[str, Any]:
    """Everything about one feature, as JSON data.

    Args:
        project: that declares it.
        name: its column.
        system: which system's.
        sample: how many impressions are measured; 0 for none.

    Raises:
        NotFound: `unknown-feature`, `unknown-system`.
        InputError: `several-meanings`.
    """
    found = find(project, name, system)
    one = alone(found.feature, name)
    facts = measuring.measured(project, found.system, [one], sample=sample)[name] if sample else {"rows": 0}
    gains = importance.gains(project, found.system.name)
    return {
        **catalogue.facts(found.feature, name),
        "type": found.feature.type,
        "declared": found.feature.where,
        "lineage": lineage.lineage(one, name),
        "state": lineage.state(one),
        "measured": facts,
        "importance": gains.get(name) if gains else None,
        "importance_rank": sorted(gains, key=lambda n: -gains[n]).index(name) + 1 if name in gains else None,
        **catalogue.uses(project, found.system)[name],
    }


@dataclass(frozen=True, eq=False)
class Told:
    """The story of a feature of one key, ready to be shown.

    Args:
        story: the value over time, and what made it.
        whose: the key in words.
        meaning: what the feature is, in a sentence.
        levels: of a category, what its values are called.
        events: the last events and row changes, newest first; the columns of `EVENTS`. `counts` is how often each
            counts now: 0 when it no longer does, 2 where two values of a multi-valued key are in common.
    """

    story: Story
    whose: str
    meaning: str
    levels: Mapping[tuple[int, ...], str]
    events: pl.DataFrame

    @property
    def values(self) -> pl.DataFrame:
        """The value over time: `at`, `value` and `known`."""
        at = pl.Series("at", self.story.at).cast(pl.Datetime("us", "UTC"))
        return pl.DataFrame([at, pl.Series("value", self.story.values), pl.Series("known", self.story.known)])

    @property
    def now(self) -> str:
        """The last value as people read it."""
        return (
            self.named(self.story.levels[int(self.story.now)]) if self.story.levels else picture.written(self.story.now)
        )

    @property
    def svg(self) -> str:
        """The picture."""
        return picture.draw(self.story, whose=self.whose, meaning=self.meaning, naming=self.named)

    def named(self, level: tuple[int, ...]) -> str:
        """What a value of a category is called."""
        return self.levels.get(level, "unknown")


def story(
    project: "Project", name: str, ids: Mapping[str, str], *, start: int | None = None, end: int | None = None,
    system: str | None = None, listed: int = LISTED,
) -> Told:  # fmt: skip
    """What a feature of one key was over time, and the events that made it.

    Args:
        project: with the history.
        name: the feature's column.
        ids: role → id of those that it depends on; others are left out.
        start: where the story begins, microseconds UTC; None for what the value rests on, and some more.
        end: where it ends; None for now, which is the end of the log where that is a data set.
        system: which system's feature.
        listed: how many events are listed.

    Raises:
        NotFound: `unknown-feature`, `unknown-system`, `unknown-row`.
        InputError: `missing-role`, `several-meanings`, `bad-span`.
    """
    found = find(project, name, system)
    rows = rows_of(project, found, ids)
    project.history.sync(project.log)
    source = HistorySource(project.history)
    end = end if end is not None else _now(project, found)
    asked = Asked(rows, found.plan.roles, start, end)
    state = state_of(project, [alone(found.feature, name)], source)
    made = told(found.feature, name, asked, state=state, source=source)
    whose = " × ".join(f"{role} {ids[role]}" for role in found.roles) or "any request"
    levels = {level: _called(project, found.feature, level) for level in made.levels}
    return Told(made, whose, sentence(found.feature, name), levels, _events(project, found, made, listed))


def _now(project: "Project", found: Found) -> int:
    """The moment of "now": the end of the log where it is a data set rather than live traffic."""
    types = {found.system.labels.of.name, *(a.events.name for a in found.feature.aggregates())}
    newest = [project.history.events(t).select(pl.col("known_at").max()).collect().item() for t in sorted(types)]
    last, now = max((n for n in newest if n is not None), default=0), now_us()
    return last + 1 if 0 < last < now - QUIET_US else now


def _called(project: "Project", feature: Feature, level: tuple[int, ...]) -> str:
    of: Any = getattr(feature, "of", None)
    if not isinstance(of, Path | EventField) or not of.kind.has_domain:
        return ", ".join(map(str, level))
    return ", ".join(project.log.ids.ids(of.domain, level))


def _events(project: "Project", found: Found, made: Story, listed: int) -> pl.DataFrame:
    parts = [_listed(project, found, lane, listed) for lane in made.lanes]
    return pl.concat([pl.DataFrame(schema=EVENTS), *parts]).sort("at", descending=True).head(listed)


def _listed(project: "Project", found: Found, lane: Lane, listed: int) -> pl.DataFrame:
    """The last events of a lane, with the ids of what they were about."""
    last = np.argsort(lane.at, kind="stable")[::-1][:listed]
    about = _about(project, found, lane, lane.seq[last].tolist())
    rows = [
        {
            "event": f"{lane.label} changed" if lane.row else lane.label,
            "at": int(lane.at[i]),
            "late_s": float(lane.known_at[i] - lane.at[i]) / 1e6,
            "counts": int(lane.times[i]) if lane.counts[i] else 0,
            "field": lane.field,
            "value": None if np.isnan(lane.value[i]) else float(lane.value[i]),
            **about.get(int(lane.seq[i]), {"about": "", "event_id": ""}),
        }
        for i in last
    ]
    return pl.DataFrame(rows, schema=EVENTS)


def _about(project: "Project", found: Found, lane: Lane, seqs: list[int]) -> dict[int, dict[str, str]]:
    """seq → what the event refers to, other than the roles that were asked for, and its id."""
    if lane.row or not seqs:
        return {}
    refs = project.events[lane.events].refs
    given = {p.table.name for p in found.feature.paths if not p.columns}
    other = [role for role, table in refs.items() if table.name not in given]
    frame = project.history.events(lane.events).filter(pl.col("seq").is_in(seqs)).collect()
    names = {role: project.log.ids.ids(refs[role].name, frame[role].to_numpy()) for role in other}
    texts = [", ".join(f"{role} {names[role][i]}" for role in other) for i in range(len(frame))]
    pairs = zip(frame["seq"], texts, frame["event_id"], strict=True)
    return {seq: {"about": text, "event_id": event or ""} for seq, text, event in pairs}
