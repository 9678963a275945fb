"""Clips made here: of plain colours, so that what a frame shows can be told whatever the codec does to it."""

import io
from fractions import Fraction

import numpy as np

RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 180, 40), (40, 40, 200), (128, 128, 128)
COLOURS = {"red": RED, "green": GREEN, "blue": BLUE, "grey": GREY}


def plain(colour, size=(64, 48)):
    """One frame, with a light upper left corner by which its turn can be told."""
    frame = np.full((size[1], size[0], 3), colour, np.uint8)
    frame[: size[1] // 3, : size[0] // 3] = 240
    return frame


def named(pixels):
    """Which colour fills most of a frame."""
    middle = np.median(pixels.reshape(-1, 3), axis=0)
    return min(COLOURS, key=lambda name: np.abs(middle - COLOURS[name]).sum())


def clip(colours, *, each=10, rate=10, size=(64, 48), gop=10, form="mp4", codec="mpeg4", rotation=0, times=None,
         sound=False, options=None):  # fmt: skip
    """A file in which each colour is seen for some frames; `times` are moments of the frames in ms, for any pace."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=form, options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p" if codec != "gif" else "rgb8"
        stream.codec_context.gop_size = gop
        stream.bit_rate = 2_000_000
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        music = container.add_stream("mp2", rate=44_100) if sound else None
        for place, colour in enumerate(c for c in colours for _ in range(each)):
            frame = av.VideoFrame.from_ndarray(plain(COLOURS[colour], size), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[place], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if music:
            _noise(container, music)
    return file.getvalue()


def sound_only():
    """A file with sound and nothing to see."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        _noise(container, container.add_stream("aac", rate=44_100))
    return file.getvalue()


def _noise(container, stream):
    import av

    for _ in range(20):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
