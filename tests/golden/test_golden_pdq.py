"""PDQ against what Meta publishes: a picture with its hash, the hashes of one picture in its eight positions, and how
far a hash moves when its picture is scaled, compressed, brightened or blurred.

The other published hashes (of photographs of a bridge and of street scenes) come without their pictures here; of those
only what follows from the hashes alone is checked.
"""

import base64
import functools
import io

import numpy as np
import pytest

from winnow.media import perceptual
from winnow.media.perceptual import NEAR, VARIANTS, as_hex, dhash, from_hex, hamming, pdq, pdq_variants

Image = pytest.importorskip("PIL.Image", reason="pip install 'winnow-engine[images]'")

# The pixels (26 x 28) and the hash of ThreatExchange, python-threatexchange/tests/hashing/test_pdq_hasher.py.
PUBLISHED_PICTURE = """
iVBORw0KGgoAAAANSUhEUgAAABoAAAAcCAIAAADwcTiEAAACo0lEQVR42pVVPWgUQRT+3tzc7Z0xhyQxMSsBo6IEGzFFbEIkhdhY2QgJaJlWg41N
sBYDVgYrRUwnYqmNoDYWEayCSDQSSLzL4QVi7se7ec9if7Kzu6eXxzLMzr73zbffe2+GSqUSbGuD3v/SbyrZL3uZUlNtNRSA4TwPOXy2x1weaE32
tTUEaUZRuMofdf9b/sWWs9uOeIuACLK/0qvp2nDzzqnmQI7T4VpCi2vO0vdczXgQAMFn4GERxSIPZTA32rx9qpklseC2m+rGp8JKNZPKP8kuCCWI
jPfx0wv1o45Pk95+rcx8LGzWY5tb9IJXQAEMKADBhOEWZHmiPlY0AMh99ntzTwCAFIRBKsGO/U8xn8i620Ovp+qDDhMe7ab9lMXo7vnszJnsySIp
Qq0lO02U6zzxshG6QGS8H6+mGhpGInDw4ch/PZbH8yuF6eM65Jpz6IiDE0UFI/tbAivbWFzVGmzXhGcsIIDl8bSFZZkfKOGfLa1mIuwS8l9y9dXR
LDqZxU4A1IzY7BCFxs1znbFi7IKJhuFQzv1UEEFkrN/K8tLnxsKHRrlmQr0iNegT/Re7sT5LtYV39XKNbbe4xeAsGXtzFovybtsqoHR2RtClccir
G3bJvkqmkuxkJtwICz+jS3JvqBuia1Vz+mElCa1h2BagK1uvtiOBUTiWAKRrEYH1qvEDySqKg6QiYj+qrdRA7Qt8QNvYYXBKLgjzG51OWnkwYq3N
b3TMbHABeKlIfpfOTZp+A3ijthL0nzKWjveGdxllSQcSpHVZvIztho3ecCIgmruY0f6eKdpxSpNZp45XKN7xifERdWvSUW6vAkv8MZyilGFIMApg
xB+NuEX15Ho+p0Qtz+bdogIDRvwxnCR71nAwcrirW6Tl2fzgYQLwF45qj/qEUQEZAAAAAElFTkSuQmCC
"""
PUBLISHED_HASH = "ad64cd9875e131a177b1f2a0d6b38ae1de9ea80421e4c51dde1b0363deba3466"

