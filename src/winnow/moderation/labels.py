"""What reviewers found, as events: what the next model learns from."""

import json

import polars as pl

from winnow.data.schema import Events, Table, category, flag, number
from winnow.moderation.ledger import Ledger
from winnow.moderation.targets import Sample

REVIEWER = Table("reviewer", key="reviewer_id")


def review_events(post: Table) -> Events:
    """The event type `review`: who found what about which post, declared by a system that learns from it.

    Args:
        post: the table of posts, whose keys are the request ids of decisions.
    """
    return Events(
        "review",
        refs={"reviewer": REVIEWER, post.name: post},
        fields={"head": category, "verdict": flag, "weight": number(at_least=0)},
    )


def label_frame(ledger: Ledger, *, post: str = "post", after: int = 0, until: int | None = None) -> pl.DataFrame:
    """Findings as rows that the intake takes; taking them again adds nothing.

    A finding that was corrected comes again with the correction, later; the last one for a post and head counts.
    Findings that can still be taken back are left out.

    Args:
        ledger: the log.
        post: role of the post in the event.
        after: only findings of records after this `seq`.
        until: only findings made by then, microseconds UTC: the present less the time to undo; all when None.

    Returns:
        Columns `event_id`, `at` (Datetime, UTC), `reviewer`, the post's role, `head`, `verdict` (bool), `weight`.
    """
    sql = """
        SELECT seq, decision, head, verdict, reviewer, weight, at FROM label
        WHERE seq > ? AND at <= ? ORDER BY seq, head"""
    with ledger.reading() as connection:
        rows = connection.execute(sql, (after, 2**62 if until is None else until)).fetchall()
    names = ("seq", "decision", "head", "verdict", "reviewer", "weight", "at")
    kinds = [pl.Int64, pl.String, pl.String, pl.Int64, pl.String, pl.Float64, pl.Int64]
    frame = pl.DataFrame(rows, schema=dict(zip(names, kinds, strict=True)), orient="row")
    return frame.select(
        pl.format("review-{}-{}", "seq", "head").alias("event_id"),
        pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC"),
        "reviewer",
        pl.col("decision").alias(post),
        "head",
        pl.col("verdict").cast(pl.Boolean),
        "weight",
    )


def reviewed(ledger: Ledger) -> dict[str, Sample]:
    """The posts that were judged and reviewed, by harm: what wishes of a policy are turned into thresholds on."""
    sql = """
        SELECT r.head, r.verdict, d.sample, t.lane, c.body FROM resolved r JOIN decision d ON d.id = r.task
        JOIN task t ON t.id = r.task JOIN record c ON c.seq = d.seq ORDER BY d.seq, r.head"""
    rows: dict[str, list[tuple[float, int, float]]] = {}
    with ledger.reading() as connection:
        for head, said, chance, lane, body in connection.execute(sql):
            p = json.loads(body)["scores"].get(head)
            if p is not None:
                rows.setdefault(head, []).append((p, said, 1.0 if lane == "harm" else 1.0 / chance))
    return {head: Sample(*zip(*found, strict=True)) for head, found in rows.items()}
