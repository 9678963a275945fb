"""Models that judge content, on posts of made-up words: learnt, calibrated, opened without torch, explained."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.models.base import Run
from winnow.models.content import Content, Labelled, load_content_scorer
from winnow.models.content_fusion import EarlyFusion, FusionScorer
from winnow.models.content_ngrams import Columns, NGrams
from winnow.models.content_words import Rule, WordList

RNG = np.random.default_rng(0)
PLAIN = ["lorem", "ipsum", "dolor", "sit", "amet", "consul", "tempor", "magna", "aliqua", "veniam"]
FUSION = EarlyFusion(
    members=1, epochs=12, hidden=16, folds=2, batch_size=32, learning_rate=5e-3, reg=0.1, dropout=0.1, left_out=0.0
)


def posts(count, seed=0):
    """`zorp` is insult, `blick` is threat; sentences know the insult too, pictures alone know spam."""
    rng = np.random.default_rng(seed)
    insult, threat, spam = (rng.random(count) < 0.3 for _ in range(3))
    texts = []
    for i in range(count):
        words = list(rng.choice(PLAIN, 6))
        words[2:2] = ["zorp"] * int(insult[i]) + ["blick"] * int(threat[i])
        texts.append(" ".join(words))
    sentences = rng.normal(size=(count, 4)).astype(np.float32)
    sentences[:, 0] += 2 * insult
    pictures = rng.normal(size=(count, 3)).astype(np.float32)
    pictures[:, 1] += 4 * spam
    labels = {"insult": insult, "threat": threat, "spam": spam}
    known = {head: y.astype(np.float32) for head, y in labels.items()}
    return Labelled(Content(texts, sentences, pictures), known)


def some(rows, start, stop):
    return rows.take(np.arange(start, stop))


ALL = posts(900)
TRAIN, VALID, TEST = some(ALL, 0, 500), some(ALL, 500, 700), some(ALL, 700, 900)


def fit(model, folder, train=TRAIN, valid=VALID):
    folder.mkdir(exist_ok=True)
    model.fit(train, valid, Run(folder, threads=1))
    return load_content_scorer(folder)


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    return fit(FUSION, tmp_path_factory.mktemp("fused"))


def right(scorer, head, rows=TEST):
    p = scorer.score(rows.content)[:, scorer.heads.index(head)]
    return float(((p >= 0.5) == (rows.labels[head] == 1)).mean())


@pytest.mark.parametrize("model", [WordList(least=2), NGrams()], ids=["words", "n-grams"])
def test_texts_are_learnt(model, tmp_path):
    scorer = fit(model, tmp_path)
    assert scorer.heads == ("insult", "threat", "spam")
    assert right(scorer, "insult") > 0.97
    assert right(scorer, "threat") > 0.97
    assert right(scorer, "spam") < 0.85  # the text does not tell


def test_fusion_hears_every_modality(fused):
    assert min(right(fused, head) for head in fused.heads) > 0.95


def test_probabilities_of_a_group_add_up_to_one(tmp_path):
    labels = {"insult": TRAIN.labels["insult"], "other": 1 - TRAIN.labels["insult"]}
    rows = Labelled(TRAIN.content, labels)
    for name, model in {"n": NGrams(), "f": replace(FUSION, epochs=1)}.items():
        scorer = fit(replace(model, groups=(("insult", "other"),), calibration=None), tmp_path / name, rows, rows)
        assert scorer.score(TEST.content).sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "model", [NGrams(calibration=None), replace(FUSION, calibration=None)], ids=["n-grams", "fusion"]
)
def test_a_missing_label_teaches_nothing(model, tmp_path):
    unknown = np.arange(len(TRAIN.content)) % 2 == 0
    masked, wrong = (dict(TRAIN.labels) for _ in range(2))
    masked["threat"] = np.where(unknown, np.nan, TRAIN.labels["threat"]).astype(np.float32)
    wrong["threat"] = np.where(unknown, 0, TRAIN.labels["threat"]).astype(np.float32)
    told = fit(model, tmp_path / "a", Labelled(TRAIN.content, masked))
    lied = fit(model, tmp_path / "b", Labelled(TRAIN.content, wrong))
    hits = TEST.labels["threat"] == 1
    with_mask, without = (s.score(TEST.content)[hits, 1].mean() for s in (told, lied))
    assert with_mask > without + 0.1
    assert right(told, "threat") > 0.95


def test_a_head_without_any_label_and_a_head_of_one_kind(tmp_path):
    labels = {"never": np.full(len(TRAIN.content), np.nan, np.float32), "all": np.ones(len(TRAIN.content), np.float32)}
    for name, model in {"n": NGrams(), "f": replace(FUSION, epochs=1)}.items():
        scorer = fit(model, tmp_path / name, Labelled(TRAIN.content, labels), Labelled(TRAIN.content, labels))
        p = scorer.score(TEST.content)
        assert np.isfinite(p).all()
        assert p[:, 1].min() > 0.5


def test_shares_of_reviewers_are_learnt_as_such(tmp_path):
    rows = Labelled(Content(["zorp"] * 50 + ["lorem"] * 50), {"h": np.repeat(np.float32([0.7, 0.2]), 50)})
    scorer = fit(NGrams(calibration=None, reg=0.01, balance=0.0), tmp_path, rows, rows)
    assert scorer.score(Content(["zorp", "lorem"]))[:, 0] == pytest.approx([0.7, 0.2], abs=0.05)


def test_what_is_missing_when_asked_is_left_out(fused):
    texts_only = Content(TEST.content.texts)
    p = fused.score(texts_only)
    threat = fused.heads.index("threat")
    assert (((p[:, threat] >= 0.5) == (TEST.labels["threat"] == 1)).mean()) > 0.9
    assert fused.score(Content([])).shape == (0, 3)
    nan = Content(TEST.content.texts, TEST.content.sentences, np.full_like(TEST.content.pictures, np.nan))
    assert np.isfinite(fused.score(nan)).all()


def test_a_post_gets_the_same_whatever_stands_beside_it(fused):
    whole = fused.score(TEST.content)
    for row in (0, 7, 42):
        assert fused.score(TEST.content.take(np.array([row])))[0] == pytest.approx(whole[row], abs=1e-6)


DISGUISED = "lorem Z-0-r-p ipsum"


@pytest.mark.parametrize("model", [WordList(least=2), NGrams(), FUSION], ids=["words", "n-grams", "fusion"])
def test_the_words_that_led_there_are_shown_where_they_were_written(model, tmp_path):
    train = TRAIN if isinstance(model, EarlyFusion) else Labelled(Content(TRAIN.content.texts), TRAIN.labels)
    scorer = fit(model, tmp_path, train)
    sentences = np.float32([[2, 0, 0, 0], [0, 0, 0, 0]])
    content = Content(
        [DISGUISED, "lorem ipsum dolor"], sentences if isinstance(model, EarlyFusion) else np.zeros((0, 0))
    )
    first, second = scorer.spans(content)
    insult = [s for s in first if s.head == "insult"]
    assert DISGUISED[insult[0].start : insult[0].end] == "Z-0-r-p"
    assert insult[0].weight > 0
    assert not [s for s in second if s.head == "insult"]


def test_spans_are_for_heads_that_are_likely_by_calibrated_probability(fused):
    rows = TEST.content.take(np.arange(20))
    p = fused.score(rows)
    for row, spans in enumerate(fused.spans(rows, least=0.9)):
        assert {s.head for s in spans} <= {h for h, value in zip(fused.heads, p[row], strict=True) if value >= 0.9}


def test_calibration_comes_from_the_validation_part_alone(tmp_path):
    """Validation labels that say "half as often" halve the predictions: calibration fitted elsewhere would not."""
    thinned = VALID.labels["insult"] * (np.arange(len(VALID.content)) % 2)
    rare = Labelled(VALID.content, {**VALID.labels, "insult": thinned.astype(np.float32)})
    usual, halved = fit(NGrams(), tmp_path / "a"), fit(NGrams(), tmp_path / "b", TRAIN, rare)
    hits = TEST.content.take(TEST.labels["insult"] == 1)
    assert usual.score(hits)[:, 0].mean() > 0.9
    assert 0.35 < halved.score(hits)[:, 0].mean() < 0.65


def test_equal_seeds_give_equal_predictions(tmp_path):
    quick = replace(FUSION, epochs=2)
    first, second = (fit(quick, tmp_path / name).score(TEST.content) for name in "ab")
    assert np.array_equal(first, second)


def test_training_logits_come_from_models_that_have_not_seen_the_post(tmp_path):
    """Labels by chance over unique words: a model that saw a post would know it by heart."""
    rng = np.random.default_rng(1)
    texts = [f"w{i}a w{i}b" for i in range(200)]
    rows = Labelled(Content(texts), {"h": (rng.random(200) < 0.5).astype(np.float32)})
    model = EarlyFusion(ngrams=NGrams(least=1, reg=0.01), folds=4)
    logits, scorer = model._ngram_logits(rows, ("h",), Run(tmp_path))
    truth = rows.labels["h"] == 1
    assert ((scorer.logits(rows.content)[:, 0] > 0) == truth).mean() > 0.95
    assert ((logits[:, 0] > 0) == truth).mean() < 0.65


def test_a_list_can_be_given_with_rules_and_exceptions(tmp_path):
    model = WordList(
        heads=("insult",), words={"insult": {"zorp": 6.0}}, calibration=None,
        rules=(Rule(r"\bblick+y\b", "insult", 6.0), Rule("zorp of honour", "insult", -6.0)),
    )  # fmt: skip
    scorer = fit(model, tmp_path)
    p = scorer.score(Content(["a z0rp", "blicky", "the zorp of honour", "lorem", "zorp zorp"]))[:, 0]
    assert (p > 0.5).tolist() == [True, True, False, False, True]
    assert p[0] == p[4]  # once each


def test_mistakes_are_told(tmp_path):
    for model, code in ((NGrams(heads=("nope",)), "unknown-head"), (NGrams(groups=(("insult", "x"),)), "unknown-head")):
        with pytest.raises(InputError) as error:
            fit(model, tmp_path)
        assert error.value.code == code
    with pytest.raises(InputError) as error:
        fit(WordList(rules=(Rule("(", "insult"), Rule("x", "none"))), tmp_path)
    assert [p.code for p in error.value.problems] == ["unknown-head", "bad-pattern"]
    with pytest.raises(InputError, match="no-examples"):
        fit(NGrams(), tmp_path, some(TRAIN, 0, 0))
    with pytest.raises(InputError, match="lengths-differ"):
        Content(["a"], np.zeros((2, 4), np.float32))


def test_vectors_of_another_length_are_refused(fused):
    with pytest.raises(InputError, match="lengths-differ"):
        fused.score(Content(["a"], np.zeros((1, 5), np.float32)))


def test_a_damaged_or_other_model_is_not_opened(tmp_path):
    fit(NGrams(), tmp_path)
    meta = json.loads((tmp_path / "meta.json").read_text())
    (tmp_path / "meta.json").write_text(json.dumps(meta | {"model": "Formula"}))
    with pytest.raises(InputError, match="wrong-model"):
        load_content_scorer(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    with (tmp_path / "ngrams.npz").open("r+b") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="model-corrupt"):
        load_content_scorer(tmp_path)


def test_opening_and_judging_need_no_torch(tmp_path):
    fit(replace(FUSION, epochs=1), tmp_path)
    listed = json.loads((tmp_path / "meta.json").read_text())["files"]
    assert {p.name for p in tmp_path.iterdir()} == {*listed, "meta.json"}
    code = (
        "import sys; from pathlib import Path; from winnow.models.content import *;"
        f"s = load_content_scorer(Path({str(tmp_path)!r})); s.score(Content(['zorp']));"
        "s.spans(Content(['zorp']), least=0.1);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_encoder_reads_the_text_without_disguise_and_explains():
    seen = []

    def encode(texts):
        seen.extend(texts)
        return np.zeros((len(texts), 4), np.float32)

    content = Content.of(["Hello W-0-r-l-d @somebody"], encode)
    assert seen == ["hello world"]
    assert content.sentences.shape == (1, 4)
    assert content.take(np.array([0, 0])).sentences.shape == (2, 4)


def test_explanations_can_leave_words_out_of_sentence_vectors(tmp_path):
    def encode(texts):
        return np.array([[3.0 * ("zorp" in t), 0, 0, 0] for t in texts], np.float32)

    rows = Labelled(Content(["lorem ipsum"] * 500, TRAIN.content.sentences), TRAIN.labels)
    fit(FUSION, tmp_path, rows, rows)
    scorer = load_content_scorer(tmp_path, encode=encode)
    found = scorer.spans(Content.of(["lorem zorp ipsum"], encode), least=0.2)[0]
    assert {(s.start, s.end) for s in found if s.head == "insult"} == {(6, 10)}
    assert isinstance(scorer.scorer, FusionScorer)


def test_rows_of_n_grams_have_length_one_in_each_channel():
    columns = Columns.fit(TRAIN.content, NGrams())
    x = columns.matrix(TRAIN.content)
    squares = x.multiply(x).sum(axis=1)
    assert squares == pytest.approx(2.0)


def test_of_many_posts_asked_about_at_once_only_some_cost_more_encodings(tmp_path):
    encoded = []

    def encode(texts):
        encoded.append(len(texts))
        return np.array([[3.0 * ("zorp" in t), 0, 0, 0] for t in texts], np.float32)

    fit(FUSION, tmp_path)
    scorer = load_content_scorer(tmp_path, encode=encode)
    many = Content.of(["lorem zorp ipsum dolor sit"] * 100, encode)
    encoded.clear()
    found = scorer.spans(many)
    assert sum(encoded) <= 4 * 5
    assert all((6, 10) in {(s.start, s.end) for s in spans if s.head == "insult"} for spans in found)
