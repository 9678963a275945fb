"""What is refreshed between full trainings learns from no row whose label is made of what judges it."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import shop

from winnow.continual import recent
from winnow.core.system import Retrain
from winnow.core.time import MICROS, hours, now_us
from winnow.features.past import Count
from winnow.training import dataset

HOUR = 3_600 * MICROS


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    sizes = shop.Sizes(impressions=1_500, days=1)
    with shop.made(tmp_path_factory.mktemp("recent") / "shop", sizes=sizes, train=False) as project:
        project.history.sync(project.log)
        yield project


@pytest.fixture
def system(project):
    """One cheap feature is enough here: what is cut are rows."""
    whole = project.system("video_recommendation")
    cheap = next(f for f in whole.features if isinstance(f, Count))
    return replace(whole, features=[cheap])


def cut(project, system, now):
    final = dataset.labelled(system, project.history, now)["at"].to_numpy()
    first, middle, end = int(final[0]), int(final[len(final) * 2 // 3]), int(final[-1]) + 1
    return middle, recent.between(project, system, (first, middle, end), as_of=now)


def test_rows_whose_labels_reach_beyond_the_cut_teach_nothing(project, system):
    now = now_us()
    middle, data = cut(project, system, now)
    assert len(data.train) > 300
    assert data.train.at.max() + HOUR <= middle < data.test.at.min()
    known = dataset.labelled(system, project.history, now)["at"].to_numpy()
    assert ((known > middle - HOUR) & (known < middle)).sum() > 20  # there were some to leave out


@pytest.mark.parametrize("gap", [timedelta(0), hours(3)])
def test_a_declared_embargo_takes_the_place_of_the_label_window(project, system, gap):
    middle, data = cut(project, replace(system, retrain=Retrain(embargo=gap)), now_us())
    newest = data.train.at.max()
    assert newest < middle
    assert newest + gap.total_seconds() * MICROS <= middle < newest + gap.total_seconds() * MICROS + HOUR
