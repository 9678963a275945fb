"""Moderation of a project: its systems that judge content sit on the panel, and learn from what reviewers find."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import polars as pl

from winnow.core.errors import InputError, NotFound
from winnow.core.system import System
from winnow.data.batch import Receipt
from winnow.moderation.chain import Record
from winnow.moderation.deciding import find
from winnow.moderation.moderation import Moderation
from winnow.moderation.released import ReleasedJudge
from winnow.serving.judging import NOBODY, Reader
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
    reader = Reader(project.log.ids, project.encodings, runtime.served if runtime else None)
    judges = [ReleasedJudge(runtime.desk(s.name), reader) for s in found if runtime is not None]
    return Moderation(project.folder, released=judges)


class Findings:
    """What reviewers found, brought into the log, with the posts that are not there yet.

    A post comes with its content, which is kept as long as it is under review: once that time is over, only the finding
    comes, for posts that the platform itself put into the log.

    Args:
        project: whose decisions.
        backfill: whether findings count as known when the decision log knew them: for a decision log that is taken
            over from elsewhere. A service follows its own within seconds, and they are known when they come.
    """

    def __init__(self, project: "Project", *, backfill: bool = False):
        self._project, self._backfill, self._seen = project, backfill, 0

    def follow(self) -> Receipt:
        """Brings what is new; what has come before is not brought again."""
        systems, receipt = deciding(self._project), Receipt()
        if not systems:
            return receipt
        with closing(Moderation(self._project.folder)) as court:
            found = court.labels(after=self._seen)
            for system in systems if len(found) else ():
                receipt += _bring(self._project, court, system, found, backfill=self._backfill)
        self._seen = max(found["seq"], default=self._seen)
        return receipt


def _bring(project: "Project", court: Moderation, system: System, found: pl.DataFrame, *, backfill: bool) -> Receipt:
    made = {one: find(court.ledger, one) for one in dict.fromkeys(found["post"])}
    known = set(project.frame(system.labels.item.name)[system.labels.item.key])
    new = list(_posts(project, court, system, [record for record in made.values() if _post(record) not in known]))
    found = found.with_columns(pl.col("post").replace({one: _post(record) for one, record in made.items()}))
    nobody = pl.format(NOBODY, "post")
    found = found.with_columns(author=pl.when(pl.col("author") == "").then(nobody).otherwise("author"))
    receipt = Receipt()
    for name, place in ((system.labels.item.name, 0), (system.labels.of.name, 1)):
        if new:
            rows = pl.DataFrame([pair[place] for pair in new], infer_schema_length=None)
            receipt += project.intake.frame(name, rows, backfill=backfill)
    events = next(iter(system.labels.heads.values())).events
    found = found.rename({"author": events.role(system.labels.user), "post": events.role(system.labels.item)})
    found = found.select(c for c in found.columns if c in {"event_id", "at", *events.columns})
    return receipt + project.intake.frame(events.name, found, backfill=backfill)


def _posts(
    project: "Project", court: Moderation, system: System, decisions: list[Record]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The row of each post, and the event of its being posted, as far as its content is still kept."""
    how, labels = system.pipeline, system.labels
    for record in decisions:
        try:
            held = court.held.read(record.key, now=court.ledger.clock())
        except NotFound:
            continue
        post = _post(record)
        author = record.data["author"] or NOBODY.format(post)
        row = {labels.item.key: post, "changed_at": record.at, how.text.columns[-1]: held.text}
        if held.image is not None and how.picture is not None:
            row |= {how.picture.columns[-1]: _kept(project, held.image)}
        event = {"event_id": f"posted-{post}", "at": record.at, "recommendation_id": record.key}
        yield row, event | {labels.user_role: author, labels.item_role: post}


def _post(decision: Record) -> str:
    return str(decision.data.get("post", decision.key))


def _kept(project: "Project", image: bytes) -> str | None:
    """Where a picture lies in the media folder; None for one that cannot be read."""
    try:
        return project.collection.gallery.take(image).file
    except InputError:
        return None
