"""Picture encoders that are trained here: they learn what they are told, serve without torch, and repeat to the bit."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from winnow.core.errors import InputError
from winnow.models.base import Run
from winnow.models.networks import picture_losses as losses
from winnow.models.networks.picture_augment import Augment
from winnow.models.networks.picture_links import Linked
from winnow.models.networks.picture_network import PictureNet, centred, whiten
from winnow.models.networks.picture_training import Metric, Proxied
from winnow.models.picture_contrastive import ContrastivePictures
from winnow.models.picture_looks import Looks
from winnow.models.picture_metric import MetricPictures
from winnow.models.picture_retrieval import Pictures, load_picture_encoder

SIDE, GROUPS = 32, 4
SMALL = {"side": SIDE, "widths": (16, 24), "batch_size": 32, "crop": 0.8, "colour": 0.1}
METRIC = MetricPictures(**SMALL, sizes=(8, 16), epochs=10, turn=5.0, mirrored=False, learning_rate=1e-2)
CONTRASTIVE = ContrastivePictures(**SMALL, epochs=2, mirrored=False)


def drawn(count, *, seed=0, known=True, pairs=0):
    """Wide and narrow stripes, upright and lying, in random colours: neither colour nor place tells the group."""
    rng = np.random.default_rng(seed)
    groups = np.arange(count) % GROUPS
    down, right = np.mgrid[:SIDE, :SIDE]
    phase = np.where((groups % 2)[:, None, None], right, down) * np.where(groups // 2, 0.5, 1.1)[:, None, None]
    wave = np.sin(phase + rng.uniform(0, 6.3, count)[:, None, None])[..., None]
    colour = rng.uniform(40, 215, (count, 1, 1, 3)) + wave * rng.uniform(20, 40, (count, 1, 1, 1))
    pixels = np.clip(colour + rng.normal(0, 8, (count, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    links = np.stack([np.arange(pairs), np.arange(pairs) + GROUPS], 1) if pairs else np.zeros((0, 2), np.int64)
    return Pictures(np.arange(count), pixels, groups if known else np.full(count, -1), links)


TRAIN, VALID, TEST = drawn(192), drawn(32, seed=1), drawn(64, seed=2)


def fitted(declared, folder, train=TRAIN, valid=VALID, **settings):
    folder.mkdir(parents=True, exist_ok=True)
    declared.fit(train, valid, Run(folder, threads=1, **settings))
    return load_picture_encoder(folder)


def precision(encoder, pictures=TEST):
    """Share of the nearest three that are of the same group."""
    vectors = encoder.encode(pictures.pixels)
    near = (vectors @ vectors.T - 2 * np.eye(len(vectors))).argsort(1)[:, -3:]
    return float((pictures.groups[near] == pictures.groups[:, None]).mean())


@pytest.fixture(scope="module")
def metric(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metric")
    return folder, fitted(METRIC, folder)


def test_groups_are_learned(metric, tmp_path):
    looks = precision(fitted(Looks(side=SIDE), tmp_path))
    assert precision(metric[1]) > 0.8 > looks + 0.2


def test_vectors_have_length_one_and_do_not_depend_on_neighbours(metric):
    encoder = metric[1]
    vectors = encoder.encode(TEST.pixels)
    assert (vectors.shape, vectors.dtype, encoder.side) == ((64, encoder.size), np.float32, SIDE)
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors[5:6], encoder.encode(TEST.pixels[5:6]))
    assert encoder.encode(TEST.pixels[:0]).shape == (0, encoder.size)


def test_a_cut_vector_still_finds(metric):
    folder, whole = metric
    cut = load_picture_encoder(folder, size=8)
    head = whole.encode(TEST.pixels)[:, :8]
    np.testing.assert_allclose(cut.encode(TEST.pixels), head / np.linalg.norm(head, axis=1, keepdims=True), atol=1e-6)
    assert precision(cut) > 0.7
    assert len({cut.version, whole.version, load_picture_encoder(folder, size=16).version}) == 3 - (whole.size == 16)
    with pytest.raises(InputError, match="wrong-size"):
        load_picture_encoder(folder, size=17)


@pytest.mark.parametrize("declared", [METRIC, CONTRASTIVE], ids=lambda d: type(d).__name__)
def test_the_same_seed_gives_the_same_bytes(declared, tmp_path):
    declared, some = replace(declared, epochs=1), drawn(64)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fitted(declared, tmp_path / name, train=some, seed=seed)
    a, b, c = ((tmp_path / name / "pictures.onnx").read_bytes() for name in "abc")
    assert a == b != c
    versions = [load_picture_encoder(tmp_path / name).version for name in "abc"]
    assert versions[0] == versions[1] != versions[2]
    assert len(versions[0]) == 12


def test_a_killed_fit_goes_on_to_the_same_bytes(tmp_path):
    class Killed(Exception):
        pass

    def killed(what, share):
        if share >= 0.5:
            raise Killed

    declared, some = replace(METRIC, epochs=2), drawn(64)
    fitted(declared, tmp_path / "whole", train=some)
    with pytest.raises(Killed):
        fitted(declared, tmp_path / "cut", train=some, progress=killed)
    fitted(declared, tmp_path / "cut", train=some)
    assert (tmp_path / "cut" / "pictures.onnx").read_bytes() == (tmp_path / "whole" / "pictures.onnx").read_bytes()


def test_views_are_learned_without_groups(tmp_path):
    unknown = replace(TRAIN, groups=np.full(len(TRAIN), -1))
    encoder = fitted(CONTRASTIVE, tmp_path / "a", train=unknown, valid=replace(VALID, groups=np.full(len(VALID), -1)))
    pixels = TEST.pixels[:16]
    brighter = np.clip(pixels.astype(np.int64) + 12, 0, 255).astype(np.uint8)
    near = encoder.encode(pixels) @ encoder.encode(brighter).T
    assert (near.argmax(1) == np.arange(16)).all()


def test_clicks_alone_teach(tmp_path):
    clicked = drawn(192, known=False, pairs=188)  # each picture was clicked with the next one of its group
    declared = replace(METRIC, contrast=1.0)
    assert precision(fitted(declared, tmp_path / "clicks", train=clicked, valid=clicked)) > 0.7


def test_codes_are_bits(tmp_path):
    declared = replace(METRIC, bits=16, sizes=(8,))
    encoder = fitted(declared, tmp_path / "bits")
    vectors = encoder.encode(TEST.pixels)
    np.testing.assert_allclose(np.abs(vectors), 0.25, atol=1e-7)
    codes = encoder.codes(TEST.pixels)
    assert (codes.shape, codes.dtype) == ((64, 2), np.uint8)
    far = np.unpackbits(codes[:1] ^ codes, axis=1).sum(1)
    np.testing.assert_allclose(vectors @ vectors[0], 1 - far / 8, atol=1e-6)
    assert precision(encoder) > 0.7
    assert load_picture_encoder(tmp_path / "bits", size=8).codes(TEST.pixels).shape == (64, 1)


def test_many_pictures_are_seen_less_often(tmp_path):
    told = []
    declared, some = replace(METRIC, seen=150), drawn(64)
    fitted(declared, tmp_path, train=some, progress=lambda what, share: told.append(share))
    assert told == [0.5, 1.0]


def test_a_warm_start_starts_where_the_other_ended(tmp_path):
    still = replace(METRIC, epochs=1, learning_rate=0.0, warm=replace(CONTRASTIVE, epochs=1))
    warm = fitted(still, tmp_path / "warm", train=drawn(64))
    assert (tmp_path / "warm" / "contrastive" / "pictures.onnx").exists()
    cold = fitted(replace(still, warm=None), tmp_path / "cold", train=drawn(64))
    assert np.abs(warm.encode(TEST.pixels) - cold.encode(TEST.pixels)).max() > 1e-3


def test_serving_imports_no_torch(metric):
    code = f"""
