"""The figures a running system exports, in the format of Prometheus.

Several processes stand behind one port. Each writes its values into memory-mapped files of one folder, and whoever
answers `/metrics` adds them up, so the answer is the same from every worker. The library decides between this and
in-process values when it is first imported: a supervisor starts its workers with `environment(folder)`.
"""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

CONTENT_TYPE = CONTENT_TYPE_LATEST
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "winnow_"

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.35, 0.5, 1, 2, 5, 10)
_COUNTS = (0, 1, 5, 10, 20, 50, 100, 200, 300, 500, 750, 1_000, 2_000, 5_000)

REQUESTS = Counter("winnow_http_requests_total", "HTTP requests answered", ["route", "status"])
REQUEST_SECONDS = Histogram("winnow_http_request_seconds", "Time to answer a request", ["route"], buckets=_SECONDS)
RANK_SECONDS = Histogram("winnow_rank_seconds", "Time of one ranking", ["system"], buckets=_SECONDS)
STAGE_SECONDS = Histogram("winnow_stage_seconds", "Time of one stage", ["system", "stage"], buckets=_SECONDS)
CANDIDATES = Histogram("winnow_candidates", "Candidates after a stage", ["system", "stage"], buckets=_COUNTS)
DEGRADED = Counter("winnow_degraded_total", "Stages that failed or ran late and were left out", ["system", "stage"])
ERRORS = Counter("winnow_errors_total", "Errors answered, by code", ["code"])
EVENTS = Counter("winnow_events_total", "Events by outcome: accepted, duplicate, quarantined", ["type", "outcome"])
DECISIONS = Counter("winnow_decisions_total", "Decisions about posts, by action and harm", ["action", "harm"])
UNJUDGED = Counter("winnow_harms_unjudged_total", "Harms of which no judge said anything about a post", ["harm"])
APPEALS = Counter("winnow_appeals_total", "Appeals decided, by outcome", ["outcome"])
REVIEW_WAITING = Gauge(
    "winnow_review_waiting", "Posts that wait for a reviewer, when one last asked", multiprocess_mode="mostrecent"
)
APPEND_SECONDS = Histogram("winnow_log_append_seconds", "Time until a batch is on disk", buckets=_SECONDS)
LAG_SECONDS = Gauge(
    "winnow_ingest_lag_seconds", "Age of the oldest logged event that features do not show", multiprocess_mode="livemax"
)
LOG_SEQ = Gauge("winnow_log_seq", "Newest sequence number in the log", multiprocess_mode="max")
APPLIED_SEQ = Gauge("winnow_applied_seq", "Newest sequence number that features show", multiprocess_mode="max")
MIRROR_LAG_ROWS = Gauge(
    "winnow_mirror_lag_rows", "Sequence numbers by which features in Redis are behind the live tables",
    multiprocess_mode="mostrecent",
)  # fmt: skip
MIRROR_LAG_SECONDS = Gauge(
    "winnow_mirror_lag_seconds", "Seconds by which features in Redis are behind the live tables",
    multiprocess_mode="mostrecent",
)  # fmt: skip
TABLE_ROWS = Gauge(
    "winnow_live_table_rows", "Rows or pairs of a live table: cap, used", ["table", "what"],
    multiprocess_mode="mostrecent",
)  # fmt: skip
TABLE_LOST = Gauge(
    "winnow_live_table_lost", "Rows or pairs that a full live table turned away: refused, evicted", ["table", "what"],
    multiprocess_mode="mostrecent",
)  # fmt: skip
TABLE_BYTES = Gauge("winnow_live_table_bytes", "Memory of a live table", ["table"], multiprocess_mode="mostrecent")
SERVING = Gauge(
    "winnow_release_workers", "Workers that serve a release", ["system", "release"], multiprocess_mode="livesum"
)
INDEX_RECALL = Gauge(
    "winnow_index_recall", "Share of the exact nearest ten that the live index finds, of the worst worker",
    ["system", "index"], multiprocess_mode="livemin",
)  # fmt: skip
INDEX_ITEMS = Gauge(
    "winnow_index_items", "Items that the live index can find, of the worker that has fewest", ["system", "index"],
    multiprocess_mode="livemin",
)  # fmt: skip
INDEX_MADE = Gauge(
    "winnow_index_made_timestamp_seconds", "When the base of the index was built, of the worker with the oldest",
    ["system", "index"], multiprocess_mode="livemin",
)  # fmt: skip
INDEX_REFUSED = Counter(
    "winnow_index_refused_total", "Vectors refused because another version of the encoder made them",
    ["system", "index"],
)  # fmt: skip
STORED_AGE = Gauge(
    "winnow_stored_age_seconds", "Median age of the lists of a source that were worked out beforehand",
    ["system", "source"], multiprocess_mode="mostrecent",
)  # fmt: skip
FINDINGS = Gauge(
    "winnow_monitor_value", "Last value of a monitor", ["system", "monitor", "subject", "measure"],
    multiprocess_mode="mostrecent",
)  # fmt: skip
ALERTS = Gauge(
    "winnow_monitor_alerts", "Findings beyond their limit", ["system", "monitor"], multiprocess_mode="mostrecent"
)


def environment(folder: Path) -> dict[str, str]:
    """Prepares an empty folder for the values of a group of processes.

    Args:
        folder: used by one supervisor at a time; files of an earlier run in it are removed.

    Returns:
        Variables that the processes must have in their environment when they start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink()
    return {VARIABLE: str(folder)}


def forget(folder: Path, pid: int) -> None:
    """Drops the present values (such as "workers that serve") of a process that ended; its counts stay."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def exposition(folder: Path | None = None) -> bytes:
    """The text of `/metrics`.

    Args:
        folder: of the group of processes; None takes the folder of this process's environment, or this process's own
            values when it belongs to no group.
    """
    where = str(folder) if folder else os.environ.get(VARIABLE)
    if where is None:
        return _own()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=where)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def live_tables(tables: Mapping[str, Mapping[str, int]]) -> None:
    """Exports the sizes of live tables.

    Args:
        tables: name → `cap`, `used`, `refused`, `evicted`, `bytes`.
    """
    for table, told in tables.items():
        for what in ("cap", "used"):
            TABLE_ROWS.labels(table, what).set(told[what])
        for what in ("refused", "evicted"):
            TABLE_LOST.labels(table, what).set(told[what])
        TABLE_BYTES.labels(table).set(told["bytes"])


def live_index(system: str, index: str, *, recall: float, items: int, made_at: int) -> None:
    """Exports what a probe measured of a vector index.

    Args:
        system: whose index it is.
        index: what it finds.
        recall: share of the exact nearest that it finds, in [0, 1]; NaN for an empty index, which exports none.
        items: that can be found.
        made_at: when its base was built, microseconds UTC.
    """
    if not math.isnan(recall):
        INDEX_RECALL.labels(system, index).set(recall)
    INDEX_ITEMS.labels(system, index).set(items)
    INDEX_MADE.labels(system, index).set(made_at / 1e6)


def stored_lists(system: str, source: str, age_s: float) -> None:
    """Exports the median age of the stored lists of a source, in seconds."""
    STORED_AGE.labels(system, source).set(age_s)


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    """Observes the seconds that a block takes, also when it fails."""
    start = perf_counter()
    try:
        yield
    finally:
        histogram.observe(perf_counter() - start)


def _own() -> bytes:
    registry = CollectorRegistry()

    class Ours:
        def collect(self) -> Iterator[object]:
            return (family for family in REGISTRY.collect() if family.name.startswith(_PREFIX))

    registry.register(Ours())  # type: ignore[arg-type]
    return generate_latest(registry)
