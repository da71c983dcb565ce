"""The numbers of the server in the text format of Prometheus.

Names and units follow https://prometheus.io/docs/practices/naming/, the text is written by
Prometheus' own client library.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate
from typing import Final, TypeAlias

from msgspec import Struct
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from api.numbers import BOUNDS, Numbers
from api.projection_status import ProjectionStatus
from projections.dashboard import RUN_STATUSES, TASK_STATUSES
from projections.wire import SchedulerStatus
from projections.wire.dashboard import Dashboard

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
MEDIA_TYPE: Final = CONTENT_TYPE.partition(";")[0]
_MILLISECONDS: Final = 1_000

Processes: TypeAlias = Mapping[str, Numbers]
"""The numbers of each process, by its label."""

_Table: TypeAlias = Mapping[str, tuple[str, Callable[[Numbers], float]]]


class Standing(Struct, frozen=True, kw_only=True):
    """How the ledger stands, whichever process is asked."""

    head: int
    dashboard: Dashboard
    scheduler: SchedulerStatus
    projections: tuple[ProjectionStatus, ...]


def exposition(processes: Processes, standing: Standing | None) -> bytes:
    """Return the numbers of all processes, and how the ledger stands, None when it is not known."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([*_of_processes(processes), *_of_ledger(standing)]))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def _of_processes(processes: Processes) -> Iterator[Metric]:
    yield InfoMetricFamily("taskledger_build", "The release.", {"version": version("taskledger")})
    yield _answers(processes)
    yield _durations(processes)
    counters: _Table = {
        "commits": ("Transactions that were committed.", lambda each: each.commit.batches),
        "commands": ("Commands that were decided on.", lambda each: each.commit.commands),
        "refusals": ("Commands that were refused.", lambda each: each.commit.refusals),
        "events": ("Events that were committed.", lambda each: each.commit.events),
        "failures": ("Commands that the store failed.", lambda each: each.commit.failures),
        "cpu_seconds": ("Processor time.", lambda each: each.cpu_seconds),
    }
    for name, (text, value) in counters.items():
        counter = CounterMetricFamily(f"taskledger_{name}", text, labels=["process"])
        for label, each in processes.items():
            counter.add_metric([label], value(each))
        yield counter
    gauges: _Table = {
        "open_streams": ("Answers that go on.", lambda each: each.streams),
        "resident_bytes": ("Memory in use.", lambda each: each.resident_bytes),
        "commit_seconds": (
            "Moving average of the time of a commit.",
            lambda each: each.commit.commit_ms / _MILLISECONDS,
        ),
        "longest_stall_seconds": (
            "The longest time that one batch kept all others waiting.",
            lambda each: each.commit.longest_stall_ms / _MILLISECONDS,
        ),
    }
    for name, (text, value) in gauges.items():
        gauge = GaugeMetricFamily(f"taskledger_{name}", text, labels=["process"])
        for label, each in processes.items():
            gauge.add_metric([label], value(each))
        yield gauge


def _answers(processes: Processes) -> Metric:
    labels = ["process", "operation", "status"]
    counter = CounterMetricFamily("taskledger_http_answers", "Answers over HTTP.", labels=labels)
    for label, each in processes.items():
        for operation, statuses in each.answers.items():
            for status, count in statuses.items():
                counter.add_metric([label, operation, str(status)], count)
    return counter


def _durations(processes: Processes) -> Metric:
    histogram = HistogramMetricFamily(
        "taskledger_http_answer_seconds",
        "How long whole answers took; those that go on as a stream are left out.",
        labels=["process", "operation"],
    )
    names = [*(str(bound) for bound in BOUNDS), "+Inf"]
    for label, each in processes.items():
        for operation, durations in each.durations.items():
            buckets = list(zip(names, accumulate(durations.counts), strict=True))
            histogram.add_metric([label, operation], buckets, durations.total)
    return histogram


def _of_ledger(standing: Standing | None) -> Iterator[Metric]:
    up = standing is not None
    yield GaugeMetricFamily("taskledger_store_up", "Whether the store can be read.", value=up)
    if standing is None:
        return
    totals, scheduler = standing.dashboard.totals, standing.scheduler
    yield GaugeMetricFamily("taskledger_head", "The last sequence.", value=standing.head)
    for what, statuses in (("task", TASK_STATUSES), ("run", RUN_STATUSES)):
        gauge = GaugeMetricFamily(f"taskledger_{what}s", f"{what}s".title(), labels=["status"])
        for status in statuses:
            gauge.add_metric([status], getattr(totals, f"{status}_{what}s"))
        yield gauge
    health, queue = standing.dashboard.health, standing.dashboard.queue
    single = {
        "oldest_queued_seconds": (
            "How long the oldest queued run has waited.",
            queue.oldest_queue_age_ms / _MILLISECONDS,
        ),
        "stuck_runs": ("Runs that show no sign of life.", health.stuck_runs),
        "orphaned_runs": ("Active runs whose session is gone.", health.active_orphan_runs),
        "starved_runs": ("Queued runs that wait too long.", scheduler.starved_run_count),
        "active_claims": ("Runs that a session holds.", scheduler.active_claim_count),
        "scheduler_paused": ("Whether no runs are handed out.", scheduler.paused),
    }
    for name, (text, value) in single.items():
        yield GaugeMetricFamily(f"taskledger_{name}", text, value=value)
    yield from _of_projections(standing)


def _of_projections(standing: Standing) -> Iterator[Metric]:
    labels = ["read_model"]
    live = GaugeMetricFamily(
        "taskledger_read_model_live", "Whether a read model follows the ledger.", labels=labels
    )
    behind = GaugeMetricFamily(
        "taskledger_read_model_behind", "Events a read model has to come.", labels=labels
    )
    held = GaugeMetricFamily(
        "taskledger_read_model_held_streams", "Streams that were left behind.", labels=labels
    )
    for each in standing.projections:
        live.add_metric([each.name], each.state == "live")
        behind.add_metric([each.name], max(each.head - each.position, 0))
        held.add_metric([each.name], each.held_count)
    yield from (live, behind, held)
