"""Pytest fixtures of a trained shop, imported by the test folders that need a whole project."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import shop
from benchmarks.service import Service

from winnow import systems
from winnow.project import Project


def quick_system() -> str:
    """The system in the box with models that train in seconds, and a deadline that a busy machine meets."""
    text = systems.source("video_recommendation").replace("p99=ms(200)", "p99=ms(1000)")
    half_life = "w.Popularity(half_life=days(2))"
    ladders = {
        "retrieval": f"L0={half_life}, L1={half_life}, L2=w.TwoTower(epochs=1)",
        "ranking": 'L0=w.Formula("video_click_rate_ever"), L1=w.GradientBoosting(), L2=w.GradientBoosting()',
    }
    for name, rungs in ladders.items():
        text = re.sub(rf"{name} = w\.Ladder\(.*\)", f"{name} = w.Ladder({rungs})", text)
    return text


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained project; not to be changed."""
    folder = tmp_path_factory.mktemp("template") / "shop"
    shop.made(folder, quick_system()).log.close()
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A trained project of one's own."""
    shutil.copytree(template, tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def project(folder: Path) -> Iterator[Project]:
    """A trained project of one's own, open."""
    project = Project(folder)
    yield project
    project.log.close()
    project.registry.close()


@pytest.fixture(scope="module")
def service(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service that the tests of one module share."""
    folder = tmp_path_factory.mktemp("service") / "shop"
    shutil.copytree(template, folder)
    with Service(folder) as service:
        yield service
