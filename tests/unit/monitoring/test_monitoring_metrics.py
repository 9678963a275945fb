import os
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from winnow.monitoring import metrics

WORKER = """
import sys
from winnow.monitoring import metrics
metrics.REQUESTS.labels("rank", "200").inc(int(sys.argv[1]))
metrics.RANK_SECONDS.labels("feed").observe(0.004)
metrics.SERVING.labels("feed", "abc").set(1)
metrics.APPLIED_SEQ.set(int(sys.argv[1]) * 10)
sys.stdout.write(metrics.exposition().decode() if len(sys.argv) > 2 else "")
sys.stdout.flush()
sys.stdin.read()
"""


def start(environment, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *arguments], env={**os.environ, **environment},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def values(text):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_worker_answers_for_all(tmp_path):
    environment = metrics.environment(tmp_path / "metrics")
    workers = [start(environment, n) for n in ("2", "3")]
    while len(list((tmp_path / "metrics").glob("gauge_max_*.db"))) < 2:
        assert all(w.poll() is None for w in workers)
    last = start(environment, "5", "show")
    last.stdin.close()
    seen = values(last.stdout.read())
    last.wait()
    last.stdout.close()
    assert seen["winnow_http_requests_total", "200", "rank"] == 10
    assert seen["winnow_rank_seconds_count", "feed"] == 3
    assert seen["winnow_rank_seconds_bucket", "0.005", "feed"] == 3
    assert seen["winnow_rank_seconds_bucket", "0.002", "feed"] == 0
    assert seen["winnow_applied_seq",] == 50
    assert seen["winnow_release_workers", "abc", "feed"] == 3
    for worker in workers:
        worker.kill()
        worker.wait()
        worker.stdin.close()
        worker.stdout.close()
    for process in (*workers, last):
        metrics.forget(tmp_path / "metrics", process.pid)
    after = values(metrics.exposition(tmp_path / "metrics").decode())
    assert after["winnow_http_requests_total", "200", "rank"] == 10
    assert ("winnow_release_workers", "abc", "feed") not in after


def test_a_new_run_starts_from_zero(tmp_path):
    (tmp_path / "counter_1.db").write_bytes(b"old")
    assert metrics.environment(tmp_path) == {metrics.VARIABLE: str(tmp_path)}
    assert metrics.exposition(tmp_path) == b""


def test_one_process_alone_shows_its_own_figures():
    metrics.ERRORS.labels("unknown-system").inc()
    with metrics.timed(metrics.APPEND_SECONDS):
        pass
    text = metrics.exposition().decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert names
    assert all(name.startswith("winnow_") for name in names)
    assert values(text)["winnow_errors_total", "unknown-system"] >= 1
    assert values(text)["winnow_log_append_seconds_count",] >= 1


def test_a_block_that_fails_is_timed_too():
    def count():
        return values(metrics.exposition().decode()).get(("winnow_rank_seconds_count", "broken"), 0)

    with pytest.raises(FileNotFoundError), metrics.timed(metrics.RANK_SECONDS.labels("broken")):
        open("/none/such")  # noqa: SIM115
    assert count() == 1