import sys, numpy as np
from pathlib import Path
from winnow.models.picture_retrieval import load_picture_encoder
encoder = load_picture_encoder(Path({str(metric[0])!r}))
print(encoder.encode(np.zeros((1, {SIDE}, {SIDE}, 3), np.uint8)).shape, "torch" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout == f"(1, {metric[1].size}) False\n", found.stderr


def test_damage_and_other_models_are_named(metric, tmp_path):
    folder = tmp_path / "copy"
    fitted(Looks(side=SIDE), folder)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({k: v for k, v in meta.items() if k != "encoder"}))
    with pytest.raises(InputError, match="wrong-model"):
        load_picture_encoder(folder)
    (metric[0] / "copy.onnx").write_bytes((metric[0] / "pictures.onnx").read_bytes())
    try:
        (metric[0] / "pictures.onnx").write_bytes(b"damaged")
        with pytest.raises(InputError, match=r"model-corrupt"):
            load_picture_encoder(metric[0])
    finally:
        (metric[0] / "copy.onnx").rename(metric[0] / "pictures.onnx")


@pytest.mark.parametrize(
    ("train", "code"),
    [(drawn(0), "no-examples"), (Pictures(np.arange(2), np.zeros((2, 64, 64, 3), np.uint8), np.zeros(2, np.int64),
                                          np.zeros((0, 2), np.int64)), "wrong-pictures")],
)  # fmt: skip
@pytest.mark.parametrize("declared", [METRIC, CONTRASTIVE, Looks(side=SIDE)], ids=lambda d: type(d).__name__)
def test_nothing_and_the_wrong_size_are_refused(declared, train, code, tmp_path):
    with pytest.raises(InputError, match=code):
        fitted(declared, tmp_path, train=train)


