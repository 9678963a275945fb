"""The past of an ad market comes in as any data set does."""

import pytest

from winnow.core.errors import NotFound
from winnow.core.time import now_us
from winnow.data.importers import load
from winnow.project import Project
from winnow.simulation.ads_past import AdPast
from winnow.simulation.ads_world import AdSize
from winnow.simulation.importer import FILE, AdsImporter


def test_a_noted_market_is_built_again_and_lands_whole_and_once(tmp_path):
    AdPast(AdSize(people=60, advertisers=3), 1, now_us()).write(tmp_path / FILE)
    project = Project.init(tmp_path / "market", "ad_click")
    receipt = load(AdsImporter(), tmp_path, project.intake, progress=False).total
    assert receipt.quarantined == 0
    assert len(project.frame("impression")) == 60 * 5 * 3
    events = len(project.frame("click"))
    assert events
    load(AdsImporter(), tmp_path, project.intake, progress=False)
    assert len(project.frame("click")) == events
    project.close()


def test_a_folder_without_a_market_is_told(tmp_path):
    with pytest.raises(NotFound, match="no-world"):
        load(AdsImporter(), tmp_path, Project.init(tmp_path / "m", "ad_click").intake, progress=False)