# One photograph in its eight positions: ThreatExchange, pdq/python/pdqhashing/tests/pdq_test.py.
BRIDGE = {
    "original": "d8f8f0cce0f4a84f0e370a22028f67f0b36e2ed596623e1d33e6b39c4e9c9b22",
    "rotate90": "38a50efd71c83f429013d68d0ffffc52e34e0e15ada952a9d29684214aa9e5af",
    "rotate180": "2dadda64b5a142e5d362209057da895ae63b8c7fc277b4b766b319361f893188",
    "rotate270": "a5f0a457248995e8c9065c275aaa54d8b61ba4bdf8fcfc0387c32f8b0bfc4f05",
    "flip_top_bottom": "d8f80f31e0f417b00e37f5dd028f980fb36ed12a9662c1e233e64c634e9c64dd",
    "flip_left_right": "0dad259bb1a1bd18d362576556da32a1e63b7380c2374b4866b3c6c91b89ce77",
    "transpose": "f0a5e10271dcc0bd9c5309720fff018de34ef1e8ada9a956d2967ade1ea91a50",
    "transverse": "69f05aa8a4996a17c146a2da5aaaab07b61b5b60f8fc07fc83c3d0740bfcb0fa",
}
TURNED = {
    "original": lambda x: x, "rotate90": np.rot90, "rotate180": lambda x: np.rot90(x, 2),
    "rotate270": lambda x: np.rot90(x, 3), "flip_top_bottom": np.flipud, "flip_left_right": np.fliplr,
    "transpose": lambda x: np.swapaxes(x, 0, 1), "transverse": lambda x: np.swapaxes(np.rot90(x, 2), 0, 1),
}  # fmt: skip


@functools.cache
def natural(seed, height=360, width=480):
    """Noise of which frequency f has the share 1 / f, as photographs have it: uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    radius[0, 0] = 1
    layer = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) / radius**1.2, s=(height, width))
    tint = np.array([1.0, 0.9, 0.8])
    return np.clip(128 + 42 * (layer / layer.std())[..., None] * tint, 0, 255).astype(np.uint8)


def signs_turned(name):
    """Which bit of the original stands at each place of a variant, and whether it is turned over."""
    places = np.arange(256).reshape(16, 16)
    odd = np.arange(16) % 2 == 0  # index 0 is frequency 1
    down, across = np.broadcast_to(odd[:, None], (16, 16)), np.broadcast_to(odd, (16, 16))
    over = {"original": 0, "rotate90": across, "rotate180": down ^ across, "rotate270": down, "flip_top_bottom": down,
            "flip_left_right": across, "transpose": 0, "transverse": down ^ across}[name]  # fmt: skip
    over = np.broadcast_to(np.asarray(over, bool), (16, 16))
    turned = name in ("rotate90", "rotate270", "transpose", "transverse")
    return (places.T, over.T) if turned else (places, over)


def bits(hash):
    return np.unpackbits(np.ascontiguousarray(hash, "<u8").view(np.uint8), bitorder="little")


def test_the_published_picture_has_the_published_hash():
    with Image.open(io.BytesIO(base64.b64decode(PUBLISHED_PICTURE))) as image:
        hash, quality = pdq(np.asarray(image))
    assert as_hex(hash) == PUBLISHED_HASH
    assert quality == 100


@pytest.mark.parametrize("name", VARIANTS)
def test_published_hashes_of_turned_pictures_are_turned_as_ours(name):
    """The median is near 0, so a turned picture has the original's bits, moved and turned over, up to a few."""
    place, over = signs_turned(name)
    expected = bits(from_hex(BRIDGE["original"]))[place] ^ over
    apart = {other: int((bits(from_hex(BRIDGE[other])) != expected.ravel()).sum()) for other in VARIANTS}
    assert min(apart, key=apart.__getitem__) == name
    assert apart[name] <= NEAR
    assert min(away for other, away in apart.items() if other != name) > 80


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_are_the_hashes_of_the_turned_picture(name):
    pixels = natural(5, 384, 512)
    variants, quality = pdq_variants(pixels)
    straight, same_quality = pdq(np.ascontiguousarray(TURNED[name](pixels)))
    assert hamming(variants[VARIANTS.index(name)], straight) <= 16
    assert abs(quality - same_quality) <= 3


def test_half_of_the_bits_are_set():
    assert {int(bits(pdq(natural(seed))[0]).sum()) for seed in range(10)} == {128}


