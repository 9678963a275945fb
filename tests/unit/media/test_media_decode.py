"""Pictures from strangers: what becomes of each kind, and what is refused, with a reason and without their content."""

import io
import struct
import time
import zipfile

import numpy as np
import pytest
from media_samples import natural, png, quarters, saved, zeros_png
from PIL import Image

from winnow.core.errors import InputError
from winnow.media.decode import Decoder
from winnow.media.pictures import thumbnail

CORNERS = {"red": [255, 0, 0], "lime": [0, 255, 0], "blue": [0, 0, 255], "white": [255, 255, 255]}


def corners(pixels):
    """Names of the colours at the corners, in reading order."""
    seen = pixels[[2, 2, -3, -3], [2, -3, 2, -3]].astype(int)
    return [min(CORNERS, key=lambda name: abs(np.array(CORNERS[name]) - pixel).sum()) for pixel in seen]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_every_format_gives_its_pixels(decoder, kind):
    picture = decoder.decode(saved(quarters(), kind))
    assert picture[1:] == (kind, 40, 24, False)
    assert picture.pixels.shape == (24, 40, 3)
    assert picture.pixels.dtype == np.uint8
    assert corners(picture.pixels) == ["red", "lime", "blue", "white"]


def test_pixels_are_those_of_the_library_in_this_process(decoder):
    data = saved(Image.fromarray(natural(300, 417)), "JPEG", quality=90)
    np.testing.assert_array_equal(decoder.decode(data).pixels, np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_is_held_any_way(decoder, kind, orientation):
    turns = Image.Transpose  # what the camera did to the upright picture, by the EXIF standard
    did = [None, turns.FLIP_LEFT_RIGHT, turns.ROTATE_180, turns.FLIP_TOP_BOTTOM, turns.TRANSPOSE, turns.ROTATE_90,
           turns.TRANSVERSE, turns.ROTATE_270][orientation - 1]  # fmt: skip
    image = quarters() if did is None else quarters().transpose(did)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decoder.decode(saved(image, kind, exif=exif))
    assert (picture.width, picture.height) == (40, 24)
    assert corners(picture.pixels) == ["red", "lime", "blue", "white"]
    assert decoder.decode(saved(image, kind, exif=exif), largest=20).pixels.shape == (12, 20, 3)


def test_damaged_exif_turns_nothing(decoder):
    data = saved(quarters(), "JPEG", exif=b"Exif\0\0" + b"MM\0*\xff\xff\xff\xff" * 3)
    assert corners(decoder.decode(data).pixels) == ["red", "lime", "blue", "white"]


def half_clear(mode):
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 4, 8))
    return image.convert(mode)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_transparent_is_white(decoder, kind):
    pixels = decoder.decode(saved(half_clear("RGBA"), kind, **({"lossless": True} if kind == "WEBP" else {}))).pixels
    assert (pixels[:, :4] == [255, 0, 0]).all()
    assert (pixels[:, 4:] == 255).all()


def test_half_transparent_is_half_white(decoder):
    assert (decoder.decode(saved(Image.new("RGBA", (2, 2), (0, 0, 0, 128)))).pixels // 2 == 63).all()


def test_transparency_of_greys_palettes_and_colours(decoder):
    assert (decoder.decode(saved(half_clear("LA"))).pixels[:, 4:] == 255).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([9, 9, 9, 0, 0, 0])
    for kind in ("PNG", "GIF"):
        assert (decoder.decode(saved(palette, kind, transparency=1)).pixels == 255).all()
        assert (decoder.decode(saved(palette, kind)).pixels == 0).all()
    assert (decoder.decode(saved(Image.new("RGB", (4, 4), "red"), transparency=(255, 0, 0))).pixels == 255).all()
    assert (decoder.decode(saved(Image.new("L", (4, 4), 7), transparency=7)).pixels == 255).all()


def test_sixteen_bits_of_grey_and_of_colour(decoder):
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16) * 255 + 255  # the lower byte falls as the upper rises
    grey = decoder.decode(saved(Image.fromarray(ramp))).pixels
    assert (grey == (ramp >> 8)[..., None]).all()
    rows = b"".join(b"\0" + struct.pack(">6H", 0xFFFF, 0x8000, 0, 0x1234, 0, 0xFF00) for _ in range(2))
    colour = decoder.decode(png(2, 2, depth=16, rows=rows)).pixels
    assert colour[0].tolist() == [[255, 128, 0], [18, 0, 255]]


