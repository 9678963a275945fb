"""Boxes, squares and thumbnails."""

import io

import numpy as np
import pytest
from media_samples import natural
from PIL import Image

from winnow.core.errors import InputError
from winnow.media.pictures import crop, square, thumbnail

COUNTED = np.arange(10 * 20 * 3).reshape(10, 20, 3).astype(np.uint8)


def test_a_box_cuts_its_part():
    np.testing.assert_array_equal(crop(COUNTED, (0, 0, 1, 1)), COUNTED)
    np.testing.assert_array_equal(crop(COUNTED, (0.25, 0.5, 0.75, 1)), COUNTED[5:, 5:15])
    np.testing.assert_array_equal(crop(COUNTED, (0.26, 0, 0.31, 0.1)), COUNTED[:1, 5:7])  # pixels that are cut belong


def test_tenths_fall_on_pixels_in_spite_of_rounding():
    for i in range(10):
        assert crop(COUNTED, (i / 10, i / 10, (i + 1) / 10, (i + 1) / 10)).shape == (1, 2, 3)


@pytest.mark.parametrize("box", [(0, 0, 1e-9, 1e-9), (1 - 1e-12, 1 - 1e-12, 1, 1), (0.5, 0.5, 0.5 + 1e-12, 0.6)])
def test_the_smallest_box_holds_a_pixel(box):
    assert crop(COUNTED, box).shape == (1, 1, 3)


def test_a_cut_is_a_copy():
    before = COUNTED.copy()
    crop(COUNTED, (0, 0, 1, 1))[:] = 0
    np.testing.assert_array_equal(COUNTED, before)


@pytest.mark.parametrize("box", [
    (0.5, 0, 0.5, 1), (0.6, 0, 0.5, 1), (0, 0, 1.01, 1), (-0.1, 0, 1, 1), (0, 0, float("nan"), 1),
    (0, 0, float("inf"), 1), (0, 0, 1), (), (0, 0, 1, 1, 1),
])  # fmt: skip
def test_a_bad_box_is_refused(box):
    with pytest.raises(InputError) as caught:
        crop(COUNTED, box)
    assert caught.value.code == "bad-box"
    assert caught.value.problems[0].where == "box"


def test_squares_stretch_cut_or_add_white():
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 200
    assert square(pixels, 30)[15].std() > 50
    assert (square(pixels, 20, fit="crop") == 200).all()
    padded = square(pixels, 30, fit="pad")
    assert (padded[:10] == 255).all()
    assert (padded[20:] == 255).all()
    assert padded[15, 15, 0] == 200
    for fit in ("stretch", "crop", "pad"):
        assert square(pixels, 7, fit=fit).shape == (7, 7, 3)
        assert square(pixels[:1, :1], 7, fit=fit).shape == (7, 7, 3)
        assert square(pixels[:, :1], 300, fit=fit).shape == (300, 300, 3)


def test_a_thumbnail_keeps_the_shape_and_the_look():
    pixels = natural(200, 400)
    small = Image.open(io.BytesIO(thumbnail(pixels, 100)))
    assert (small.format, small.size) == ("JPEG", (100, 50))
    there = np.asarray(small.resize((8, 4))).astype(int)
    np.testing.assert_allclose(there, np.asarray(Image.fromarray(pixels).resize((8, 4))), atol=16)


def test_a_thumbnail_never_enlarges_and_never_vanishes():
    assert Image.open(io.BytesIO(thumbnail(COUNTED, 500))).size == (20, 10)
    assert Image.open(io.BytesIO(thumbnail(np.zeros((2, 900, 3), np.uint8), 10))).size == (10, 1)
