"""Design mistakes in a pipeline are found before it serves."""

from dataclasses import replace

import pytest

import winnow as w
from winnow import filters, policy, slate, sources
from winnow.core.loading import load
from winnow.serving.value import check_weights


@pytest.fixture
def system(tmp_path):
    from winnow import systems

    path = tmp_path / "video_recommendation.py"
    path.write_text(systems.source("video_recommendation"))
    return load(path)


def codes(system, **changes):
    changed = replace(system, pipeline=replace(system.pipeline, **changes))
    return {p.code for p in changed.find_problems()} - {p.code for p in system.find_problems()}


def test_the_system_in_the_box_has_no_problem(system):
    assert not [p for p in system.find_problems() if p.where]


def column(system, name):
    return getattr(system.labels.item, name)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda s: {"value": w.Weighted(clik=1)}, "unpredicted-head"),
        (lambda s: {"value": w.Weighted(click=float("nan"))}, "weight-not-finite"),
        (lambda s: {"value": w.Weighted(click=0)}, "no-weights"),
        (lambda s: {"sources": []}, "no-sources"),
        (lambda s: {"sources": [sources.Nearest(), sources.Nearest()]}, "duplicate-source"),
        (lambda s: {"sources": [sources.Nearest(limit=0)]}, "bad-limit"),
        (lambda s: {"size": 0}, "bad-size"),
        (lambda s: {"size": 501}, "bad-size"),
        (lambda s: {"slate": [slate.RepeatDecay(column(s, "author"), factor=0)]}, "bad-factor"),
        (lambda s: {"slate": [slate.RepeatDecay(column(s, "tags"))]}, "bad-column"),
        (lambda s: {"slate": [slate.Mmr(column(s, "duration_s"))]}, "bad-column"),
        (lambda s: {"slate": [slate.Mmr(column(s, "tags"), strength=2)]}, "bad-strength"),
        (lambda s: {"slate": [slate.Explore(share=1.5)]}, "bad-share"),
        (lambda s: {"slate": [slate.Explore(), slate.Mmr(column(s, "tags"))]}, "explores-too-early"),
        (lambda s: {"policy": [policy.Available(column(s, "author"))]}, "bad-column"),
        (lambda s: {"filters": [filters.OlderThan(w.days(1), of=column(s, "author"))]}, "bad-column"),
    ],
)
def test_a_mistake_is_found(system, make, code):
    assert codes(system, **make(system)) == {code}


def test_nearest_needs_a_retrieval_ladder(system):
    assert "no-retrieval" in {p.code for p in replace(system, retrieval=None).find_problems()}


def test_problems_say_where_and_how_to_mend(system):
    changed = replace(system, pipeline=replace(system.pipeline, value=w.Weighted(clik=1)))
    problem = next(p for p in changed.find_problems() if p.code == "unpredicted-head")
    assert problem.where.startswith("test_serving_declare.py:")
    assert problem.fix == "did you mean `click`?"


def test_live_weights_are_checked_like_declared_ones(system):
    check_weights({"click": 1.0, "like": -2}, system.labels.heads)
    with pytest.raises(w.WinnowError, match="did you mean `like`"):
        check_weights({"lik": 1.0}, system.labels.heads)


def test_the_state_that_parts_need_is_asked_for_once(system):
    names = [a.name for a in system.pipeline.aggregates()]
    assert len(names) == len(set(names)) == 4


def test_reading_a_system_file_imports_no_model_library():
    import subprocess
    import sys

    code = (
        "import sys; from winnow.serving import pipeline, sources, filters, policy, slate, value\n"
        "sys.exit(any(m in sys.modules for m in ('faiss', 'onnxruntime', 'scipy', 'torch', 'lightgbm', 'polars')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
