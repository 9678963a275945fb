"""Regions of pictures that carried a decision: a planted patch decides, and is found."""

import io

import numpy as np
import pytest
from PIL import Image

from winnow.encoders.colours import ColourGrid
from winnow.models.base import Run
from winnow.models.content import Content, Labelled, load_content_scorer
from winnow.models.content_fusion import EarlyFusion
from winnow.models.content_regions import Region, regions

RED, SIDE = (250, 20, 20), 96


def picture(seed, patch=None):
    """Noise in greens and blues; `patch` is the left upper corner of a red square of a third of the side."""
    pixels = np.random.default_rng(seed).integers(60, 200, (SIDE, SIDE, 3)).astype(np.uint8)
    pixels[:, :, 0] = 30
    if patch is not None:
        x, y = (int(share * SIDE) for share in patch)
        pixels[y : y + SIDE // 3, x : x + SIDE // 3] = RED
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def encode(tmp_path_factory):
    return ColourGrid().open(tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="module")
def scorer(tmp_path_factory, encode):
    """Pictures with a red square anywhere are spam; texts say nothing."""
    rng, spam = np.random.default_rng(0), np.arange(240) % 2 == 0
    corners = rng.random((240, 2)) * 2 / 3
    files = [picture(i, corners[i] if spam[i] else None) for i in range(240)]
    labels = {"spam": spam.astype(np.float32), "insult": np.tile(np.float32([1, 0, 0]), 80)}
    rows = Labelled(Content(["lorem ipsum"] * 240, pictures=encode(files)), labels)
    folder = tmp_path_factory.mktemp("model")
    model = EarlyFusion(members=1, epochs=15, hidden=16, folds=2, batch_size=32, learning_rate=5e-3, dropout=0.1)
    model.fit(rows.take(np.arange(180)), rows.take(np.arange(180, 240)), Run(folder, threads=1))
    return load_content_scorer(folder)


def overlap(region: Region, patch) -> float:
    """Intersection over union with a planted square."""
    x, y = patch
    wide = max(0.0, min(region.x1, x + 1 / 3) - max(region.x0, x))
    high = max(0.0, min(region.y1, y + 1 / 3) - max(region.y0, y))
    both, own = wide * high, (region.x1 - region.x0) * (region.y1 - region.y0)
    return both / (own + 1 / 9 - both)


@pytest.mark.parametrize("patch", [(0.0, 0.0), (0.5, 0.1), (0.65, 0.65), (0.3, 0.4)])
def test_the_part_that_decides_is_found(scorer, encode, patch):
    files = [picture(900, patch)]
    found = regions(scorer, Content(["lorem"], pictures=encode(files)), files, encode)[0]
    spam = [region for region in found if region.head == "spam"]
    assert overlap(spam[0], patch) > 0.4
    assert spam[0].weight > 1
    assert all(0 <= r.x0 < r.x1 <= 1 and 0 <= r.y0 < r.y1 <= 1 for r in found)
    assert found == sorted(found, key=lambda region: -region.weight)


def test_only_likely_heads_and_pictures_that_are_there_are_explained(scorer, encode):
    files = [picture(901), None, b"no picture"]
    content = Content(["lorem"] * 3, pictures=encode([f or b"" for f in files]))
    assert regions(scorer, content, files, encode) == [[], [], []]
    shown = [picture(902, (0.2, 0.2)), None]
    content = Content(["lorem"] * 2, pictures=encode([f or b"" for f in shown]))
    first, second = regions(scorer, content, shown, encode)
    assert {region.head for region in first} == {"spam"}
    assert second == []


def test_what_is_not_explained_is_not_encoded(scorer, encode):
    files = [picture(903)]
    asked = []

    def counting(images):
        asked.append(len(images))
        return encode(images)

    content = Content(["lorem"], pictures=encode(files))
    regions(scorer, content, files, counting)
    assert asked == []
    regions(scorer, content, files, counting, least=0.0)
    assert len(asked) <= 3  # the whole picture, all boxes at once, and what they add up to
