"""A judge of pictures: what it says of them, what it does not see, and which part of them spoke."""

import io

import numpy as np
import pytest
from PIL import Image

from winnow.encoders.colours import ColourGrid
from winnow.models.base import Run
from winnow.models.content import Content, Labelled
from winnow.models.content_fusion import EarlyFusion
from winnow.moderation.post import Post
from winnow.moderation.trained import ContentJudge


def picture(seed, red=False):
    pixels = np.random.default_rng(seed).integers(60, 200, (48, 48, 3)).astype(np.uint8)
    pixels[:, :, 0] = 30
    if red:
        pixels[:20, 28:] = (250, 20, 20)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Pictures with a red corner on the upper right are spam."""
    encode = ColourGrid().open(tmp_path_factory.mktemp("colours"))
    spam = np.arange(160) % 2 == 0
    vectors = encode([picture(i, red) for i, red in enumerate(spam)])
    rows = Labelled(Content(["lorem"] * 160, pictures=vectors), {"spam": spam.astype(np.float32)})
    folder = tmp_path_factory.mktemp("model")
    model = EarlyFusion(members=1, epochs=10, hidden=8, folds=2, batch_size=32, learning_rate=5e-3)
    model.fit(rows.take(np.arange(120)), rows.take(np.arange(120, 160)), Run(folder, threads=1))
    return ContentJudge.load(folder, encode_pictures=encode)


def test_pictures_are_judged_and_what_is_not_at_hand_is_not(judge):
    assert judge.reads == ("text", "image")
    bad, good = Post(text="lorem", image=picture(900, True)), Post(image=picture(901))
    unseen, broken = Post(image_sha256="0" * 64), Post(image=b"no picture")
    p = judge.judge([bad, good, unseen, broken, Post(text="lorem")]).probability[:, 0]
    assert p[0] > 0.5 > p[1]
    assert np.isnan(p).tolist() == [False, False, True, True, False]


def test_the_part_of_a_picture_that_spoke_is_told(judge):
    found = judge.regions([Post(text="lorem", image=picture(902, True)), Post(image=picture(903)), Post(text="lorem")])
    assert [len(row) > 0 for row in found] == [True, False, False]
    heaviest = found[0][0]
    assert heaviest.x0 >= 0.3
    assert heaviest.y1 <= 0.7
    assert 0 < heaviest.weight <= 1


def test_a_judge_of_texts_tells_no_regions(judge):
    texts_only = ContentJudge(judge._scorer, name="texts")
    assert texts_only.reads == ("text",)
    assert texts_only.regions([Post(text="lorem", image=picture(904, True))]) == [[]]
