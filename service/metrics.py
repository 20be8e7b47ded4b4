"""Prometheus metrics of one server process: queue, solve seconds, iterations, failures, requests, memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .jobs.queue import JobQueue

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self, queue: JobQueue) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Queue(queue))
        ProcessCollector(registry=self.registry)  # resident memory, CPU seconds, open files
        told = {"registry": self.registry, "namespace": "porefield"}
        self.job_seconds = Histogram(
            "job_seconds", "From an attempt's start to its end", ("process", "status"), buckets=SECONDS, **told
        )
        self.solve_seconds = Histogram("solve_seconds", "Solving of a plan's pulses", buckets=SECONDS, **told)
        self.iterations = Counter("iterations", "Steps of the solver, on all grids", ("kind",), **told)
        self.failures = Counter("job_failures", "Failed jobs by kind of error", ("process", "kind"), **told)
        self.attempts_lost = Counter("attempts_lost", "Attempts that ended with their worker", ("reason",), **told)
        self.workers = Gauge("workers", "Worker processes that are ready", **told)
        self.request_seconds = Histogram(
            "request_seconds",
            "Until the response's head",
            ("method", "route", "status"),
            buckets=REQUEST_SECONDS,
            **told,
        )

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)

    def note_plan(self, summary: Mapping[str, Any]) -> None:
        """What a solved plan tells of the solver."""
        seconds = (summary.get("timings_s") or {}).get("solve")
        if isinstance(seconds, int | float):
            self.solve_seconds.observe(seconds)
        for pulse in summary.get("pulses") or ():
            solver = pulse.get("solver") or {}
            self.iterations.labels("newton").inc(sum(solver.get("newton_steps") or ()))
            self.iterations.labels("cg").inc(sum(solver.get("cg_iterations") or ()))


class _Queue(Collector):
    """Counts jobs in the database when asked."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("porefield_jobs", "Jobs by process and status", labels=("process", "status"))

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("porefield_jobs", "Jobs by process and status", labels=("process", "status"))
        for (process, status), count in self._queue.counts().items():
            family.add_metric((process.value, status.value), count)
        yield family
