import numpy as np

from winnow.evaluation import slices


def test_new_users_new_items_and_deciles():
    users, items = np.array([0, 1, 2, 2]), np.array([5, 6, 7, 5])
    found = slices.standard(users, items, trained_users=np.array([0, 2, 2]), trained_items=np.array([5, 5, 6]))
    assert found["new user"].tolist() == [False, True, False, False]
    assert found["new item"].tolist() == [False, False, True, False]
    assert all(mask.any() for mask in found.values())
    assert sum(mask for name, mask in found.items() if name.startswith("popularity")).tolist() == [1, 1, 1, 1]


def test_deciles_are_ordered_and_keep_ties_together():
    counts = np.random.default_rng(0).integers(0, 40, 5_000)
    found = slices.deciles(counts)
    tops = [counts[mask].max() for mask in found.values() if mask.any()]
    assert tops == sorted(tops)
    for value in np.unique(counts):
        assert sum((counts[mask] == value).any() for mask in found.values()) == 1


def test_no_rows_no_slices():
    none = np.zeros(0, np.int64)
    assert slices.standard(none, none, trained_users=none, trained_items=none) == {}
