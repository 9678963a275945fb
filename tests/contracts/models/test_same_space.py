"""Retrieval by one encoder on both sides keeps the contract of every retriever, as far as nothing is learned."""

import numpy as np

import winnow as w
from winnow.features.batch import FeatureBatch
from winnow.models.base import Run, load_item_encoder, load_query_encoder
from winnow.models.examples import Catalogue, Examples

QUERY = w.Table("query", key="query_id", columns={"text": w.text})
VIDEO = w.Table("video", key="video_id", columns={"title": w.text, "notes": w.text})
WORDS = w.HashedWords(size=64)
ASKED, TITLE, NOTES = (w.embed(of, encoder=WORDS, size=64) for of in (QUERY.text, VIDEO.title, VIDEO.notes))
TITLES = ["the ocean at night", "baking bread", "chess puzzles", ""]


def side(embeds, texts):
    vectors = WORDS.open(None)
    parts = [vectors(column).astype(np.float32) for column in texts]
    return FeatureBatch(np.concatenate(parts, axis=1), tuple(name for embed in embeds for name in embed.names))


def test_it_finds_what_says_the_same_and_nothing_for_no_text(tmp_path):
    items = side((TITLE, NOTES), [TITLES, ["waves", "flour", "", ""]])
    asked = side((ASKED,), [["bread and flour", "ocean", ""]])
    none = np.zeros(0, np.int64)
    empty = Examples(
        asked.take(slice(0, 0)), {"click": none.astype(np.float32)}, none.astype(np.float32), none, none, none
    )
    w.SameSpace(ASKED, items=(TITLE, NOTES)).fit(empty, empty, Catalogue(np.arange(4), items), Run(tmp_path))
    stored = np.load(tmp_path / "item_vectors.npy")
    np.testing.assert_allclose(load_item_encoder(tmp_path)(items, np.arange(4)), stored)
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), [1, 1, 1, 0], atol=1e-6)
    queries = load_query_encoder(tmp_path)(asked)
    assert (queries[:2] @ stored.T).argmax(axis=1).tolist() == [1, 0]
    assert np.isnan(queries[2]).all()
