import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.core.time import days, hours, parse_time, to_us
from winnow.training.cut import by_rule

START = parse_time("2022-04-25T00:00:00+08:00")


def test_whole_days_of_a_log_of_six_days():
    at = START + np.sort(np.random.default_rng(0).integers(0, to_us(days(6)), 6000))
    split = by_rule(at)
    assert split.train_until == parse_time("2022-04-29T00:00:00+08:00")
    assert split.valid_until == parse_time("2022-04-30T00:00:00+08:00")
    assert split.test_until == parse_time("2022-05-01T00:00:00+08:00")


@pytest.mark.parametrize("length", [hours(1), days(4000)])
def test_shares_where_days_would_not_do(length):
    at = START + np.linspace(0, to_us(length), 1000).astype(np.int64)
    parts = by_rule(at).parts(at, within=hours(0))
    assert parts["test"].sum() == pytest.approx(150, abs=2)
    assert parts["valid"].sum() == pytest.approx(150, abs=2)
    assert not (parts["train"] & parts["test"]).any()


def test_too_few_rows_are_refused():
    with pytest.raises(InputError, match="too-few-rows"):
        by_rule(np.arange(10))
