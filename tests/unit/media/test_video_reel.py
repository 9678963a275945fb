"""What is kept of a video: its frames, each at a moment of its own, and nothing else."""

import zipfile
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.core.errors import InputError
from winnow.media.video import Video
from winnow.media.video_choice import Shots, Thinned, spread
from winnow.media.video_reel import Reel, chosen, pack

pytest.importorskip("PIL", reason="pip install 'winnow-engine[images]'")


def video(times, size=(8, 6)):
    frames = np.stack([np.full((size[1], size[0], 3), i * 5 % 256, np.uint8) for i in range(len(times))])
    return Video(frames, np.array(times, np.float64), "MP4", *size, 3.0, 10.0, 0, True)


def test_frames_come_back_with_their_moments():
    reel = Reel.open(pack(video([0, 1.25, 7])))
    assert reel.times.tolist() == [0, 1.25, 7]
    assert reel.facts == {"width": 8, "height": 6, "seconds": 3.0, "rate": 10.0}
    assert all(reel.frame(i)[:2] == b"\xff\xd8" for i in range(3))
    assert [reel.nearest(at) for at in (-1, 0.7, 4, 5, 99)] == [0, 1, 1, 2, 2]


@settings(max_examples=40)
@given(st.lists(st.floats(0, 2_000_000), min_size=1, max_size=8).map(sorted))
def test_any_moments_stay_apart_and_in_order(times):
    reel = Reel.open(pack(video(times)))
    assert len(reel) == len(times)
    assert (np.diff(reel.times) > 0).all()
    assert np.abs(reel.times - np.minimum(times, 999_999)).max() < 0.02


def test_the_same_video_gives_the_same_bytes():
    assert pack(video([0, 1])) == pack(video([0, 1]))


def test_a_file_is_read_only_where_it_is_asked_for(tmp_path):
    (tmp_path / "reel").write_bytes(pack(video([0, 2])))
    assert Reel.open(tmp_path / "reel").times.tolist() == [0, 2]


@pytest.mark.parametrize("data", [b"", b"nothing", b"PK\5\6" + bytes(18)])
def test_what_is_no_reel(data):
    with pytest.raises(InputError):
        Reel.open(data)


def test_a_reel_without_frames_or_facts():
    for names in ([], ["reel.json"], ["1.0.jpg"], ["reel.json", "late.jpg"]):
        file = BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, "{}")
        with pytest.raises(InputError):
            Reel.open(file.getvalue())


@given(st.integers(1, 200), st.integers(1, 20))
def test_spread_takes_as_many_as_fit_in_order_from_all_over(count, most):
    found = spread(range(count), most)
    assert len(found) == min(count, most)
    assert found == sorted(set(found))
    assert count <= most or max(np.diff([-1, *found, count])) <= 2 * count / most + 1


def test_the_frames_that_stand_for_a_video():
    reel = Reel.open(pack(video(list(range(10)))))
    assert chosen(reel, 3) == [1, 5, 8]
    assert chosen(reel, 99) == list(range(10))


@given(st.integers(1, 9), st.integers(0, 100))
def test_a_row_without_a_known_end_keeps_no_more_than_twice_as_many(most, count):
    kept = Thinned(most)
    for value in range(count):
        kept.offer(value)
        assert len(kept) <= 2 * most
    assert list(kept) == sorted(kept)
    assert len(kept) >= min(count, most)


def test_a_shot_lasts_at_least_half_a_second_and_begins_with_the_first_frame():
    dark, light = bytes(24 * 24 * 3), b"\xff" * (24 * 24 * 3)
    shots = Shots()
    seen = [shots.begins(*frame) for frame in ((dark, 0.0), (dark, 0.4), (light, 0.6), (dark, 0.7), (light, 1.4))]
    assert seen == [True, False, True, False, True]
