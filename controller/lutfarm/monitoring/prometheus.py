"""The store as Prometheus metrics.  Nothing is counted twice: runs are read once, from where the last scrape ended."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lutfarm.monitoring.device_status import DeviceStatus, devices_status
from lutfarm.records.device_state import STATES
from lutfarm.store.interface import Store
from lutfarm_jobs.run import Run

OVERLAP_S = 3600.0  # a round's runs arrive at its end: later than others began


def quality(run: Run) -> str:
    """One word for a run: failed, truncated, throttled, contended (no visit was quiet), provisional or good."""
    if run.status != "complete":
        return run.status
    if run.throttled:
        return "throttled"
    if run.slices_rejected and run.canary_reference_ns and not run.reference_provisional:
        return "contended"
    return "provisional" if run.reference_provisional else "good"


class FarmCollector(Collector):
    """Reads the store at each scrape; one scrape at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._scraping = threading.Lock()
        self._newest_s = 0.0
        self._known: dict[str, float] = {}  # ids of runs within the overlap, and when they began
        self._runs: Counter[tuple[str, str]] = Counter()
        self._failures: Counter[tuple[str, str]] = Counter()

    def collect(self) -> Iterator[Metric]:
        """All metrics of the farm."""
        with self._scraping:
            self._count()
            yield from _devices(devices_status(self._store, time.time()))
            runs = CounterMetricFamily("lutfarm_runs", "Stored runs by their quality.", labels=["device", "quality"])
            for (device, word), count in sorted(self._runs.items()):
                runs.add_metric([device, word], count)
            yield runs
            failures = CounterMetricFamily("lutfarm_failures", "Failed runs by reason.", labels=["device", "reason"])
            for (device, code), count in sorted(self._failures.items()):
                failures.add_metric([device, code], count)
            yield failures
            jobs = GaugeMetricFamily("lutfarm_jobs", "Jobs by state.", labels=["state"])
            for state, count in sorted(Counter(job.state for job, _ in self._store.jobs()).items()):
                jobs.add_metric([state], count)
            yield jobs

    def _count(self) -> None:
        for run in self._store.runs_after(self._newest_s - OVERLAP_S):
            if run.id in self._known:
                continue
            self._known[run.id] = run.started_s
            self._newest_s = max(self._newest_s, run.started_s)
            self._runs[run.device, quality(run)] += 1
            if run.failure is not None:
                self._failures[run.device, run.failure.code] += 1
        self._known = {name: at_s for name, at_s in self._known.items() if at_s > self._newest_s - OVERLAP_S}


GAUGES: tuple[tuple[str, str, Callable[[DeviceStatus], float | None]], ...] = (
    ("lutfarm_device_last_seen_timestamp_seconds", "When the device last said something.", lambda d: d.seen_s),
    ("lutfarm_device_last_check_timestamp_seconds", "When the device was last checked.", lambda d: d.checked_s),
    ("lutfarm_device_fit", "What the last check found.", lambda d: None if d.fit is None else float(d.fit)),
    ("lutfarm_device_temperature_celsius", "The hottest zone that was read last.", lambda d: d.temperature_c),
    ("lutfarm_canary_drift_ratio", "The last round's canary level over its reference.", lambda d: d.canary_drift),
    ("lutfarm_canary_settled_ratio", "The same of that of the newest rounds that is nearest to it.", lambda d: d.canary_settled),
    (
        "lutfarm_canary_provisional",
        "1 until the canary's reference is established.",
        lambda d: None if d.canary_provisional is None else float(d.canary_provisional),
    ),
    ("lutfarm_canary_epoch_start_timestamp_seconds", "Since when the canary has its reference.", lambda d: d.canary_since_s),
    ("lutfarm_device_runs_left", "Runs that the job on the device still lacks, at most.", lambda d: float(d.runs_left)),
)


def _devices(found: Sequence[DeviceStatus]) -> Iterator[Metric]:
    text = "1 for the state that the device is in."
    state = GaugeMetricFamily("lutfarm_device_state", text, labels=["device", "profile", "state"])
    for each in found:
        for name in STATES:
            state.add_metric([each.device, each.profile, name], float(each.state == name))
    yield state
    waits = CounterMetricFamily("lutfarm_heat_waits", "How often the device rested because it was too hot.", labels=["device"])
    for each in found:
        waits.add_metric([each.device], each.heat_waits)
    yield waits
    for name, text, value in GAUGES:
        gauge = GaugeMetricFamily(name, text, labels=["device"])
        for each in found:
            if (number := value(each)) is not None:
                gauge.add_metric([each.device], number)
        yield gauge
