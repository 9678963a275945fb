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
    """The system in the box with rankers that train in seconds, and no retrieval model."""
    text = systems.source("video_recommendation")
    text = re.sub(r"retrieval = w\.Ladder\(.*\)\n", "", text).replace("retrieval=retrieval, ", "")
    text = text.replace("sources.Nearest(limit=300), ", "")
    ladder = 'L0=w.Formula("video_click_rate_ever"), L1=w.GradientBoosting(), L2=w.GradientBoosting()'
    return re.sub(r"ranking = w\.Ladder\(.*\)", f"ranking = w.Ladder({ladder})", text)


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
