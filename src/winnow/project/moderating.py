"""Moderation of a project: its systems that judge content sit on the panel, and learn from what reviewers find."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import polars as pl

from winnow.core.errors import InputError, NotFound
from winnow.core.system import System
from winnow.data.batch import Receipt
from winnow.moderation.moderation import Moderation
from winnow.moderation.released import ReleasedJudge
from winnow.serving.judging import Reader
from winnow.serving.runtime import Runtime

if TYPE_CHECKING:
    from winnow.project.project import Project


def deciding(project: "Project") -> list[System]:
    """The systems that decide about content."""
    return [system for system in project.systems.values() if not system.pipeline.ranks]


def opened(project: "Project", runtime: Runtime | None = None) -> Moderation:
    """The moderation of a project.

    Args:
        project: whose.
        runtime: holds the releases that judge; the project's own when left out, if any system needs one.
    """
    found = deciding(project)
    if found and runtime is None:
        runtime = project.runtime
    reader = Reader(project.log.ids, project.encodings)
    judges = [ReleasedJudge(runtime.desk(s.name), reader) for s in found if runtime is not None]
    return Moderation(project.folder, released=judges)


def learn(project: "Project", system: System) -> Receipt:
    """Brings what reviewers found into the log, with the posts that are not there yet; again, it adds nothing.

    The times are those of the decision log, which is as trustworthy as the event log. A post comes with its content,
    which is kept as long as it is under review: once that time is over, only the finding comes, for posts that the
    platform itself put into the log.

    Args:
        project: whose decisions.
        system: one that decides about content.
    """
    with closing(Moderation(project.folder)) as court:
        found = court.labels()
        ids = dict(
            zip(found["post"], project.log.ids.rows(system.labels.item.name, found["post"].to_list()), strict=True)
        )
        new = list(_posts(project, court, system, [post for post, row in ids.items() if row < 0]))
    receipt = Receipt()
    for name, place in ((system.labels.item.name, 0), (system.labels.of.name, 1)):
        if new:
            rows = pl.DataFrame([pair[place] for pair in new], infer_schema_length=None)
            receipt += project.intake.frame(name, rows, backfill=True)
    events = next(iter(system.labels.heads.values())).events
    found = found.rename({"author": events.role(system.labels.user), "post": events.role(system.labels.item)})
    found = found.select(c for c in found.columns if c in {"event_id", "at", *events.columns})
    return receipt + project.intake.frame(events.name, found, backfill=True)


def _posts(
    project: "Project", court: Moderation, system: System, ids: list[str]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The row of each post, and the event of its being posted, as far as its content is still kept."""
    how, labels = system.pipeline, system.labels
    for post in ids:
        record = court.ledger.find("decision", post)
        try:
            held = court.held.read(post, now=court.ledger.clock())
        except NotFound:
            continue
        if record is None:
            continue
        row = {labels.item.key: post, "changed_at": record.at, how.text.columns[-1]: held.text}
        if held.image is not None and how.picture is not None:
            row |= {how.picture.columns[-1]: _kept(project, held.image)}
        event = {"event_id": f"posted-{post}", "at": record.at, labels.item_role: post}
        yield row, event | {labels.user_role: record.data["author"] or None}


def _kept(project: "Project", image: bytes) -> str | None:
    """Where a picture lies in the media folder; None for one that cannot be read."""
    try:
        return project.collection.gallery.take(image).file
    except InputError:
        return None
