"""The figures of the page on harmful content: how they are worked out, and that they can be reached."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import harm, harm_attacks, harm_data

from winnow.media.normalise import normalise

ROOT = Path(__file__).resolve().parents[2]


def test_f1_is_that_of_the_classes():
    truth, chosen, w = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0]), np.ones(5)
    each = [2 * 1 / (2 + 2), 2 * 2 / (2 + 3), 0.0]
    assert harm.f1_of(truth, chosen, range(3))(w) == pytest.approx(np.mean(each))
    assert harm.f1_of(truth, chosen, range(3), share=True)(w) == pytest.approx(np.dot(each, [2, 2, 1]) / 5)
    assert harm.f1_of(truth, chosen, [1])(np.array([1, 1, 1, 1, 0])) == pytest.approx(each[1])


def test_macro_f1_of_answers_is_the_mean_over_heads():
    truth = np.array([[1, 0], [1, 1], [0, 1]], np.bool_)
    chosen = np.array([[1, 0], [0, 1], [0, 0]], np.bool_)
    assert harm._macro_of(truth, chosen)(np.ones(3)) == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_the_best_threshold_is_the_best():
    rng = np.random.default_rng(0)
    p = rng.random(200).astype(np.float32)
    y = (rng.random(200) < p).astype(np.float32)

    def f1(threshold: float) -> float:
        return harm.f1_of((y > 0).astype(int), (p >= threshold).astype(int), [1])(np.ones(200))

    best = harm.best_threshold(p, y)
    assert all(f1(best) >= f1(t) - 1e-9 for t in p)


def test_chance_alone_gives_less_error_of_calibration_on_more_rows():
    few, many = (harm.ece_by_chance(np.random.default_rng(1).random(n)) for n in (150, 15_000))
    assert few > 0.05
    assert many < 0.02


def test_folds_hold_every_class_alike_and_every_row_once():
    classes = np.repeat([0, 1], [50, 205])
    fold = harm.folds(classes, 5)
    assert {tuple(np.bincount(classes[fold == k])) for k in range(5)} == {(10, 41)}


def test_biases_help_the_class_that_is_chosen_too_seldom():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 600)
    p = np.eye(3)[truth] + rng.random((600, 3))
    p[:, 0] *= 0.5
    factors = harm.biases(p, truth, range(3))
    assert factors[0] > 1
    assert np.mean((p * factors).argmax(1) == truth) > np.mean(p.argmax(1) == truth)


@pytest.mark.parametrize("attack", harm_attacks.ATTACKS, ids=lambda a: a.__name__)
def test_an_attack_disguises_the_words_it_is_given_and_no_other(attack):
    rng = np.random.default_rng(0)
    text = "please visit the beautiful gardens"
    disguised = [harm_attacks.attacked(text, [(17, 26)], attack, rng) for _ in range(20)]
    assert all(d.startswith("please visit the ") and d.endswith(" gardens") and d != text for d in disguised)
    read = [normalise(d).text for d in disguised]
    exact = {harm_attacks.leet: 0.5, harm_attacks.repetition: 0.5, harm_attacks.zalgo: 0.8}.get(attack, 1.0)
    assert np.mean([r == text for r in read]) >= exact


def test_without_a_name_or_with_a_wrong_one_the_names_are_told():
    for arguments in ([], ["--data", "nope"]):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "harm", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "davidson|mlma|harmeme|spans|attacks|latency|throughput|moderate" in done.stderr


def figures(name, folder):
    if not (harm_data.DATA / folder).exists():
        pytest.skip(f"the data set `{folder}` is not at hand: set WINNOW_DATA to the folder that holds it")
    command = [sys.executable, "-m", "benchmarks", "harm", "--data", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.heavy
@pytest.mark.data
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("name", "folder", "least"),
    [
        ("davidson", "davidson_hate", 0.895),
        ("mlma", "mlma_hate", 0.3),
        ("harmeme", "harmeme", 0.6),
        ("spans", "toxic_spans", 0.64),
    ],
)
def test_quality_stays(name, folder, least):
    assert figures(name, folder)["ours"] >= least


@pytest.mark.heavy
@pytest.mark.data
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(("name", "most"), [("attacks", 2.0), ("latency", 30.0)])
def test_attacks_and_time_stay(name, most):
    assert figures(name, "davidson_hate")["ours"] <= most
