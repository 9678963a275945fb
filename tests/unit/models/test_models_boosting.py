import json

import numpy as np
from world import world

from winnow.features.batch import FeatureBatch
from winnow.models.boosting import Columns


def test_columns_keep_their_order_through_meta_json():
    batch = world(300).features
    made = Columns.fit(batch, 1, 100)
    read = Columns.of(json.loads(json.dumps(made.to_data(), sort_keys=True)))
    assert list(made.categorical) != sorted(made.categorical)
    assert np.array_equal(read.matrix(batch), made.matrix(batch), equal_nan=True)


def test_rare_and_unknown_categories_are_missing():
    rows = np.array([7, 7, 7, 3, 3, 1, -1])
    batch = FeatureBatch(np.zeros((7, 0), np.float32), (), {"kind": rows})
    columns = Columns.fit(batch, 2, 5)
    other = FeatureBatch(np.zeros((4, 0), np.float32), (), {"kind": np.array([3, 7, 1, 900])})
    assert np.array_equal(columns.matrix(other)[:, 0], [1, 0, np.nan, np.nan], equal_nan=True)


def test_ids_are_left_to_their_rates():
    batch = world(300).features
    assert "video" not in Columns.fit(batch, 1, 20).categorical
    assert "video_kind" in Columns.fit(batch, 1, 20).categorical
