"""The figures of the page on event recommendation hold on the real log."""

import pytest
from benchmarks import meetup

from winnow.project import Project


@pytest.mark.heavy
@pytest.mark.skipif(not meetup.DATA.exists(), reason="the Meetup data are not here (WINNOW_DATA)")
def test_trees_beat_every_rule_on_replays_of_real_registrations(tmp_path):
    with Project.init(tmp_path / "p", meetup.NAME) as project:
        judged = meetup.built(project)
        rules = meetup.heuristics(judged)
        trees = meetup._predicted(judged, meetup.TREES, tmp_path)
    told = {name: meetup.figures(judged, scores)["all"]["map"][0] for name, scores in rules.items()}
    best = max(told, key=lambda name: told[name])
    assert best == "same group, popular"
    for part in ("all", "opening", "new member", "new group"):
        _, low, _ = meetup.apart(judged, trees, rules[best])[part]["map"]
        assert low > 0.03, part
    assert told["chance"] < 0.1