def compressed(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(pixels, factor):
    height, width = pixels.shape[:2]
    return np.asarray(Image.fromarray(pixels).resize((int(width * factor), int(height * factor))))


def brighter(pixels, by):
    return np.clip(pixels.astype(int) + by, 0, 255).astype(np.uint8)


def contrasted(pixels, by):
    return np.clip((pixels.astype(float) - 128) * by + 128, 0, 255).astype(np.uint8)


KEPT = {
    "half the size": lambda p: resized(p, 0.5), "a quarter": lambda p: resized(p, 0.25),
    "one and a half": lambda p: resized(p, 1.5), "another shape": lambda p: np.asarray(
        Image.fromarray(p).resize((512, 512))),
    "JPEG 85": lambda p: compressed(p, 85), "JPEG 30": lambda p: compressed(p, 30),
    "JPEG 10": lambda p: compressed(p, 10), "brighter": lambda p: brighter(p, 15), "darker": lambda p: brighter(p, -15),
    "more contrast": lambda p: contrasted(p, 1.15), "grey": lambda p: np.repeat(
        np.asarray(Image.fromarray(p).convert("L"))[..., None], 3, 2),
    "a little noise": lambda p: brighter(p, np.random.default_rng(0).normal(0, 6, p.shape).astype(int)),
}  # fmt: skip


@pytest.mark.parametrize("change", KEPT)
def test_a_changed_picture_stays_within_the_distance(change):
    away = [hamming(pdq(p)[0], pdq(KEPT[change](p))[0]) for p in map(natural, range(8))]
    assert max(away) <= NEAR, away


def test_different_pictures_are_half_of_the_bits_apart():
    hashes = np.stack([pdq(natural(seed, 120, 160))[0] for seed in range(60)])
    first, second = np.triu_indices(len(hashes), 1)
    away = hamming(hashes[first], hashes[second])
    assert 126 < away.mean() < 130
    assert away.min() > 80


def test_the_filter_is_two_passes_of_a_box_then_samples():
    """Straight from the description, one number at a time, for sizes that divide evenly and that do not."""

    def box(line, window):
        ahead = (window + 2) // 2 - 1
        behind = window - 1 - ahead
        return np.array([line[max(0, i - behind) : i + ahead + 1].mean() for i in range(len(line))])

    for size in (5, 26, 64, 129, 512, 700):
        line = np.random.default_rng(size).normal(size=size)
        window = (size + 127) // 128
        twice = box(box(line, window), window)
        wanted = [twice[int((i + 0.5) * size / 64)] for i in range(64)]
        np.testing.assert_allclose(perceptual._sampling(size) @ line, wanted, atol=1e-5)


def test_quality_counts_steps_and_flat_pictures_have_none():
    flat = np.full((300, 300, 3), 90, np.uint8)
    assert pdq(flat)[1] == 0
    assert not pdq(flat)[0].any()
    assert pdq(natural(1))[1] == 100
    stripe = flat.copy()
    stripe[:, 150:] = 180
    assert 0 < pdq(stripe)[1] < 50
    ramp = np.broadcast_to(np.linspace(0, 255, 64), (64, 64)).astype(np.uint8)  # steps of 4 are whole hundredths: 1
    assert pdq(np.repeat(ramp[..., None], 3, 2))[1] == 63 * 64 // 90


def test_too_small_pictures_have_no_bits():
    hash, quality = pdq(np.random.default_rng(0).integers(0, 256, (4, 900, 3), np.uint8))
    assert (as_hex(hash), quality) == ("0" * 64, 0)


def test_difference_hash_of_known_pictures():
    rising = np.broadcast_to(np.arange(90, dtype=np.uint8), (80, 90))
    assert dhash(rising) == 2**64 - 1
    assert dhash(rising[:, ::-1]) == 0
    upper = rising.copy()
    upper[40:] = 7
    assert dhash(upper) == 2**32 - 1
    pixels = natural(3)
    assert hamming(dhash(pixels), dhash(compressed(resized(pixels, 0.5), 60))) <= 6
    assert hamming(dhash(pixels), dhash(natural(4))) > 15