@pytest.mark.parametrize(
    "change",
    [{"pixels": TEST.pixels.astype(np.float32)}, {"pixels": TEST.pixels[:, :16]}, {"groups": TEST.groups[:3]},
     {"pairs": np.array([[0, 64]])}, {"pairs": np.array([[-1, 0]])}, {"pairs": np.array([0, 1])}],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(change):
    with pytest.raises(InputError, match="wrong-pictures"):
        replace(TEST, **change)


@pytest.mark.parametrize("declared", [METRIC, CONTRASTIVE], ids=lambda d: type(d).__name__)
def test_pictures_that_are_too_small_for_the_network_are_refused(declared, tmp_path):
    tiny = Pictures(np.arange(2), np.zeros((2, 16, 16, 3), np.uint8), np.zeros(2, np.int64), np.zeros((0, 2), np.int64))
    with pytest.raises(InputError, match="wrong-pictures"):
        fitted(replace(declared, side=16), tmp_path, train=tiny, valid=tiny)


def test_the_encoder_refuses_other_pixels(metric):
    for pixels in (TEST.pixels[:, :16], TEST.pixels.astype(np.float32), TEST.pixels[0]):
        with pytest.raises(InputError, match="wrong-pictures"):
            metric[1].encode(pixels)


# The parts


def test_contrast_is_what_the_formula_says():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 5))
    same = np.zeros((6, 6), bool)
    same[0, 1] = same[1, 0] = same[2, 3] = same[3, 2] = True
    other = ~same & ~np.eye(6, dtype=bool)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    for hardness in (0.0, 0.7):
        s, total = unit @ unit.T / 0.3, []
        for i, p in zip(*np.nonzero(same), strict=True):
            weight = np.exp(hardness * s[i][other[i]])
            weight /= weight.mean()
            total.append(-np.log(np.exp(s[i, p]) / (np.exp(s[i, p]) + (weight * np.exp(s[i][other[i]])).sum())))
        tensors = (torch.from_numpy(a) for a in (x, same, other))
        found = losses.contrast(*tensors, temperature=0.3, hardness=hardness)
        assert float(found) == pytest.approx(np.mean(total), rel=1e-5)


def test_proxies_count_every_prefix_and_no_unknown_group():
    torch.manual_seed(0)
    x, centres, groups = torch.randn(5, 6), torch.randn(3, 6), torch.tensor([0, 2, -1, 1, 1])
    expected = 0.0
    for size in (2, 6):
        near, far = (nn.functional.normalize(v[:, :size], dim=1) for v in (x[groups >= 0], centres))
        log = (near @ far.T / 0.2).log_softmax(1)
        rows = torch.arange(4)
        expected += -(0.9 * log[rows, groups[groups >= 0]] + 0.1 * log.mean(1)).mean() / 2
    found = losses.proxies(x, centres, groups, sizes=(2, 6), temperature=0.2, smoothing=0.1)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    none = losses.proxies(x, centres, torch.full((5,), -1), sizes=(6,), temperature=0.2, smoothing=0.1)
    assert float(none) == 0.0


def test_the_judge_is_mean_average_precision():
    vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.8, 0.3], [-1.0, 0.0]])
    groups = torch.tensor([0, 0, 1, 1, -1])
    # of 0: 1 (hit); of 1: order 0, 3: hit first; of 2: order 3 (hit) first; of 3: order 1, 0, 2: hit third
    same = (groups[:, None] == groups) & (groups >= 0)[:, None]
    assert losses.judged(vectors, same) == pytest.approx((1 + 1 + 1 + 1 / 3) / 4)
    assert np.isnan(losses.judged(vectors, torch.zeros(5, 5, dtype=torch.bool)))


