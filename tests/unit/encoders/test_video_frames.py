"""Vectors of frames: one after the other, zeros where a video has fewer, kept as float16."""

import numpy as np
import pytest

pytest.importorskip("PIL", reason="pip install 'winnow-engine[images]'")

from winnow.data.text import text_hashes
from winnow.encoders.colours import ColourGrid
from winnow.encoders.encodings import Encodings
from winnow.encoders.video import Frames
from winnow.media.video import Video
from winnow.media.video_reel import pack

FRAMES = Frames(pictures=ColourGrid(), frames=3)
WIDTH = ColourGrid().size


def reel(*greys):
    frames = np.stack([np.full((32, 48, 3), grey, np.uint8) for grey in greys])
    return pack(Video(frames, np.arange(len(greys), dtype=np.float64), "MP4", 48, 32, 3.0, 1.0, 0, True))


@pytest.fixture
def encodings(tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "short.reel").write_bytes(reel(10, 200))
    (tmp_path / "media" / "long.reel").write_bytes(reel(*range(0, 250, 10)))
    (tmp_path / "media" / "bad.reel").write_bytes(b"nothing")
    return Encodings(tmp_path / "vectors", media=tmp_path / "media")


def test_frames_stand_one_after_the_other(encodings):
    done = encodings.ensure(FRAMES, ["short.reel", "long.reel", "bad.reel", "missing.reel"])
    assert (done.new, done.unreadable) == (2, 2)
    found = encodings.vectors(FRAMES, text_hashes(["short.reel", "long.reel", "bad.reel"]))
    frames = found.reshape(3, 3, WIDTH)
    np.testing.assert_allclose(np.linalg.norm(frames[:2], axis=2), [[1, 1, 0], [1, 1, 1]], atol=2e-3)
    assert np.isnan(frames[2]).all()


def test_they_are_kept_in_half_the_space_and_found_by_another_process(encodings, tmp_path):
    encodings.ensure(FRAMES, ["short.reel"])
    (file,) = (tmp_path / "vectors" / FRAMES.identity).glob("vectors-*")
    assert file.stat().st_size == 2 * FRAMES.size
    fresh = Encodings(tmp_path / "vectors", media=tmp_path / "media")
    exact = encodings.encode(FRAMES, ["short.reel"])
    found = fresh.vectors(FRAMES, text_hashes(["short.reel"]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, atol=1e-3)


def test_a_damaged_row_is_made_again(encodings, tmp_path):
    encodings.ensure(FRAMES, ["short.reel", "long.reel"])
    (file,) = (tmp_path / "vectors" / FRAMES.identity).glob("vectors-*")
    data = bytearray(file.read_bytes())
    data[5] ^= 255
    file.write_bytes(data)
    fresh = Encodings(tmp_path / "vectors", media=tmp_path / "media")
    assert fresh.ensure(FRAMES, ["short.reel", "long.reel"]).new == 1


def test_the_version_follows_what_the_vectors_depend_on():
    assert FRAMES.version == Frames(pictures=ColourGrid(), frames=3).version
    assert FRAMES.version != Frames(pictures=ColourGrid(), frames=4).version