def test_four_inks_one_bit_and_grey(decoder):
    inks = Image.new("RGB", (16, 16), (200, 30, 60)).convert("CMYK")
    np.testing.assert_allclose(decoder.decode(saved(inks, "JPEG", quality=95)).pixels[8, 8], [200, 30, 60], atol=12)
    assert (decoder.decode(saved(Image.new("1", (9, 9), 1))).pixels == 255).all()
    assert (decoder.decode(saved(Image.new("L", (9, 9), 77))).pixels == 77).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_single_pixel_is_a_picture(decoder, kind):
    data = saved(Image.new("RGB", (1, 1), "white"), kind)
    assert (decoder.decode(data).pixels == 255).all()
    assert decoder.decode(data, square=64).pixels.shape == (64, 64, 3)
    assert decoder.decode(data, largest=64).pixels.shape == (1, 1, 3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts_and_it_says_so(decoder, kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    picture = decoder.decode(saved(frames[0], kind, save_all=True, append_images=frames[1:], **lossless))
    assert picture.animated
    assert (picture.pixels == [255, 0, 0]).all()


def test_an_animation_whose_rest_is_damaged_still_has_a_first_frame(decoder):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decoder.decode(data[:-20]).pixels == [255, 0, 0]).all()


def test_a_smaller_size_keeps_the_shape_and_tells_the_size_of_the_file(decoder):
    data = saved(Image.fromarray(natural(300, 900)), "JPEG")
    picture = decoder.decode(data, largest=90)
    assert picture.pixels.shape == (30, 90, 3)
    assert (picture.width, picture.height) == (900, 300)
    assert decoder.decode(data, largest=5000).pixels.shape == (300, 900, 3)
    assert decoder.decode(saved(Image.new("L", (900, 2))), largest=10).pixels.shape == (1, 10, 3)


def test_a_large_picture_loses_no_pixel_on_the_way(decoder):
    pixels = np.random.default_rng(0).integers(0, 256, (1501, 2003, 3), np.uint8)
    np.testing.assert_array_equal(decoder.decode(saved(Image.fromarray(pixels), "BMP")).pixels, pixels)


def test_two_pictures_in_one_jpeg_are_a_jpeg(decoder):
    first, second = (Image.fromarray(natural(40, 60, seed)) for seed in (1, 2))
    picture = decoder.decode(saved(first, "MPO", save_all=True, append_images=[second]))
    assert picture.format == "JPEG"
    assert picture.pixels.shape == (40, 60, 3)


# Refused


def refusal(decoder, data, **options):
    with pytest.raises(InputError) as caught:
        decoder.decode(data, **options)
    problem = caught.value.problems[0]
    assert problem.fix
    return problem.code, problem.what


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_what_is_cut_short_is_refused(decoder, kind):
    data = saved(Image.fromarray(natural(200, 200)), kind)
    for size in (len(data) // 2, len(data) // 10, 40):
        assert refusal(decoder, data[:size])[0] == "image-unreadable"


def test_it_says_that_a_picture_is_cut_short(decoder):
    data = saved(Image.fromarray(natural(200, 200)), "JPEG")
    assert refusal(decoder, data[:-300]) == ("image-unreadable", "the picture is cut short")


@pytest.mark.parametrize(("data", "what"), [
    (b"", "empty"), (b"no picture at all", "damaged or none"), (bytes(1000), "damaged or none"),
    (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    (b"\xef\xbb\xbf <SVG onload='x()'/>", "an SVG drawing"), (b"%PDF-1.4 ...", "a PDF document"),
    (b"PK\3\4....", "a ZIP archive"), (b"\0\0\0\x18ftypheic....", "a HEIC picture"),
    (saved(quarters(), "TIFF"), "a TIFF picture"), (saved(quarters(), "ICO"), "an icon"),
    (saved(quarters(), "PPM"), "damaged or none"),
])  # fmt: skip
def test_what_is_no_picture_is_refused(decoder, data, what):
    code, said = refusal(decoder, data)
    assert code == "image-unreadable"
    assert what in said


@pytest.mark.parametrize("size", [(10_000, 10_000), (7_000, 7_000), (30_000, 30_000), (60_000, 1_000)])
def test_too_many_pixels_are_refused_by_the_header(decoder, size):
    start = time.perf_counter()
    code, what = refusal(decoder, png(*size))
    assert code == "image-too-large"
    assert f"{size[0]} x {size[1]}" in what or "too many" in what
    assert time.perf_counter() - start < 1


def test_too_many_bytes_are_refused(decoder):
    assert refusal(decoder, bytes(50_000_001))[0] == "image-too-large"


def test_a_bomb_meets_the_memory_limit_and_the_next_picture_decodes(decoder):
    bomb = zeros_png(5_500, 6_500, colour=6)  # 36 million pixels in 140 kB; 286 MB while alpha is taken off
    assert len(bomb) < 200_000
    assert refusal(decoder, bomb, largest=64)[0] == "image-too-large"
    assert corners(decoder.decode(saved(quarters())).pixels)[0] == "red"


def test_memory_is_limited():
    """What needs 96 MB fits into 256 and not into 64."""
    data = zeros_png(6_000, 4_000)
    with Decoder(memory_mb=64) as small, Decoder() as usual:
        assert refusal(small, data, largest=8) == ("image-too-large", "decoding the picture takes more than 64 MB")
        assert (usual.decode(data, largest=8).pixels == 0).all()


def test_a_slow_picture_is_stopped_and_the_next_one_decodes():
    slow = saved(Image.fromarray(natural(1000, 1500)), "PNG", compress_level=1)
    with Decoder(cpu_s=0.02) as decoder:
        start = time.process_time()
        code, what = refusal(decoder, slow)
        assert (code, what) == ("image-too-slow", "decoding the picture takes more than 0.02 s")
        assert time.process_time() - start < 0.5
        assert corners(decoder.decode(saved(quarters())).pixels)[0] == "red"


@pytest.mark.parametrize("limits", [{"memory_mb": -8}, {"memory_mb": 8}, {"cpu_s": 0}, {"workers": 0}, {"wait_s": -1}])
def test_limits_that_would_limit_nothing_are_refused(limits):
    with pytest.raises(InputError, match="bad-decoder"):
        Decoder(**limits)


def test_the_time_of_earlier_pictures_does_not_count():
    data = saved(Image.fromarray(natural(600, 800)), "PNG")
    with Decoder(cpu_s=0.25) as decoder:
        for _ in range(30):  # more than a quarter of a second in all
            decoder.decode(data)


# Nothing but the picture


def with_secrets():
    exif = Image.Exif()
    exif[0x010E] = "SECRET-DESCRIPTION"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0), 29: "SECRET-PLACE"})
    return saved(Image.fromarray(natural(80, 120)), "JPEG", exif=exif, comment=b"SECRET-COMMENT",
                 xmp=b"<x:xmpmeta>SECRET-XMP</x:xmpmeta>", icc_profile=b"SECRET-PROFILE" * 10)  # fmt: skip


