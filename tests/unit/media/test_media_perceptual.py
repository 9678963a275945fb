"""Hashes as text and as numbers; the algorithm itself is in tests/golden."""

import numpy as np
import pytest
from media_samples import natural, saved
from PIL import Image

from winnow.core.errors import InputError
from winnow.media.perceptual import NEAR, as_hex, from_hex, hamming, pdq


def test_text_and_back():
    words = np.random.default_rng(0).integers(0, 2**64, (20, 4), dtype=np.uint64)
    for hash in words:
        np.testing.assert_array_equal(from_hex(as_hex(hash)), hash)
        assert int(as_hex(hash), 16) == sum(int(word) << 64 * i for i, word in enumerate(hash))


@pytest.mark.parametrize("text", ["", "00", "0" * 63, "0" * 65, "g" * 64, " " + "0" * 63, "0 " * 32])
def test_what_is_no_hash_is_refused(text):
    with pytest.raises(InputError, match="bad-hash"):
        from_hex(text)


def test_distance_counts_bits():
    one = np.array([1, 0, 0, 1 << 63], np.uint64)
    assert hamming(one, np.zeros(4, np.uint64)) == 2
    assert hamming(one, one) == 0
    assert hamming(np.uint64(7), np.uint64(8)) == 4
    assert hamming(np.stack([one, ~one]), one).tolist() == [0, 256]


def test_grey_may_have_one_layer():
    pixels = natural(90, 120)
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    assert hamming(pdq(grey)[0], pdq(np.repeat(grey[..., None], 3, 2))[0]) <= 2


def test_a_picture_read_small_has_nearly_the_same_hash(decoder):
    data = saved(Image.fromarray(natural(900, 1200)), "JPEG", quality=90)
    whole, small = (pdq(decoder.decode(data, largest=largest).pixels)[0] for largest in (None, 512))
    assert hamming(whole, small) <= NEAR // 2


def test_the_picture_is_left_as_it_is():
    pixels = natural(60, 60)
    before = pixels.copy()
    pdq(pixels)
    np.testing.assert_array_equal(pixels, before)
