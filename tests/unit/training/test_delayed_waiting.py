"""When feedback came and how long impressions have waited, from the events of the log."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from winnow.core.errors import InputError
from winnow.core.time import MICROS
from winnow.data import declare
from winnow.data.declare import Labels
from winnow.data.schema import Events, Table, number
from winnow.training.waiting import delays

user, ad = Table("user", key="user_id"), Table("ad", key="ad_id")
both = {"user": user, "ad": ad}
seen, buy = Events("impression", refs=both), Events("buy", refs=both, fields={"price": number})
labels = Labels(
    of=seen, within=timedelta(seconds=1000),
    heads={"buy": declare.any(buy, buy.price >= 10), "spent": declare.sum(buy.price)},
)  # fmt: skip


def rows(*events):
    """Events as (second, user, ad, price) and, if given, the second at which the log learned it."""
    at = [int(e[0] * MICROS) for e in events]
    known = [int(e[4] * MICROS) if len(e) > 4 else t for e, t in zip(events, at, strict=True)]
    names = pl.Series([None] * len(events), dtype=pl.String)
    columns = {"at": at, "known_at": known, "seq": list(range(len(events)))}
    columns |= {k: [e[i] for e in events] for i, k in ((1, "user"), (2, "ad"), (3, "price"))}
    return pl.DataFrame(columns).with_columns(pl.col("price").cast(pl.Float64), recommendation_id=names)


def told(*events, as_of=5_000, **more):
    shown = rows((0, 1, 1, 0), (100, 1, 2, 0), (4_800, 2, 1, 0))
    found = delays(labels, "buy", shown, rows(*events), as_of=as_of * MICROS, **more)
    return found["buy_after_s"].tolist(), found["waited_s"].tolist()


def test_the_first_that_counts_tells_the_delay_and_the_window_ends_the_wait():
    after, waited = told((30, 1, 1, 5), (40, 1, 1, 20), (50, 1, 1, 20), (2_000, 1, 2, 20))
    assert after[0] == 40  # the one at 30 was too cheap
    assert np.isnan(after[1:]).all()  # the one at 2,000 came after the window
    assert waited == [1_000, 1_000, 200]


def test_what_the_log_has_not_learned_yet_has_not_come():
    assert np.isnan(told((40, 1, 1, 20, 6_000))[0][0])
    assert told((40, 1, 1, 20, 6_000), as_of=6_001)[0][0] == 40


def test_nobody_waits_beyond_the_end_of_the_log():
    assert told(data_until=300 * MICROS, as_of=5_000)[1] == [300, 200, 0]


def test_a_sum_has_no_moment():
    with pytest.raises(InputError) as error:
        delays(labels, "spent", rows(), rows(), as_of=1)
    assert error.value.code == "no-delays"
