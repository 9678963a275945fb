"""Encoders that were trained here, opened from their folder; and what pictures look like from afar."""

import colorsys
import json

import numpy as np
import pytest

from winnow.core.errors import InputError, Unavailable
from winnow.encoders.looks import SIZE, hashed, histogram, looks
from winnow.encoders.trained import TrainedPictures
from winnow.models.base import Run
from winnow.models.picture_looks import Looks
from winnow.models.picture_metric import MetricPictures
from winnow.models.picture_retrieval import Pictures, load_picture_encoder

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (8, 64, 64, 3), np.uint8)
PICTURES = Pictures(np.arange(8), PIXELS, np.arange(8) % 2, np.zeros((0, 2), np.int64))


@pytest.fixture
def folder(tmp_path):
    MetricPictures(widths=(16,), sizes=(8,), epochs=1).fit(PICTURES, PICTURES, Run(tmp_path, threads=1))
    return tmp_path


def test_both_ways_to_open_it_agree(folder):
    declared, opened = TrainedPictures(path=str(folder)), load_picture_encoder(folder)
    assert declared.version == opened.version
    assert declared.size == opened.size == 8
    np.testing.assert_array_equal(declared.pixels().encode(PIXELS), opened.encode(PIXELS))


def test_a_damaged_or_missing_file_is_named(folder):
    declared = TrainedPictures(path=str(folder))
    graph = folder / "pictures.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="checksum-differs"):
        declared.open(folder)
    graph.unlink()
    with pytest.raises(Unavailable, match=r"no `pictures\.onnx`"):
        declared.version  # noqa: B018
    (folder / "meta.json").write_text("{")
    with pytest.raises(Unavailable, match="damaged"):
        declared.size  # noqa: B018
    (folder / "meta.json").write_text(json.dumps({"files": {}, "size": 3}))
    with pytest.raises(Unavailable, match="another kind"):
        declared.open(folder)
    with pytest.raises(Unavailable, match="encoder-files-missing"):
        TrainedPictures(path="no-such-folder").version  # noqa: B018


def test_more_numbers_than_there_are_cannot_be_kept(folder):
    for cut in (9, -1):
        with pytest.raises(InputError, match="wrong-size"):
            TrainedPictures(path=str(folder), cut=cut).open(folder)


def test_the_version_follows_the_files(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    MetricPictures(widths=(16,), sizes=(8,), epochs=1).fit(PICTURES, PICTURES, Run(other, seed=1, threads=1))
    assert TrainedPictures(path=str(folder)).version != TrainedPictures(path=str(other)).version


# Looks


def test_the_hash_is_that_of_a_cosine_transform():
    image = PIXELS[0] @ np.array([0.299, 0.587, 0.114])
    small = image.reshape(32, 2, 32, 2).mean((1, 3))
    low = np.empty((8, 8))
    at = np.arange(32) + 0.5
    for u in range(8):
        for v in range(8):
            wave = np.outer(np.cos(np.pi * u * at / 32), np.cos(np.pi * v * at / 32))
            low[u, v] = (small * wave).sum() * (0.5 if u == 0 else 0.5**0.5) * (0.5 if v == 0 else 0.5**0.5)
    expected = np.where(low.ravel() > np.median(low.ravel()[1:]), 1, -1)
    np.testing.assert_array_equal(hashed(PIXELS[:1])[0], expected)


def test_the_histogram_counts_hues_saturations_and_values():
    counts = np.zeros(108)
    for pixel in PIXELS[0].reshape(-1, 3) / 255:
        parts = colorsys.rgb_to_hsv(*pixel)
        h, s, v = (min(int(part * bins), bins - 1) for part, bins in zip(parts, (12, 3, 3), strict=True))
        counts[h * 9 + s * 3 + v] += 1
    assert np.abs(histogram(PIXELS[:1])[0] - counts / 4096).sum() < 0.002  # a colour on an edge may fall either way
    np.testing.assert_array_equal(histogram(PIXELS)[3], histogram(PIXELS[3:4])[0])


def test_brighter_pictures_look_alike_and_others_do_not():
    smooth = np.kron(RNG.integers(40, 200, (6, 8, 8, 3)), np.ones((1, 8, 8, 1))).astype(np.uint8)
    brighter = (smooth + 12).astype(np.uint8)
    assert (hashed(smooth) * hashed(brighter)).mean(1).min() > 0.9
    near = looks(smooth) @ looks(brighter).T
    assert near.argmax(1).tolist() == list(range(6))
    assert looks(smooth).shape == (6, SIZE)


@pytest.mark.parametrize("side", [32, 48, 64, 100])
def test_any_size_can_be_looked_at(side, tmp_path):
    pixels = RNG.integers(0, 256, (2, side, side, 3), np.uint8)
    pictures = Pictures(np.arange(2), pixels, np.arange(2), np.zeros((0, 2), np.int64))
    Looks(side=side).fit(pictures, pictures, Run(tmp_path))
    vectors = load_picture_encoder(tmp_path).encode(pixels)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    halves = (vectors.astype(np.float64) ** 2)[:, :64].sum(1), (vectors.astype(np.float64) ** 2)[:, 64:].sum(1)
    np.testing.assert_allclose(halves[0], halves[1], atol=1e-6)
