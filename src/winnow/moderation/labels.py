"""What reviewers found: as events that the next model learns from, and as the sample that thresholds rest on."""

import json

import polars as pl

from winnow.moderation.ledger import Ledger
from winnow.moderation.targets import Sample


def label_frame(ledger: Ledger, *, after: int = 0, until: int | None = None) -> pl.DataFrame:
    """Findings as rows of an event with a flag for each harm; taking them again adds nothing.

    A finding that was corrected comes again with the correction, later; the last one for a post and harm counts.
    Findings that can still be taken back are left out.

    Args:
        ledger: the log.
        after: only findings of records after this `seq`.
        until: only findings made by then, microseconds UTC: the present less the time to undo; all when None.

    Returns:
        Columns `seq` of the record, `event_id`, `at` (Datetime, UTC), `reviewer`, `post` (the decision), `author`,
        `weight`, and a Boolean column for each harm, null where it was not looked for.
    """
    sql = """
        SELECT l.seq, l.decision, d.author, l.head, l.verdict, l.reviewer, l.weight, l.at
        FROM label l JOIN decision d ON d.id = l.decision WHERE l.seq > ? AND l.at <= ?
        ORDER BY l.seq, l.head"""
    with ledger.reading() as connection:
        rows = connection.execute(sql, (after, 2**62 if until is None else until)).fetchall()
    kinds = {"seq": pl.Int64, "post": pl.String, "author": pl.String, "head": pl.String, "verdict": pl.Int64,
             "reviewer": pl.String, "weight": pl.Float64, "at": pl.Int64}  # fmt: skip
    said = pl.DataFrame(rows, schema=kinds, orient="row").with_columns(pl.col("verdict").cast(pl.Boolean))
    of = ["seq", "at", "reviewer", "post", "author", "weight"]
    wide = said.pivot(on="head", index=of, values="verdict") if len(said) else said.select(of)
    at = pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC")
    return wide.select("seq", pl.format("review-{}", "seq").alias("event_id"), at, pl.exclude("seq", "at"))


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
