"""When the feedback of a head came, and how long each impression has waited for it, for heads that come late."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from winnow.core.errors import InputError, Problem
from winnow.core.time import MICROS, to_us
from winnow.data import labels as joiner
from winnow.data.declare import AnyOf, Labels
from winnow.features.batch import Floats


def delays(
    labels: Labels, head: str, impressions: pl.DataFrame, feedback: pl.DataFrame, *, as_of: int,
    data_until: int | None = None,
) -> Mapping[str, Floats]:  # fmt: skip
    """`<head>_after_s` and `waited_s` of impressions, float32 [N], as `models.delayed` reads them.

    Args:
        labels: what counts, and until when.
        head: one of `labels.any(...)`.
        impressions: as the joiner takes them.
        feedback: the events of the head.
        as_of: the moment of looking, microseconds UTC; what became known at or after it is not seen.
        data_until: where the log ended; nobody waited beyond it.

    Raises:
        InputError: `no-delays` for a head that is a sum: it has no moment at which it comes.
    """
    counts = labels.heads.get(head)
    if not isinstance(counts, AnyOf):
        what = f"head `{head}` is not declared by labels.any(...)"
        raise InputError(Problem("no-delays", what, labels.where, "a sum comes bit by bit", "delay another head"))
    seen = feedback.filter(pl.col("known_at") < as_of, *(joiner.passes(counts.of, c) for c in counts.conditions))
    user, item = counts.events.role(labels.user), counts.events.role(labels.item)
    place = joiner.match(
        impressions.select("at", "seq", "recommendation_id", user=labels.user_role, item=labels.item_role),
        seen.select("at", "recommendation_id", user=user, item=item),
        within=to_us(labels.within),
    )
    at, came = impressions["at"].to_numpy(), seen["at"].to_numpy()[place >= 0]
    first = np.full(len(at), np.inf)
    np.minimum.at(first, place[place >= 0], came.astype(np.float64))
    after = np.where(np.isinf(first), np.nan, (first - at) / MICROS)
    end = as_of if data_until is None else min(as_of, data_until)
    waited = np.clip((end - at) / MICROS, 0, labels.within.total_seconds())
    return {f"{head}_after_s": after.astype(np.float32), "waited_s": waited.astype(np.float32)}
