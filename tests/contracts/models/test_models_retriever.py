"""What every retriever must do. A model is tested by a subclass that says how it is declared and how good it is."""

import functools
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from world import ITEMS, catalogue, world

from winnow.core.errors import InputError
from winnow.features.batch import Recent
from winnow.models.base import Retriever, Run, load_item_encoder, load_query_encoder, load_scorer
from winnow.models.popularity import Popularity
from winnow.models.sequence_tower import SequenceTower
from winnow.models.two_tower import TwoTower

TRAIN, VALID, TEST = (world(n, seed, retrieval=True) for n, seed in ((2400, 1), (600, 2), (600, 3)))
CATALOGUE = catalogue()


@functools.cache
def fitted(case: "type[RetrieverContract]") -> Path:
    """The folder of a fitted model, fitted once."""
    folder = Path(tempfile.mkdtemp())
    case.model.fit(*case.parts, case.catalogue, Run(folder, threads=1, types={"seconds": "regression"}))
    return folder


class RetrieverContract:
    """Subclass it and set `model` and the least `recall` at 10 of 60 items; and the data, for a model that reads none
    of the usual ones."""

    model: Retriever
    recall: float
    parts = (TRAIN, VALID)
    test, catalogue = TEST, CATALOGUE

    @pytest.fixture
    def folder(self):
        return fitted(type(self))

    def test_vectors_of_users_and_items_meet(self, folder):
        users, items = load_query_encoder(folder)(self.test.features), np.load(folder / "item_vectors.npy")
        assert (users.dtype, items.dtype) == (np.float32, np.float32)
        assert users.shape == (len(self.test), items.shape[1])
        assert len(items) == ITEMS
        assert np.array_equal(np.load(folder / "item_rows.npy"), self.catalogue.rows)
        assert np.isfinite(users).all()
        assert np.isfinite(items).all()

    def test_the_item_encoder_makes_the_stored_vectors(self, folder):
        encode, stored = load_item_encoder(folder), np.load(folder / "item_vectors.npy")
        assert np.allclose(encode(self.catalogue.features, self.catalogue.rows), stored, atol=1e-5)
        some = np.array([5, 3])
        assert np.allclose(encode(self.catalogue.features.take(some), some), stored[some], atol=1e-5)

    def test_wanted_items_are_near(self, folder):
        wanted = self.test.labels["click"] == 1
        scores = load_query_encoder(folder)(self.test.features.take(wanted)) @ np.load(folder / "item_vectors.npy").T
        found = np.argsort(-scores, axis=1)[:, :10] == self.test.item[wanted][:, None]
        assert found.any(axis=1).mean() >= self.recall

    def test_the_same_seed_gives_the_same_files(self, folder, tmp_path):
        self.model.fit(*self.parts, self.catalogue, Run(tmp_path, threads=1, types={"seconds": "regression"}))
        first, second = (json.loads((f / "meta.json").read_text())["files"] for f in (folder, tmp_path))
        assert first == second

    def test_a_new_item_gets_a_vector(self, folder):
        new = np.array([10**6])
        vector = load_item_encoder(folder)(self.catalogue.features.take(slice(0, 1)), new)
        assert np.isfinite(vector).all()

    def test_unknown_users_and_empty_histories(self, folder):
        encode, batch = load_query_encoder(folder), self.test.features
        strange = {k: np.full_like(v, 10**6) for k, v in batch.categorical.items()}
        nothing = {k: Recent(np.full_like(s.rows, -1), s.age_s * 0) for k, s in batch.sequences.items()}
        assert np.isfinite(encode(replace(batch, categorical=strange, sequences=nothing))).all()
        assert np.isfinite(encode(replace(batch, categorical={}, sequences={}))).all()

    def test_a_vector_does_not_depend_on_its_company(self, folder):
        encode = load_query_encoder(folder)
        assert np.allclose(encode(self.test.features)[3], encode(self.test.features.take(np.array([3])))[0], atol=1e-5)

    def test_empty_batches(self, folder):
        none = slice(0, 0)
        size = np.load(folder / "item_vectors.npy").shape[1]
        assert load_query_encoder(folder)(self.test.features.take(none)).shape == (0, size)
        items = load_item_encoder(folder)(self.catalogue.features.take(none), np.empty(0, np.int64))
        assert items.shape == (0, size)

    def test_a_damaged_file_is_named(self, folder, tmp_path):
        for path in folder.iterdir():
            if path.is_file():
                (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / "item_vectors.npy").write_bytes(b"nonsense")
        for load in (load_query_encoder, load_item_encoder):
            with pytest.raises(InputError, match=r"item_vectors\.npy") as error:
                load(tmp_path)
            assert error.value.code == "model-corrupt"

    def test_it_is_no_ranker(self, folder):
        with pytest.raises(InputError) as error:
            load_scorer(folder)
        assert error.value.code == "wrong-model"

    def test_no_rows_to_learn_from(self, tmp_path):
        with pytest.raises(InputError) as error:
            self.model.fit(self.parts[0].take(slice(0, 0)), self.parts[1], self.catalogue, Run(tmp_path))
        assert error.value.code == "no-examples"

    def test_serving_imports_no_torch(self, folder):
        code = f"""
import sys; from pathlib import Path; from winnow.models.base import load_item_encoder, load_query_encoder
load_query_encoder(Path({str(folder)!r})); load_item_encoder(Path({str(folder)!r})); sys.exit("torch" in sys.modules)"""
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestPopularity(RetrieverContract):
    model = Popularity(half_life=timedelta(days=2))
    recall = 0.12


class TestPopularityOfKinds(RetrieverContract):
    model = Popularity(half_life=timedelta(days=2), by="video_kind")
    recall = 0.02


class TestTwoTowerWithoutIds(RetrieverContract):
    model = TwoTower(embedding_size=16, epochs=8, batch_size=128, negatives=32, learning_rate=1e-2, ids=False)
    recall = 0.1


class TestTwoTower(RetrieverContract):
    model = TwoTower(embedding_size=16, epochs=8, batch_size=128, negatives=32, learning_rate=1e-2)
    recall = 0.6


class TestSequenceTower(RetrieverContract):
    model = SequenceTower(
        embedding_size=16, epochs=8, history_epochs=3, batch_size=128, negatives=32, learning_rate=1e-2, layers=1,
        attention_heads=2,
    )  # fmt: skip
    recall = 0.6
