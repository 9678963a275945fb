"""Videos from strangers: which frames become of each, and what is refused, with a reason."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from video_samples import clip, named, plain, sound_only

from winnow.core.errors import InputError, Unavailable
from winnow.media.video import VideoDecoder

pytest.importorskip("av", reason="pip install 'winnow-engine[video]'")


@pytest.fixture(scope="module")
def decoder():
    with VideoDecoder() as decoder:
        yield decoder


def refused(decoder, data, **how):
    with pytest.raises(InputError) as caught:
        decoder.decode(data, **how)
    return caught.value.code, caught.value.problems[0].what


def test_key_frames_with_their_moments(decoder):
    video = decoder.decode(clip(["red", "green", "blue"]))
    assert [named(frame) for frame in video.frames] == ["red", "green", "blue"]
    np.testing.assert_allclose(video.times, [0, 1, 2], atol=1e-6)
    assert (video.format, video.width, video.height, video.rate) == ("MP4", 64, 48, 10)
    assert video.frames.shape == (3, 48, 64, 3)
    assert video.seconds == pytest.approx(3, abs=0.11)
    assert video.whole


@pytest.mark.parametrize(
    ("form", "codec"),
    [("mp4", "mpeg4"), ("mp4", "libx264"), ("matroska", "mpeg4"), ("webm", "libvpx"), ("avi", "mpeg4"),
     ("mpegts", "mpeg2video"), ("mpeg", "mpeg1video"), ("flv", "flv"), ("asf", "msmpeg4")],
)  # fmt: skip
def test_every_container_gives_its_frames(decoder, form, codec):
    rate = 25 if form in ("mpeg", "mpegts") else 10
    data = clip(["red", "green", "blue"], form=form, codec=codec, rate=rate)
    for way in ("keys", "even"):
        video = decoder.decode(data, way=way)
        seen = [named(frame) for frame in video.frames]
        assert list(dict.fromkeys(seen)) == ["red", "green", "blue"]
        assert len(seen) == (3 if way == "keys" else 30)
        assert (np.diff(video.times) > 0).all()


def test_evenly_spread_frames_come_from_the_middles_of_equal_parts(decoder):
    video = decoder.decode(clip(["red", "green", "blue"], gop=100), way="even", most=3)
    assert [named(frame) for frame in video.frames] == ["red", "green", "blue"]
    np.testing.assert_allclose(video.times, [0.5, 1.5, 2.5], atol=1e-6)


def test_more_key_frames_than_are_wanted_are_thinned_out(decoder):
    video = decoder.decode(clip(["red"] * 30, gop=10), most=4)
    np.testing.assert_allclose(video.times, [3, 11, 18, 26], atol=1e-6)


def test_shots_begin_where_the_colours_change(decoder):
    video = decoder.decode(clip(["red", "red", "green", "blue"], gop=7), way="shots")
    assert [named(frame) for frame in video.frames] == ["red", "green", "blue"]
    np.testing.assert_allclose(video.times, [0, 2, 3], atol=1e-6)


def test_no_more_shots_than_wanted(decoder):
    video = decoder.decode(clip(["red", "green"] * 10), way="shots", most=3)
    assert len(video.frames) == 3
    assert (np.diff(video.times) > 0).all()


def test_frames_are_scaled_down_and_never_up(decoder):
    data = clip(["red"], size=(320, 160))
    assert decoder.decode(data, largest=64).frames.shape[1:] == (32, 64, 3)
    assert decoder.decode(data, largest=512).frames.shape[1:] == (160, 320, 3)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_camera_that_was_held_any_way(decoder, turn):
    video = decoder.decode(clip(["blue"], rotation=turn, size=(96, 48)))
    assert video.rotation in (turn, 360 - turn)
    assert (video.width, video.height) == ((48, 96) if turn % 180 else (96, 48))
    upright = np.rot90(plain((40, 40, 200), (96, 48)), video.rotation // 90)
    assert np.abs(video.frames[0].astype(int) - upright).mean() < 12


def test_frames_at_any_pace_keep_their_moments(decoder):
    times = [0, 40, 500, 540, 2000, 2040, 2080, 4000, 4500, 9000]
    data = clip(["red"], each=10, times=times, form="matroska", gop=1)
    video = decoder.decode(data)
    np.testing.assert_allclose(video.times * 1000, times, atol=1.5)


def test_a_probe_says_what_it_is(decoder):
    video = decoder.probe(clip(["red", "green"], size=(320, 240)))
    assert (video.width, video.height, len(video.frames)) == (320, 240, 1)


def test_the_same_bytes_give_the_same_frames_in_another_program(decoder):
    data = clip(["red", "green"])
    with VideoDecoder() as other:
        assert np.array_equal(other.decode(data).frames, decoder.decode(data).frames)


# What is refused


def test_nothing_and_what_is_no_video(decoder):
    assert refused(decoder, b"") == ("video-unreadable", "the video is empty")
    assert refused(decoder, b"%PDF-1.7 " * 50)[1] == "the file is a PDF document, not a video that is taken"
    assert refused(decoder, os.urandom(5_000))[0] == "video-unreadable"


def test_a_list_of_other_files_is_not_followed(decoder, tmp_path):
    (tmp_path / "inside.mp4").write_bytes(clip(["red"]))
    for text in (
        f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/inside.mp4\n",
        f"ffconcat version 1.0\nfile '{tmp_path}/inside.mp4'\n",
    ):
        assert refused(decoder, text.encode())[0] == "video-unreadable"


def test_sound_alone(decoder):
    assert refused(decoder, sound_only()) == ("video-unreadable", "the file has no pictures, only sound")


def test_sound_beside_does_not_matter(decoder):
    assert len(decoder.decode(clip(["red", "green"], sound=True)).frames) == 2


def test_a_file_cut_short_before_its_index(decoder):
    data = clip(["red", "green", "blue"])
    assert refused(decoder, data[: len(data) // 2])[1] == "the video is cut short or damaged"


def test_a_file_cut_short_after_its_index_gives_what_is_there_and_says_so(decoder):
    data = clip(["red", "green", "blue", "grey"] * 3, size=(320, 240), form="matroska")
    video = decoder.decode(data[: len(data) // 2])
    assert not video.whole
    assert 0 < len(video.frames) < 12


def test_no_frame_at_all(decoder):
    header = clip([], form="avi")
    assert refused(decoder, header)[0] == "video-unreadable"


def test_the_name_does_not_matter_only_the_content(decoder):
    """A WebM file that was sent as an MP4: nobody asks for the name."""
    assert decoder.decode(clip(["red"], form="webm", codec="libvpx")).format == "Matroska"


def test_damage_in_the_middle_costs_its_frames_alone(decoder):
    data = bytearray(clip(["red", "green", "blue"] * 4, size=(160, 120)))
    middle = len(data) // 2
    data[middle : middle + 200] = os.urandom(200)
    assert len(decoder.decode(bytes(data)).frames) >= 8


def test_limits_of_size_length_and_bytes():
    data = clip(["red"], size=(640, 480))
    with VideoDecoder(most_pixels=100_000) as small:
        assert refused(small, data) == ("video-too-large", "the video has 640 x 480 pixels")
    with VideoDecoder(most_bytes=1_000) as small:
        assert refused(small, data)[0] == "video-too-large"
    with VideoDecoder(most_s=2) as small:
        assert refused(small, clip(["red"] * 4))[1].startswith("the video lasts 4 s")


def test_a_header_that_claims_to_be_huge(decoder):
    data = clip(["red"], form="avi", codec="rawvideo", size=(64, 48), each=2)
    place = data.index(b"strf") + 12
    huge = data[:place] + (60_000).to_bytes(4, "little") * 2 + data[place + 8 :]
    assert decoder.decode(data).width == 64
    assert refused(decoder, huge)[0] in ("video-too-large", "video-unreadable")


def test_a_bomb_costs_no_more_than_its_limit(decoder):
    """Little to send, much to decode: hours of a still picture."""
    data = clip(["red"] * 20, each=50, size=(640, 480), gop=3_000)
    assert len(data) < 1_000_000
    with VideoDecoder(cpu_s=0.05) as strict:
        start = time.monotonic()
        assert refused(strict, data, way="shots")[0] == "video-too-slow"
        assert time.monotonic() - start < 30
    assert len(decoder.decode(data, most=1).frames) == 1  # its first frame is cheap


def test_memory_that_is_not_there():
    data = clip(["red"], size=(6000, 4000), each=1)
    with VideoDecoder(memory_mb=192, most_pixels=30_000_000) as small:
        assert refused(small, data)[0] in ("video-too-large", "video-unreadable")
    with VideoDecoder(most_pixels=30_000_000) as large:
        assert large.decode(data).width == 6000


def test_asking_for_more_than_the_decoder_has_room_for(decoder):
    for how in ({"most": 65}, {"most": 0}, {"largest": 513}, {"way": "backwards"}):
        assert refused(decoder, b"x", **how)[0] == "bad-decoder"
    with pytest.raises(InputError):
        VideoDecoder(memory_mb=50)


# The program


def child():
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mine = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) == os.getpid()
            if mine and b"video_child" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return set(found)


linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks into /proc")


@linux
def test_it_can_open_nothing_and_is_limited(decoder):
    before = child()
    with VideoDecoder(memory_mb=512) as other:
        other.decode(clip(["red"]))
        (pid,) = child() - before
        limits = Path(f"/proc/{pid}/limits").read_text()
        said = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()}
    assert (said["Max address space"], said["Max open files"]) == (str(512 << 20), "0")


@linux
def test_a_program_killed_between_videos_is_replaced():
    before = child()
    with VideoDecoder() as other:
        other.decode(clip(["red"]))
        (pid,) = child() - before
        os.kill(pid, signal.SIGKILL)
        assert named(other.decode(clip(["green"])).frames[0]) == "green"


@linux
def test_a_program_that_hangs_is_ended():
    before = child()
    with VideoDecoder(wait_s=0.3) as other:
        other.decode(clip(["red"]))
        (pid,) = child() - before
        os.kill(pid, signal.SIGSTOP)
        assert refused(other, clip(["red"]))[0] == "video-too-slow"
        assert pid not in child()


def test_who_waits_too_long_is_told():
    with VideoDecoder(patience_s=0.05) as other:
        other.decode(clip(["red"]))
        with other._programs._pool.taken(1, new=False), pytest.raises(Unavailable) as caught:
            other.decode(clip(["red"]))
    assert caught.value.code == "decoder-busy"
