"""The pictures on the page about features are drawn from its examples: what is on disk is what they draw now."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import pictures


def test_every_picture_on_the_page_is_what_its_example_draws():
    drawn = pictures.drawn()
    shown = re.findall(r"!\[[^\]]+\]\(\.\./pictures/(\w+)\.svg\)", pictures.PAGE.read_text())
    assert sorted(shown) == sorted(drawn)
    for name, svg in drawn.items():
        same = (pictures.PICTURES / f"{name}.svg").read_text() == svg
        assert same, f"{name}.svg is out of date: run `python tools/pictures.py`"
