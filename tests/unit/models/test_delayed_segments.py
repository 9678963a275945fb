"""Calibration by segment: large segments become right, small ones keep the level above."""

from dataclasses import replace

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.features.batch import FeatureBatch
from winnow.models.calibration import Calibration
from winnow.models.segments import FILE, Segmented, Segments, pooled, ratios

BY = ("surface", "advertiser")
TYPES = {"click": "binary", "spend": "regression"}
HOW = Segmented(BY, method="platt")


def stream(rows=60_000, seed=0, spread=0.5):
    """Predictions that are right on average and wrong by segment: 3 surfaces, 30 advertisers of very different size."""
    rng = np.random.default_rng(seed)
    surface, advertiser = rng.integers(0, 3, rows), (rng.beta(0.6, 3, rows) * 30).astype(np.int64)
    off = np.random.default_rng(99).normal(0, spread, (3, 30))
    z = rng.normal(-2, 0.8, rows)
    truth = 1 / (1 + np.exp(-z - off[surface, advertiser]))
    amount = rng.gamma(2, 1, rows)
    raw = np.stack([1 / (1 + np.exp(-z)), amount], axis=1).astype(np.float32)
    labels = {
        "click": (rng.random(rows) < truth).astype(np.float32),
        "spend": (amount * np.exp(off[surface, 0])).astype(np.float32),
    }
    batch = FeatureBatch(np.zeros((rows, 1), np.float32), ("x",), {"surface": surface, "advertiser": advertiser})
    return raw, labels, batch


def test_every_large_segment_and_the_whole_are_right_on_rows_that_come_later():
    raw, labels, batch = stream(300_000)
    later, truth, after = stream(300_000, seed=1)
    heads = tuple(TYPES)
    out = Calibration.fit(HOW, raw, labels, types=TYPES, features=batch).apply(later, heads, after)
    assert out[:, 0].sum() / truth["click"].sum() == pytest.approx(1, abs=0.02)
    large = [r for r in ratios(truth["click"], out[:, 0], after, BY) if r.observed >= 1_000]
    before = [r for r in ratios(truth["click"], later[:, 0], after, BY) if r.observed >= 1_000]
    assert len(large) >= 10
    assert max(abs(r.value - 1) for r in large) < 0.1 < max(abs(r.value - 1) for r in before)
    assert all(r.value == pytest.approx(1, abs=0.02) for r in ratios(truth["spend"], out[:, 1], after, ("surface",)))


def test_a_small_segment_keeps_the_level_above():
    raw, labels, batch = stream()
    tiny = np.zeros(len(raw), bool)
    tiny[:3] = True
    batch.categorical["advertiser"][tiny] = 77
    labels["click"][tiny] = 1
    made = Segments.fit(BY, raw, labels, features=batch, types=TYPES)
    whole = Segments.fit(("surface",), raw, labels, features=batch, types=TYPES)
    one, two = (s.apply(raw[:3], tuple(TYPES), batch.take(slice(0, 3)))[:, 0] for s in (made, whole))
    assert (one > two).all()  # three clicks of three are a reason to believe a little more
    assert (one < 2.5 * two).all()  # and no more than that


def test_where_segments_do_not_differ_nothing_is_corrected():
    raw, labels, batch = stream(spread=0.0)
    made = Segments.fit(BY, raw, labels, features=batch, types=TYPES)
    assert max(np.abs(s).max() for s in made.shifts["click"]) < 0.05


def test_a_segment_never_seen_and_missing_features_keep_the_global_curve():
    raw, labels, batch = stream(5_000)
    made = Calibration.fit(HOW, raw, labels, types=TYPES, features=batch)
    strange = replace(batch, categorical={k: np.full_like(v, 10**6) for k, v in batch.categorical.items()})
    heads, none = tuple(TYPES), replace(batch, categorical={})
    assert np.array_equal(made.apply(raw, heads, strange), made.apply(raw, heads))
    assert np.array_equal(made.apply(raw, heads, none), made.apply(raw, heads))


def test_order_within_a_segment_never_turns():
    raw, labels, batch = stream(5_000)
    made = Calibration.fit(HOW, raw, labels, types=TYPES, features=batch)
    rows = np.flatnonzero((batch.categorical["surface"] == 1) & (batch.categorical["advertiser"] == 2))
    rows = rows[np.argsort(raw[rows, 0])]
    out = made.apply(raw[rows], tuple(TYPES), batch.take(rows))
    assert (np.diff(out[:, 0]) >= -1e-7).all()


def test_it_is_the_same_after_saving(tmp_path):
    raw, labels, batch = stream(5_000)
    made, heads = Calibration.fit(HOW, raw, labels, types=TYPES, features=batch), tuple(TYPES)
    made.save(tmp_path)
    assert np.array_equal(Calibration.open(tmp_path).apply(raw, heads, batch), made.apply(raw, heads, batch))
    (tmp_path / FILE).write_bytes(b"nonsense")
    with pytest.raises(InputError, match=FILE):
        Calibration.open(tmp_path)


def test_unknown_labels_are_left_out():
    raw, labels, batch = stream(20_000)
    half = np.arange(len(raw)) % 2 == 0
    holes = {head: np.where(half, y, np.nan).astype(np.float32) for head, y in labels.items()}
    one = Segments.fit(BY, raw, holes, features=batch, types=TYPES)
    kept = {head: y[half] for head, y in labels.items()}
    two = Segments.fit(BY, raw[half], kept, features=batch.take(half), types=TYPES)
    seen = batch.take(half)
    assert np.allclose(one.apply(raw[half], tuple(TYPES), seen), two.apply(raw[half], tuple(TYPES), seen))


def test_the_shift_of_one_large_group_makes_its_sum_right():
    rng = np.random.default_rng(0)
    z, group = rng.normal(size=20_000), np.arange(20_000) % 2
    y = (rng.random(20_000) < 1 / (1 + np.exp(-z - np.where(group, 1.0, -1.0)))).astype(float)
    shift = pooled(z, y, group)
    assert shift == pytest.approx([-1, 1], abs=0.1)


@pytest.mark.parametrize(
    "how", [Segmented(()), Segmented(("surface", "surface")), Segmented(("tags",)), Segmented(BY, method="magic")]
)
def test_mistakes_are_refused(how):
    raw, labels, batch = stream(500)
    with pytest.raises(InputError) as error:
        Calibration.fit(how, raw, labels, types=TYPES, features=batch)
    assert error.value.code in ("bad-segments", "unknown-calibration")


def test_segments_without_features_are_refused():
    raw, labels, _ = stream(500)
    with pytest.raises(InputError, match="bad-segments"):
        Calibration.fit(HOW, raw, labels, types=TYPES)