def test_no_exif_no_place_and_no_comment_survive(decoder):
    data = with_secrets()
    assert data.count(b"SECRET") >= 5
    small = thumbnail(decoder.decode(data).pixels, 64)
    assert b"SECRET" not in small
    assert b"Exif" not in small
    with Image.open(io.BytesIO(small)) as image:
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert not image.getexif()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_polyglot_is_the_picture_and_comes_out_clean(decoder, kind):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("SECRET.txt", "SECRET")
    data = saved(quarters(), kind) + archive.getvalue()
    assert zipfile.is_zipfile(io.BytesIO(data))
    picture = decoder.decode(data)
    assert corners(picture.pixels) == ["red", "lime", "blue", "white"]
    clean = thumbnail(picture.pixels, 64)
    assert b"SECRET" not in clean
    assert not zipfile.is_zipfile(io.BytesIO(clean))


@pytest.mark.parametrize("data", [
    b"SECRET", b"<svg>SECRET</svg>", saved(quarters(), "JPEG")[:100] + b"SECRET", b"GIF89aSECRETSECRET",
    b"BMSECRET" * 9, png(5, 5, chunks=[(b"tEXt", b"SECRET\0SECRET")]), b"%PDF SECRET",
])  # fmt: skip
def test_errors_hold_nothing_of_the_content(decoder, data, capfd):
    with pytest.raises(InputError) as caught:
        decoder.decode(data)
    seen = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert "SECRET" not in " ".join(map(repr, seen)) + str(caught.value)
    assert capfd.readouterr() == ("", "")
