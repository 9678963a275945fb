"""Vectors of pictures that were learnt from pictures alone."""

import json

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.models.base import Run
from winnow.models.content_pictures import Mixture, PicturePatterns, _areas, _edges, load_picture_patterns

SIDE = 64
SMALL = PicturePatterns(side=SIDE, centres=4, kept=8, size=16)


def pictures(count, seed=0):
    """Half of them with stripes across, half with stripes down, in any colours, moved about."""
    rng = np.random.default_rng(seed)
    down = np.arange(count) % 2 == 0
    phase = rng.integers(0, 8, count)
    stripes = ((np.arange(SIDE)[None] + phase[:, None]) // 4 % 2).astype(np.float64)
    flat = np.where(down[:, None, None], stripes[:, None, :], stripes[:, :, None])
    colour = rng.integers(60, 200, (count, 1, 1, 3))
    noise = rng.normal(0, 6, (count, SIDE, SIDE, 3))
    return np.clip(flat[..., None] * colour + noise, 0, 255).astype(np.uint8), down


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patterns")
    SMALL.fit(pictures(60)[0], Run(folder))
    return load_picture_patterns(folder)


def test_pictures_of_one_kind_are_near_each_other_whatever_their_colour(encoder):
    pixels, down = pictures(40, seed=1)
    vectors = encoder.encode(pixels)
    assert vectors.shape == (40, 16)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    near = vectors @ vectors.T - 2 * np.eye(40)
    assert (down[near.argmax(axis=1)] == down).mean() > 0.95


def test_a_vector_does_not_depend_on_its_neighbours_and_is_the_same_again(encoder, tmp_path):
    pixels, _ = pictures(6, seed=2)
    assert np.array_equal(encoder.encode(pixels)[2:3], encoder.encode(pixels[2:3]))
    SMALL.fit(pictures(60)[0], Run(tmp_path))
    assert load_picture_patterns(tmp_path).version == encoder.version


def test_directions_of_edges():
    across = np.tile(np.repeat([0.0, 100.0], 32), (SIDE, 1))  # changes from left to right
    strengths = _edges(across)
    assert strengths.shape == (16, 16, 8)
    assert strengths[:, 7:9, 0].sum() == pytest.approx(strengths.sum())
    assert _edges(across.T)[..., 4].sum() == pytest.approx(strengths.sum())


def test_areas_are_the_whole_and_two_ways_of_thirds():
    sizes = [int(area.sum()) for area in _areas(81)]
    assert sizes == [81, 27, 27, 27, 27, 27, 27]
    assert _areas(81)[1][:27].all()


def test_belonging_is_that_of_the_gaussians():
    rng = np.random.default_rng(0)
    share, centre, variance = np.float32([0.3, 0.7]), rng.normal(size=(2, 3)), rng.uniform(0.5, 2, (2, 3))
    one = np.zeros(0, np.float32)
    x = rng.normal(size=(5, 3)).astype(np.float32)
    found = Mixture(one, one, share, centre.astype(np.float32), variance.astype(np.float32)).belonging(x)
    density = share * np.exp(-((x[:, None] - centre) ** 2 / variance).sum(2) / 2) / np.sqrt(variance.prod(1))
    assert found == pytest.approx(density / density.sum(axis=1, keepdims=True), abs=1e-5)


def test_flat_and_few_pictures_are_no_trouble(tmp_path):
    SMALL.fit(np.full((3, SIDE, SIDE, 3), 128, np.uint8), Run(tmp_path))
    assert np.isfinite(load_picture_patterns(tmp_path).encode(pictures(2)[0])).all()


def test_mistakes_are_told(tmp_path):
    with pytest.raises(InputError, match="no-examples"):
        SMALL.fit(np.zeros((0, SIDE, SIDE, 3), np.uint8), Run(tmp_path))
    with pytest.raises(InputError, match="wrong-pictures"):
        SMALL.fit(np.zeros((2, 32, 32, 3), np.uint8), Run(tmp_path))
    SMALL.fit(pictures(10)[0], Run(tmp_path))
    meta = json.loads((tmp_path / "meta.json").read_text())
    (tmp_path / "meta.json").write_text(json.dumps(meta | {"model": "NGrams"}))
    with pytest.raises(InputError, match="wrong-model"):
        load_picture_patterns(tmp_path)
