"""Known images found by what they look like; images that nobody can read; images as reviewers see them."""

import io

import numpy as np
import pytest
from moderation_world import SETTINGS

pytest.importorskip("PIL")

from PIL import Image

from winnow.media.bank import HashBank
from winnow.media.decode import shared
from winnow.media.perceptual import pdq
from winnow.moderation.deciding import told
from winnow.moderation.likeness import shown
from winnow.moderation.post import Post


def picture(seed=0, *, form="PNG", turn=0, side=600):
    """A picture with something to see in it, as a file."""
    chance = np.random.default_rng(seed)
    rough = chance.integers(0, 255, (8, 8, 3), np.uint8)
    image = Image.fromarray(rough).resize((side, side), Image.Resampling.BICUBIC).rotate(turn)
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


@pytest.fixture
def court(make, tmp_path):
    """A project with one known picture."""
    hash, quality = pdq(shared().decode(picture(1)).pixels)
    assert quality >= 50
    folder = tmp_path / "shop"
    folder.mkdir()
    HashBank.build(np.array([hash]), ["peril"]).save(folder / "bank")
    return make(SETTINGS.replace("[review]", 'bank = "bank"\n[review]'))


def action(court, **post):
    return court.decide([Post(text="look", author="sam", **post)])[0]["action"]


@pytest.mark.parametrize("copy", [{"form": "JPEG"}, {"turn": 90}, {"side": 400}])
def test_a_copy_of_a_known_picture_is_found(court, copy):
    made = court.decide([Post(request="r1", image=picture(1, **copy), author="sam")])[0]
    assert (made["action"], made["escalate"], made["harm"]) == ("remove", True, "")
    assert told(court.ledger, "r1")["made"]["match"]["kind"] == "pdq"


def test_another_picture_is_not(court):
    assert action(court, image=picture(2)) == "allow"


@pytest.mark.parametrize("bad", [{"image": b"no picture"}, {"image": b""}, {"image_sha256": "0" * 64}])
def test_what_cannot_be_looked_up_may_be_the_gravest(court, bad):
    assert action(court, **bad) == "hold"


def test_one_bad_picture_does_not_hold_the_others(court):
    made = court.decide([Post(text="a", image=b"no picture"), Post(text="b", image=picture(2)), Post(text="c")])
    assert [m["action"] for m in made] == ["hold", "allow", "allow"]


def test_reviewers_see_the_pixels_and_nothing_else_of_the_file():
    marker = b"mxyzptlk"
    made = shown(picture(3, side=2000) + marker)
    image = Image.open(io.BytesIO(made))
    assert (image.format, image.size) == ("JPEG", (1024, 1024))
    assert marker not in made
    assert shown(b"<svg>") is None
