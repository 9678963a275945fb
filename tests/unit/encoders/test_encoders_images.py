"""Images from people: turned upright, on white, and refused when they are too much."""

import io
import struct
import zlib

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.encoders.colours import ColourGrid
from winnow.encoders.pictures import decoded

Image = pytest.importorskip("PIL.Image", reason="pip install 'winnow-engine[images]'")


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def halves(top=(255, 0, 0), bottom=(0, 0, 255), size=(32, 32)):
    """The upper half of one colour, the lower of another."""
    image = Image.new("RGB", size, bottom)
    image.paste(top, (0, 0, size[0], size[1] // 2))
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_every_format_gives_its_pixels(kind):
    pixels = decoded(saved(halves(), kind), side=8)
    assert pixels.shape == (8, 8, 3)
    np.testing.assert_allclose(pixels[1].mean(axis=0), [255, 0, 0], atol=12)
    np.testing.assert_allclose(pixels[6].mean(axis=0), [0, 0, 255], atol=12)


def test_the_camera_held_sideways_is_put_right():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    sideways = halves().rotate(90)
    np.testing.assert_allclose(decoded(saved(sideways, "JPEG", exif=exif, quality=95), side=4)[0],
                               [[255, 0, 0]] * 4, atol=12)  # fmt: skip


def test_what_is_transparent_is_white():
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (decoded(saved(clear), side=2) == 255).all()
    assert (decoded(saved(clear.convert("P"), "GIF", transparency=0), side=2) == 255).all()


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    file = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decoded(file, side=1) == [[[255, 0, 0]]]).all()


def test_a_large_photograph_is_read_at_a_fraction():
    large = halves(size=(2000, 1500))
    assert decoded(saved(large, "JPEG"), side=64)[0, 0].argmax() == 0


def bomb(width, height):
    """A PNG that says it is huge; its body need not be there."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(7000, 7000), (10_000, 10_000), (30_000, 30_000), (60_000, 1000)])
def test_too_many_pixels_are_refused_before_they_are_decoded(size):
    with pytest.raises(InputError, match="image-too-large"):
        decoded(bomb(*size), side=8)


def test_too_many_bytes_are_refused():
    with pytest.raises(InputError, match="image-too-large"):
        decoded(bytes(50_000_001), side=8)


@pytest.mark.parametrize("data", [b"", b"no image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.4",
                                  saved(halves())[:60], saved(halves(size=(500, 500)), "JPEG")[:300]])  # fmt: skip
def test_what_is_no_image_is_refused(data):
    with pytest.raises(InputError, match="image-unreadable"):
        decoded(data, side=8)


def test_other_formats_are_refused():
    with pytest.raises(InputError, match="image-unreadable"):
        decoded(saved(halves(), "TIFF"), side=8)


def test_like_colours_in_like_places_are_near(tmp_path):
    encoder = ColourGrid()
    images = [halves(), halves((240, 10, 10), (20, 10, 240)), halves((0, 0, 255), (255, 0, 0)),
              halves((0, 200, 0), (0, 200, 0))]  # fmt: skip
    base, same, turned, green = encoder.open(tmp_path)([saved(image) for image in images])
    assert base @ same > 0.95
    assert base @ turned < 0.6
    assert base @ green < 0.2


def test_black_grey_and_white_have_vectors(tmp_path):
    greys = [Image.new("L", (5, 5), level) for level in (0, 128, 255)]
    vectors = ColourGrid().open(tmp_path)([saved(grey) for grey in greys])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[2] < 0


def test_hues_fall_into_their_bins(tmp_path):
    colours = ["red", "yellow", "lime", "cyan", "blue", "magenta"]
    vectors = ColourGrid().open(tmp_path)([saved(Image.new("RGB", (4, 4), c)) for c in colours])
    bins = vectors[:, -108:].argmax(axis=1) // 9
    assert bins.tolist() == [0, 2, 4, 6, 8, 10]