def test_who_belongs_together_in_a_batch():
    groups = np.array([0, 0, 1, -1, -1, -1])
    pictures = replace(drawn(6), groups=groups, pairs=np.array([[2, 4]]))
    places = torch.tensor([0, 1, 2, 3, 4, 4])  # the last one is a second view
    same, other = Metric(METRIC, Proxied(PictureNet(side=32, widths=(8,), size=16, mirrored=False), 2, 16), pictures
                         ).relations(places)  # fmt: skip
    pairs = {(0, 1), (2, 4), (2, 5), (4, 5)}
    assert {tuple(p) for p in same.nonzero().tolist()} == pairs | {(b, a) for a, b in pairs}
    assert (same | other | torch.eye(6, dtype=torch.bool)).all()
    assert not (same & other).any()


def test_partners_are_those_clicked_with():
    pictures = replace(drawn(6, known=False), pairs=np.array([[0, 3], [3, 5], [1, 0]]))
    linked = Linked(pictures)
    torch.manual_seed(0)
    found = {tuple(linked.partners(torch.arange(6)).tolist()) for _ in range(60)}
    partners = [{f[i] for f in found} for i in range(6)]
    assert partners == [{1, 3}, {0}, {2}, {0, 5}, {4}, {3}]
    between = linked.between(torch.tensor([3, 0, 2, 5]))
    assert between.int().tolist() == [[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    alone = Linked(drawn(3))
    assert alone.partners(torch.arange(3)).tolist() == [0, 1, 2]
    assert not alone.between(torch.arange(3)).any()


def test_whitened_patches_have_no_common_direction():
    net = PictureNet(side=SIDE, widths=(8,), size=4, mirrored=False)
    whiten(net, torch.from_numpy(TRAIN.pixels))
    x = centred(torch.from_numpy(TRAIN.pixels).permute(0, 3, 1, 2))
    out = net.first(x)[:, :12, 1:-1:2, 1:-1:2].permute(1, 0, 2, 3).flatten(1)
    covariance = torch.cov(out)
    np.testing.assert_allclose(net.first.weight[16:], -net.first.weight[:16])
    assert (covariance - torch.diag(covariance.diag())).abs().max() < 0.2 * covariance.diag().max()


def test_changed_pictures_stay_pictures():
    x = centred(torch.from_numpy(TEST.pixels).permute(0, 3, 1, 2))
    torch.manual_seed(0)
    everything = Augment(crop=0.4, shift=0.1, turn=15, colour=0.4, grey=0.3, erase=0.3)(x)
    assert everything.shape == x.shape
    assert everything.isfinite().all()
    assert (everything.abs() < 8).all()
    mirrored = Augment()(x)
    assert {bool((m == o).all()) for m, o in zip(mirrored, x, strict=True)} == {True, False}
    assert all((m == o).all() or (m == o.flip(2)).all() for m, o in zip(mirrored, x, strict=True))


def test_grey_and_hue_do_what_they_say():
    x = centred(torch.from_numpy(TEST.pixels).permute(0, 3, 1, 2))
    torch.manual_seed(0)
    grey = Augment(grey=1.0)._coloured(x)
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    np.testing.assert_allclose(grey[:, 0], grey[:, 2], atol=1e-5)
    np.testing.assert_allclose(grey[:, 1], (x * weights).sum(1), atol=1e-4)
    coloured = Augment(colour=0.5)._coloured(x)
    assert (coloured - x).abs().mean() > 0.05
    np.testing.assert_allclose(Augment(colour=1e-9)._coloured(x), x, atol=1e-5)


def test_shifts_move_by_whole_pixels_up_to_the_most():
    torch.manual_seed(0)
    x = torch.arange(3 * 32 * 32.0).reshape(1, 3, 32, 32).expand(200, 3, 32, 32)
    moved = (Augment(shift=2 / 32)._stepped(x) - x)[:, :, 2:-2, 2:-2].flatten(1)
    assert (moved == moved[:, :1]).all()
    right = (moved[:, 0] + 16) % 32 - 16
    down = (moved[:, 0] - right) / 32
    assert right.unique().tolist() == down.unique().tolist() == [-2, -1, 0, 1, 2]


@pytest.mark.gpu
def test_an_accelerator_learns_the_same(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("no accelerator")
    assert precision(fitted(METRIC, tmp_path)) > 0.8
