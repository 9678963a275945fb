"""Pictures in parts that do not leak, what people liked as pairs, and the figures of a search by picture."""

import numpy as np
import polars as pl
import pytest

import winnow as w
from winnow import labels
from winnow.data.labels import join
from winnow.evaluation.lists import Relevant, average_precision_at_k, ndcg_at_k, recall_at_k
from winnow.training.album import Album, _hundredths
from winnow.training.likeness import Question, measured
from winnow.training.roles import roled


def album(n=200, pairs=((0, 1),), groups=None):
    rows = np.arange(n) * 3 + 5
    pixels = np.zeros((n, 8, 8, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(n) % 256
    groups = np.arange(n) % 4 if groups is None else groups
    hundredths = _hundredths(pl.DataFrame({"row": rows}))
    return Album(rows, groups, hundredths, lambda side: pixels, np.array(pairs, np.int64).reshape(-1, 2))


def test_every_picture_is_in_one_part():
    whole = album()
    masks = np.array([whole.mask(part) for part in ("train", "valid", "test")])
    assert (masks.sum(axis=0) == 1).all()
    assert all(masks.mean(axis=1) > 0.08)


def test_near_duplicates_are_in_the_same_part():
    looks = np.repeat(np.arange(100), 5)
    table = pl.DataFrame({"row": np.arange(500), "look": looks})
    assert all(len(set(part)) == 1 for part in _hundredths(table).reshape(100, 5))
    assert len(set(_hundredths(table.drop("look")))) > 60


def test_pairs_of_a_part_lie_within_it():
    whole = album()
    inside = whole.rows[whole.mask("train")][:4]
    outside = whole.rows[whole.mask("test")][:1]
    a, b, c, d = inside.tolist()
    pairs = [[a, b], [c, outside[0]], [d, 10_000], [-1, a], [d, c]]
    part = whole.learned(np.array(pairs)).part("train", 8)
    assert np.array_equal(part.rows[part.pairs], [inside[[0, 1]], inside[[3, 2]]])
    assert np.array_equal(part.pixels[:, 0, 0, 0], np.flatnonzero(whole.mask("train")) % 256)


def test_figures_are_those_of_the_lists():
    rng = np.random.default_rng(1)
    groups = rng.integers(-1, 5, 300)
    vectors = rng.normal(size=(300, 6)).astype(np.float32)
    queries = np.flatnonzero((groups >= 0) & (np.arange(300) % 3 == 0))
    corpus = np.setdiff1d(np.arange(300), queries[:50])
    values = measured(Question("kind", queries, corpus, groups), vectors)
    lists, sets = [], []
    for query in queries:
        order = corpus[np.argsort(-(vectors[corpus] @ vectors[query]), kind="stable")]
        lists.append(np.append(order[order != query], np.full(int(query in corpus), -1)))
        sets.append(set(corpus[(groups[corpus] == groups[query]) & (corpus != query)].tolist()))
    lists, relevant, whole = np.array(lists), Relevant.of(sets), len(corpus)
    for name, expected in {
        "map": average_precision_at_k(lists, relevant, whole), "recall@100": recall_at_k(lists, relevant, 100),
        "ndcg@10": ndcg_at_k(lists, relevant, 10), "precision@10": relevant.hits(lists[:, :10]).mean(axis=1),
    }.items():  # fmt: skip
        assert np.allclose(values[name], expected), name


def test_feedback_is_paired_role_by_role_where_one_table_plays_both():
    image = w.Table("image", key="id", columns={"kind": w.category})
    both = {"query": image, "image": image}
    seen, click = w.Events("impression", refs=both), w.Events("click", refs=both)
    declared = w.Labels(of=seen, within=w.hours(1), heads={"click": labels.any(click)})
    shown = pl.DataFrame({
        "at": [10, 10], "known_at": [10, 10], "seq": [1, 2], "recommendation_id": [None, None], "query": [0, 0],
        "image": [1, 2],
    }, schema_overrides={"recommendation_id": pl.String})  # fmt: skip
    clicks = pl.DataFrame({
        "at": [20], "known_at": [20], "seq": [3], "recommendation_id": [None], "query": [0], "image": [2],
    }, schema_overrides={"recommendation_id": pl.String})  # fmt: skip
    joined = join(roled(declared), shown, {"click": clicks}, as_of=10**12)
    assert joined["click"].to_list() == [0, 1]


def test_labels_of_people_and_items_stay_as_they_are():
    user, item = w.Table("user", key="id"), w.Table("item", key="id")
    seen = w.Events("impression", refs={"user": user, "item": item})
    declared = w.Labels(of=seen, within=w.hours(1), heads={"seen": labels.any(seen)})
    assert roled(declared) is declared


@pytest.mark.parametrize("side", [8])
def test_an_empty_part_is_no_mistake(side):
    few = album(3)
    assert sum(len(few.part(part, side)) for part in ("train", "valid", "test")) == 3
