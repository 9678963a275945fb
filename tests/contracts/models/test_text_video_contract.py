"""The retriever of videos by text does what every retriever does; its own data are vectors of texts and of frames."""

from dataclasses import replace

import numpy as np
import pytest
from test_models_retriever import RetrieverContract

from winnow.core.errors import InputError
from winnow.data.schema import Table, text, video
from winnow.encoders.minilm import MiniLM
from winnow.encoders.video import Frames
from winnow.encoders.words import HashedWords
from winnow.features.batch import FeatureBatch
from winnow.features.embedding import Embed
from winnow.models.base import Run, load_frame_encoder, load_item_encoder, load_query_encoder
from winnow.models.examples import Catalogue, Examples
from winnow.models.text_video import TextVideo

ITEMS, KINDS, FRAMES, WIDTH, TEXT = 60, 6, 4, 32, 24
query = Table("query", key="query_id", columns={"text": text, "answer": text})
clip = Table("clip", key="clip_id", columns={"title": text, "file": video})


class Looked(HashedWords):
    """Stands for an encoder of pictures: only its size counts here."""

    of = "image"


TEXTS = Embed(query.text, encoder=HashedWords(size=TEXT), size=TEXT)
PICTURES = Embed(clip.file, encoder=Frames(pictures=Looked(size=WIDTH), frames=FRAMES), size=FRAMES * WIDTH)
TITLES = Embed(clip.title, encoder=HashedWords(size=16), size=16)


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


MEANING = np.random.default_rng(9).normal(size=(ITEMS, 8)) + 3 * np.random.default_rng(8).normal(size=(KINDS, 8))[
    np.arange(ITEMS) % KINDS
]  # fmt: skip
TO_TEXT, TO_FRAME, TO_TITLE = (
    np.random.default_rng(s).normal(size=(8, n)) for s, n in ((1, TEXT), (2, WIDTH), (3, 16))
)


def captions(rows, seed):
    """Texts whose meaning is that of the video that they describe; every fourth row was a mistake."""
    rng = np.random.default_rng(seed)
    item = rng.integers(ITEMS, size=rows)
    vectors = unit((MEANING[item] + rng.normal(size=(rows, 8)) * 0.7) @ TO_TEXT)
    labels = {"click": (np.arange(rows) % 4 > 0).astype(np.float32)}
    batch = FeatureBatch(vectors, TEXTS.names)
    return Examples(batch, labels, np.ones(rows, np.float32), np.arange(rows), np.arange(rows), item)


def clips():
    """Videos in the second frame of which is what they are about; every third has fewer frames."""
    rng = np.random.default_rng(4)
    frames = rng.normal(size=(ITEMS, FRAMES, WIDTH)) * 2
    frames[:, 1] = MEANING @ TO_FRAME
    frames = unit(frames)
    frames[::3, 2:] = 0
    numeric = np.concatenate([frames.reshape(ITEMS, -1), unit(MEANING @ TO_TITLE)], axis=1).astype(np.float32)
    return Catalogue(np.arange(ITEMS), FeatureBatch(numeric, (*PICTURES.names, *TITLES.names)))


class _Cases(RetrieverContract):
    parts = (captions(1600, 1), captions(400, 2))
    test, catalogue = captions(400, 3), clips()


class TestTextVideoMean(_Cases):
    model = TextVideo(TEXTS, PICTURES, embedding_size=16, epochs=12, batch_size=64, learning_rate=5e-3)
    recall = 0.6


class TestTextVideoAttention(_Cases):
    model = TextVideo(TEXTS, PICTURES, embedding_size=16, pool="attention", components=20, epochs=12, batch_size=64,
                      learning_rate=5e-3, sizes=(8,), words=TEXTS, dropout=0.0)  # fmt: skip
    recall = 0.7

    def test_a_frame_alone_has_a_place_and_missing_ones_have_none(self, folder):
        encode = load_frame_encoder(folder)
        vectors = encode(self.catalogue.features)
        assert vectors.shape == (ITEMS, FRAMES, 16)
        gone = ~self.catalogue.features.numeric[:, : FRAMES * WIDTH].reshape(ITEMS, FRAMES, WIDTH).any(axis=2)
        assert np.array_equal(np.isnan(vectors).any(axis=2), gone)

    def test_the_moment_is_the_frame_that_shows_it(self, folder):
        wanted = np.flatnonzero(self.test.labels["click"])
        texts = load_query_encoder(folder)(self.test.features.take(wanted))
        frames = np.nan_to_num(load_frame_encoder(folder)(self.catalogue.features), nan=-1.0)[self.test.item[wanted]]
        best = np.einsum("nd,nfd->nf", texts, frames).argmax(axis=1)
        assert (best == 1).mean() > 0.8

    def test_a_video_of_one_frame_is_that_frame(self, folder):
        numeric = self.catalogue.features.numeric.copy()
        frames = numeric[:, : FRAMES * WIDTH].reshape(ITEMS, FRAMES, WIDTH)
        frames[:, 1:] = 0
        alone = FeatureBatch(numeric[:, : FRAMES * WIDTH], PICTURES.names)
        found = load_item_encoder(folder)(alone, np.arange(ITEMS))
        assert np.allclose(found, load_frame_encoder(folder)(alone)[:, 0], atol=1e-5)


class TestTextVideoWithTitles(_Cases):
    model = TextVideo(TEXTS, (PICTURES, TITLES), embedding_size=16, cut=8, sizes=(8,), epochs=8, batch_size=64,
                      learning_rate=5e-3)  # fmt: skip
    recall = 0.7


class TestTextVideoFromRegression(_Cases):
    model = TextVideo(TEXTS, PICTURES, embedding_size=TEXT, ridge=0.1, epochs=1, learning_rate=1e-4)
    recall = 0.7

    def test_texts_of_another_length_are_refused(self, tmp_path):
        with pytest.raises(InputError) as caught:
            replace(self.model, embedding_size=16).fit(*self.parts, self.catalogue, Run(tmp_path, threads=1))
        assert caught.value.code == "wrong-size"


class TestTextVideoWithoutFrames(_Cases):
    model = TextVideo(TEXTS, TITLES, embedding_size=16, epochs=8, batch_size=64, learning_rate=5e-3)
    recall = 0.7

    def test_there_are_no_moments(self, folder):
        assert load_frame_encoder(folder) is None


def test_texts_that_nobody_embedded_teach_nothing(tmp_path):
    model = TextVideo(Embed(query.answer, encoder=MiniLM(), size=384), PICTURES)
    with pytest.raises(InputError) as caught:
        model.fit(captions(100, 1), captions(10, 2), clips(), Run(tmp_path, threads=1))
    assert caught.value.code == "no-examples"
