"""What every ranker must do. A model is tested by a subclass that says how it is declared and how good it must be."""

import copy
import functools
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from world import auc, world

from winnow.core.errors import InputError
from winnow.features.batch import Recent
from winnow.models.base import Ranker, Run, load_scorer
from winnow.models.blend import Blend
from winnow.models.boosting import GradientBoosting
from winnow.models.dcn import DCN
from winnow.models.formula import Formula
from winnow.models.multitask import MultiTask

TRAIN, VALID, TEST = world(2400, 1), world(600, 2), world(800, 3)


@functools.cache
def fitted(model: Ranker) -> Path:
    """The folder of a fitted model, fitted once."""
    folder = Path(tempfile.mkdtemp())
    model.fit(TRAIN, VALID, Run(folder, threads=1, types={"seconds": "regression"}))
    return folder


class RankerContract:
    """Subclass it and set `model` and the least `auc` on clicks."""

    model: Ranker
    auc: float
    heads: tuple[str, ...] = ("click", "like", "seconds")

    @pytest.fixture
    def folder(self):
        return fitted(self.model)

    @pytest.fixture
    def scorer(self, folder):
        return load_scorer(folder)

    def test_probabilities_and_amounts(self, scorer):
        scores = scorer.score(TEST.features)
        assert scorer.heads == self.heads
        assert (scores.shape, scores.dtype) == ((len(TEST), len(self.heads)), np.float32)
        assert np.isfinite(scores).all()
        assert (scores >= -1e-6).all()
        binary = [i for i, h in enumerate(self.heads) if h != "seconds"]
        assert (scores[:, binary] <= 1).all()

    def test_it_learns_what_can_be_known(self, scorer):
        assert auc(TEST.labels["click"], scorer.score(TEST.features)[:, 0]) >= self.auc

    def test_the_same_seed_gives_the_same_files(self, folder, tmp_path):
        self.model.fit(TRAIN, VALID, Run(tmp_path, threads=1, types={"seconds": "regression"}))
        first, second = (json.loads((f / "meta.json").read_text())["files"] for f in (folder, tmp_path))
        assert first == second

    def test_inputs_stay_unchanged(self, scorer):
        batch = copy.deepcopy(TEST.features)
        scorer.score(batch)
        assert np.array_equal(batch.numeric, TEST.features.numeric)
        assert all(np.array_equal(v, TEST.features.categorical[k]) for k, v in batch.categorical.items())
        assert all(np.array_equal(s.rows, TEST.features.sequences[k].rows) for k, s in batch.sequences.items())

    def test_a_score_does_not_depend_on_its_company(self, scorer):
        together = scorer.score(TEST.features)
        assert np.allclose(together[7], scorer.score(TEST.features.take(np.array([7])))[0], atol=1e-5)
        assert np.allclose(together[::3], scorer.score(TEST.features.take(slice(None, None, 3))), atol=1e-5)

    def test_a_history_shared_by_all_rows_counts_for_each(self, scorer):
        batch = TEST.features.take(np.arange(20))
        one = {k: Recent(*(a[:1] for a in (s.rows, s.age_s)), {c: v[:1] for c, v in s.columns.items()})
               for k, s in batch.sequences.items()}  # fmt: skip
        each = {k: Recent(*(np.repeat(a, 20, 0) for a in (s.rows, s.age_s)),
                          {c: np.repeat(v, 20, 0) for c, v in s.columns.items()}) for k, s in one.items()}  # fmt: skip
        shared, own = (scorer.score(replace(batch, sequences=s)) for s in (one, each))
        assert np.allclose(shared, own, atol=1e-5)

    def test_unknown_items_users_and_categories(self, scorer):
        batch = TEST.features
        strange = {k: np.full_like(v, 10**6) for k, v in batch.categorical.items()}
        nobody = {k: Recent(np.full_like(s.rows, 10**6), s.age_s, {}) for k, s in batch.sequences.items()}
        assert np.isfinite(scorer.score(replace(batch, categorical=strange, sequences=nobody))).all()

    def test_features_may_vanish(self, scorer):
        batch = replace(TEST.features, numeric=TEST.features.numeric[:, :0], numeric_names=())
        assert np.isfinite(scorer.score(replace(batch, categorical={}, sequences={}))).all()

    def test_an_empty_batch(self, scorer):
        assert scorer.score(TEST.features.take(slice(0, 0))).shape == (0, len(self.heads))

    def test_position_plays_no_part_when_serving(self, scorer):
        far = replace(TEST.features, training_only={"position": np.full(len(TEST), 99, np.float32)})
        assert np.array_equal(scorer.score(far), scorer.score(TEST.features))

    def test_a_damaged_or_missing_file_is_named(self, folder, tmp_path):
        for name in ["meta.json", *json.loads((folder / "meta.json").read_text())["files"]]:
            for torn in (b"", b"{nonsense", None):
                copied = tmp_path / f"{name}-{torn!r}".replace("/", "")
                shutil.copytree(folder, copied)
                (copied / name).unlink() if torn is None else (copied / name).write_bytes(torn)
                with pytest.raises(InputError, match=name) as error:
                    load_scorer(copied)
                assert error.value.code == "model-corrupt"

    def test_one_flipped_bit_is_noticed(self, folder, tmp_path):
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        name = next(iter(json.loads((folder / "meta.json").read_text())["files"]), None)
        if name is None:
            pytest.skip("it has no file but meta.json")
        data = bytearray((tmp_path / name).read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=name):
            load_scorer(tmp_path)

    def test_no_rows_to_learn_from(self, tmp_path):
        with pytest.raises(InputError) as error:
            self.model.fit(TRAIN.take(slice(0, 0)), VALID, Run(tmp_path))
        assert error.value.code == "no-examples"

    def test_an_unknown_head(self, tmp_path):
        with pytest.raises(InputError, match="comment") as error:
            replace(self.model, heads=("comment",)).fit(TRAIN, VALID, Run(tmp_path))
        assert error.value.code == "unknown-head"

    def test_serving_imports_no_torch(self, folder):
        code = f"""
import sys; from pathlib import Path; from winnow.models.base import load_scorer
load_scorer(Path({str(folder)!r})); sys.exit("torch" in sys.modules)"""
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestFormula(RankerContract):
    model = Formula("rate", heads=("click",))
    auc = 0.6
    heads = ("click",)


class TestGradientBoosting(RankerContract):
    model = GradientBoosting(epochs=200, learning_rate=0.1, least=10)
    auc = 0.76


class TestBlend(RankerContract):
    model = Blend((GradientBoosting(epochs=60, learning_rate=0.1, least=10), DCN(epochs=2, batch_size=128)))
    auc = 0.76


class TestDCN(RankerContract):
    model = DCN(epochs=6, batch_size=128, learning_rate=5e-3)
    auc = 0.76


class TestMultiTask(RankerContract):
    model = MultiTask(epochs=5, history_epochs=2, batch_size=128, learning_rate=5e-3, experts=2, hidden=16, least=5)
    auc = 0.76


class TestMultiTaskWithoutPretraining(RankerContract):
    model = MultiTask(epochs=4, history_epochs=0, batch_size=128, learning_rate=5e-3, experts=2, hidden=16, least=5)
    auc = 0.76
