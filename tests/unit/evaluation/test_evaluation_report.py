import json

import numpy as np
import pytest
from rich.console import Console

from winnow.core.errors import InputError, NotFound, WinnowError
from winnow.evaluation import rankers, report, retrievers, slices
from winnow.evaluation.lists import Relevant


def ladder(rows=2_000):
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 300, rows), rng.integers(0, 100, rows)
    truth = rng.random(rows)
    click = (rng.random(rows) < truth).astype(np.float32)
    watch = np.where(click > 0, 30 * truth, np.nan).astype(np.float32)
    held_out = rankers.HeldOut(
        {"click": click, "seconds": watch},
        users,
        {"click": 0.5},
        slices.standard(users, items, trained_users=np.arange(250), trained_items=rng.integers(0, 90, 5_000)),
    )
    noisy = np.clip(truth + rng.normal(0, 0.3, rows), 0.02, 0.98)
    heads = ("click", "seconds")
    rungs = [
        rankers.Rung("L0", "rate", ("click",), np.full((rows, 1), 0.5, np.float32)),
        rankers.Rung("L1", "gbdt", heads, np.stack([noisy, 30 * noisy], 1).astype(np.float32)),
        rankers.Rung("L2", "network", heads, np.stack([truth, 30 * truth], 1).astype(np.float32)),
    ]
    return rungs, held_out


def test_every_rung_head_slice_and_metric_has_a_record():
    rungs, held_out = ladder()
    records = rankers.evaluate(rungs, held_out, resamples=20)
    assert {r["slice"] for r in records} == {"all", *held_out.slices}
    assert {r["metric"] for r in report.pick(records, head="click")} == {
        "auc", "ne", "ece", "pr_auc", "log_loss", "calibration",
    }  # fmt: skip
    assert {r["metric"] for r in report.pick(records, head="seconds")} == {"mae", "rmse", "calibration"}
    assert not report.pick(records, rung="L0", head="seconds")
    (seconds,) = report.pick(records, rung="L2", head="seconds", metric="mae", slice="all")
    assert seconds["n"] == int((~np.isnan(held_out.labels["seconds"])).sum())
    assert seconds["value"] == pytest.approx(0, abs=1e-5)


def test_the_constant_rung_is_the_base_line():
    rungs, held_out = ladder()
    records = rankers.evaluate(rungs[:1], held_out, resamples=5)
    value = {r["metric"]: r["value"] for r in report.pick(records, slice="all")}
    assert value["auc"] == 0.5
    assert value["ne"] == pytest.approx(1, abs=1e-6)


def test_a_comparison_shows_which_rung_is_better():
    rungs, held_out = ladder()
    found = {
        r["metric"]: r for r in report.pick(rankers.compare(rungs[2], rungs[1], held_out), head="click", slice="all")
    }
    assert found["auc"]["low"] > 0
    assert found["ne"]["high"] < 0
    same = rankers.compare(rungs[1], rungs[1], held_out, resamples=5)
    assert all(r["value"] in (0, None) for r in same)


def test_what_does_not_fit_is_told_all_at_once():
    rungs, held_out = ladder()
    short = rankers.Rung("L1", "gbdt", ("click",), np.zeros((5, 1), np.float32))
    bare = rankers.HeldOut(held_out.labels, held_out.users, {})
    with pytest.raises(InputError) as error:
        rankers.evaluate([*rungs, short], bare)
    assert [p.code for p in error.value.problems] == ["lengths-differ", "no-base-rate"]
    with pytest.raises(NotFound, match="did you mean `click`"):
        rungs[0].of("clik")


def test_retrieval_is_judged_over_the_corpus_with_slices():
    rng = np.random.default_rng(0)
    relevant = Relevant.of([set(rng.integers(0, 500, 4).tolist()) for _ in range(200)])
    random = np.stack([rng.permutation(500)[:100] for _ in range(200)])
    oracle = np.full((200, 100), -1)
    for query, row in zip(relevant.query, relevant.row, strict=True):
        oracle[query, (oracle[query] >= 0).sum()] = row
    queries = retrievers.Queries(
        relevant, rng.integers(0, 60, 200), {"new user": np.arange(200) < 20}, {"new item": np.arange(500) > 450}
    )
    rungs = [retrievers.Retrieved("L0", "random", random), retrievers.Retrieved("L1", "oracle", oracle)]
    records = retrievers.evaluate(rungs, queries)
    recall = {(r["rung"], r["slice"]): r for r in report.pick(records, metric="recall@100")}
    assert recall["L1", "all"]["value"] == recall["L1", "new item"]["value"] == 1
    assert recall["L0", "all"]["low"] < 0.2 < recall["L0", "all"]["high"]
    assert recall["L0", "new user"]["n"] == 20
    assert report.pick(records, rung="L1", metric="ndcg@10", slice="all")[0]["value"] == pytest.approx(1)
    better = report.pick(retrievers.compare(rungs[1], rungs[0], queries), metric="ndcg@10", slice="all")[0]
    assert better["low"] > 0.9


def test_users_of_the_queries_are_needed():
    queries = retrievers.Queries(Relevant.of([{1}, {2}]), np.zeros(1, np.int64))
    with pytest.raises(InputError, match="1 users for 2 queries"):
        retrievers.evaluate([], queries)


def test_records_survive_json(tmp_path):
    rungs, held_out = ladder(300)
    records = rankers.evaluate(rungs, held_out, resamples=5)
    assert any(r["value"] is None for r in records) or records
    report.save(records, tmp_path / "deep" / "evaluation.json")
    assert report.load(tmp_path / "deep" / "evaluation.json") == records
    json.loads((tmp_path / "deep" / "evaluation.json").read_text(), parse_constant=pytest.fail)


def test_an_undefined_metric_is_null():
    held_out = rankers.HeldOut({"click": np.zeros(4)}, np.arange(4), {"click": 0.1})
    rung = rankers.Rung("L0", "rate", ("click",), np.full((4, 1), 0.1, np.float32))
    (auc,) = report.pick(rankers.evaluate([rung], held_out), metric="auc")
    assert (auc["value"], auc["low"], auc["high"]) == (None, None, None)


@pytest.mark.parametrize("text", ["{", '[{"rung": "L0"}]', "[3]"])
def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(WinnowError, match=r"evaluation\.json"):
        report.load(tmp_path / "evaluation.json")


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(NotFound, match="winnow evaluate"):
        report.load(tmp_path / "none.json")


def test_the_table_shows_rungs_side_by_side():
    rungs, held_out = ladder()
    records = rankers.evaluate(rungs, held_out, resamples=20)
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(report.tables(records))
    console.print(report.by_slice(records, head="click", metric="auc"))
    text = console.export_text()
    assert "L1 gbdt" in text
    assert "0.5000" in text
    assert "new item" in text
    console.file.close()


def test_the_best_of_a_line_is_bold():
    rungs, held_out = ladder()
    ne = report.pick(rankers.evaluate(rungs, held_out, resamples=5), metric="ne", slice="all")
    (shown,) = report.tables(ne).renderables
    cells = [str(next(iter(column.cells)).style) for column in shown.columns[2:]]  # type: ignore[union-attr]
    assert cells == ["", "", "bold"]
