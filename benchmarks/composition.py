"""Whole networks from tables: every way of building one, before and after calibration, on networks none has seen.

For each space and runtime the table is built isolated, sandwiched and in_network (by the runtime's profiler, or solved
from whole networks where it has none); then two lots of networks, over the whole range of their sizes, are swept in one
sitting: one lot to calibrate on, one to test on.  `analytic` has no operator measurements: multiply-accumulates, bytes and
operators, fitted to the networks it is calibrated on.  Beside them a table that always answers the mean of those networks,
and a line through their multiply-accumulates.  Rows after calibration are means over random choices of the calibration
networks, each over the whole range of sizes as `lutfarm lut validate --calibrate` draws them, with the standard deviation
of the MAPE over them.  `later`: the same predictions against the same networks in another sitting, everything restarted;
`anchored`: scaled by how much slower three networks were that were measured in both.  `floor` is what one half of the test
processes says of the other.
"""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import _device
import numpy as np
from _table import Report, options

from lutfarm.cli.terminal.run_progress import RunDisplay
from lutfarm.devices.registration import greet
from lutfarm.execution.open_farm import open_farm
from lutfarm.home import Home
from lutfarm.lut import LatencyTable
from lutfarm.lut.calibration.design import Estimate
from lutfarm.lut.calibration.priors_from_counts import analytic
from lutfarm.lut.calibration.priors_from_entries import estimates
from lutfarm.lut.calibration.shared_effects import space_keys
from lutfarm.lut.schema.calibration_record import ANALYTIC_PRIORS, Observed, Priors
from lutfarm.results.job_table import table_of
from lutfarm.results.validated_table import estimates_of
from lutfarm.statistics.intervals.distributions import kendall
from lutfarm.statistics.intervals.sweep import SweepFit, fit_sweep, halves
from lutfarm.store import Store, open_store
from lutfarm.submission import submit
from lutfarm.validation import plan_study
from lutfarm.validation.calibration_input import errors_of, observed, predictions_ns
from lutfarm_agents.address import LocalAddress
from lutfarm_agents.device import Device
from lutfarm_jobs import spaces
from lutfarm_jobs.job_file.workloads import SpaceWorkload
from lutfarm_jobs.spaces.base import Space
from lutfarm_jobs.spec import JobSpec, Study, parse_job

UNIT = "bench"
SPACES = ("fbnet-224", "nas-bench-201-cifar10")
RUNTIMES = ("onnxruntime", "tflite")
WAYS = ("isolated", "sandwiched", "in_network")
SPLITS = 10
Predict = Callable[[Sequence[str]], np.ndarray]  # architectures to (m, 3) in ns: estimate, low, high; NaN: no interval


@dataclass(slots=True)
class Bench:
    """A store of its own, and what this run is to measure."""

    store: Store
    home: Home
    quick: bool
    report: Report
    spent_s: dict[str, float] = field(default_factory=dict)

    @property
    def networks(self) -> int:
        return 12 if self.quick else 40

    @property
    def sizes(self) -> tuple[int, ...]:
        return (5, 10) if self.quick else (5, 20, 40)

    def run(self, spec: JobSpec) -> str:
        """Measure; the job's id."""
        submitted, sources = submit.submit(spec, Path("/"), self.store)
        with open_farm(submitted, self.store, self.home, kind="local") as farm:
            outcome = farm.run(submitted, sources, RunDisplay(brief=True))
        self.spent_s[outcome.job_id] = sum(outcome.job.spent_s.values())
        return outcome.job_id


def table_spec(space: str, runtime: str, composition: str, *, quick: bool) -> JobSpec:
    """The job whose table is built one way."""
    workload = {"space": space, "composition": composition}
    if composition == "in_network":
        workload |= {"networks": 16 if quick else 40, "seed": 77}
    sampling = {"rounds": 3, "passes": 8} if quick else {"rounds": 5}
    return parse_job(
        {
            "name": f"{space}-{runtime}-{composition}",
            "workloads": [workload],
            "devices": [UNIT],
            "backends": [{"runtime": runtime}],
            "sampling": sampling,
        },
        source="benchmark",
    )


@dataclass(slots=True)
class Sitting:
    """The swept networks of one space and runtime: by architecture, latencies and their errors beside each other."""

    space: Space
    test: list[str]
    spare: list[str]
    anchors: list[str]
    spec: JobSpec
    fit: SweepFit
    estimates: Mapping[str, Mapping[str, float]]
    keys: Mapping[str, str]

    def ns(self, archs: Sequence[str]) -> np.ndarray:
        return np.array([self.fit.estimate(self.keys[arch]) for arch in archs])

    def observed(self, archs: Sequence[str]) -> list[Observed]:
        keys = {arch: self.keys[arch] for arch in archs}
        found = {arch: self.fit.estimate(key) for arch, key in keys.items()}
        return observed(self.space, found, errors_of(self.fit, keys))


def sit(bench: Bench, table_job: str, table: LatencyTable, space: Space, without: set[str]) -> Sitting:
    """Sweep the networks."""
    found = bench.store.job(table_job)
    if found is None:
        raise SystemExit(f"the job {table_job} is gone")
    job, _ = found
    most = max(bench.sizes)
    wanted = Study(job=job.id, networks=bench.networks + len(without) // 8, calibrate=most, seed=5)
    spec = plan_study(job, table, space, wanted, studies=())
    job_id = bench.run(spec)
    workload = spec.workloads[0]
    assert isinstance(workload, SpaceWorkload)
    levels = estimates_of(bench.store, job_id)
    keys = {m.workload.name.partition(":")[2]: m.key for m in bench.store.measurements(job_id)}
    fit = fit_sweep(levels)
    if fit is None:
        raise SystemExit("too few networks could be measured; is the device free?")
    there = [arch for arch in workload.archs if keys[arch] in fit.networks]
    unseen = [arch for arch in there[: wanted.networks] if arch not in without][: bench.networks]
    spare = [arch for arch in workload.archs[wanted.networks : wanted.networks + most] if arch in there]
    lost = len(workload.archs) - len(there)
    if lost:
        bench.report.notes.append(f"{space.name}: {lost} networks failed and are left out")
    anchors = [arch for arch in workload.archs[wanted.networks + most :] if arch in there]
    return Sitting(table.computed(space), unseen, spare, anchors, spec, fit, levels, keys)


def sit_again(bench: Bench, sitting: Sitting) -> SweepFit:
    """Another sitting of the test networks and the anchors; by the same measurement keys."""
    archs = (*sitting.test, *sitting.anchors)
    workload = SpaceWorkload(space=sitting.space.name, operators="none", archs=archs)
    job_id = bench.run(
        sitting.spec.model_copy(update={"name": sitting.spec.name + "-later", "workloads": (workload,), "validates": None})
    )
    fit = fit_sweep(estimates_of(bench.store, job_id))
    if fit is None:
        raise SystemExit("too few networks could be measured again; is the device free?")
    return fit


def later(sitting: Sitting, fit: SweepFit, entries: Mapping[str, Estimate], count: int) -> list[dict]:
    """The figures of a calibrated table against the other sitting: as it stands, and anchored."""
    test = [arch for arch in sitting.test if sitting.keys[arch] in fit.networks]
    measured = np.array([fit.estimate(sitting.keys[arch]) for arch in test])
    shifts = [
        fit.networks[key] - sitting.fit.networks[key] for arch in sitting.anchors if (key := sitting.keys[arch]) in fit.networks
    ]
    chosen = spread(random.Random(count), sitting.spare, count)
    predicted = calibrated(sitting, chosen, entries, None)(test)
    return [figures(predicted * scale, measured) for scale in (1.0, float(np.exp(np.median(shifts))))]


def spread(dice: random.Random, spare: Sequence[str], count: int) -> list[str]:
    """One of each of `count` parts of the networks, which lie in the order of their sizes: as `lut validate` draws them."""
    size = len(spare)
    if count >= size:
        return list(spare)
    return [spare[dice.randrange(size * part // count, size * (part + 1) // count)] for part in range(count)]


def figures(predicted: np.ndarray, measured: np.ndarray) -> dict[str, float | None]:
    """In percent but for tau."""
    errors = predicted[:, 0] / measured - 1
    inside = (predicted[:, 1] <= measured) & (measured <= predicted[:, 2])
    return {
        "MAPE %": 100 * float(np.mean(np.abs(errors))),
        "bias %": 100 * float(np.mean(errors)),
        "tau": kendall(predicted[:, 0], measured),
        "coverage %": None if np.isnan(predicted[:, 1]).any() else 100 * float(np.mean(inside)),
    }


def raw(table: LatencyTable, space: Space) -> Predict:
    """The table's sums."""

    def predict(archs: Sequence[str]) -> np.ndarray:
        return table.predict_many(space, np.array([space.parse(arch) for arch in archs]), interval=True)

    return predict


def calibrated(sitting: Sitting, archs: Sequence[str], entries: Mapping[str, Estimate], priors: Priors | None) -> Predict:
    """Those operators after a few networks."""

    def predict(wanted: Sequence[str]) -> np.ndarray:
        known, space = sitting.observed(archs), sitting.space
        return predictions_ns(entries, space, known, [space.parse(arch) for arch in wanted], priors=priors)

    return predict


def from_networks(sitting: Sitting, archs: Sequence[str]) -> Predict:
    """What networks alone say."""
    entries = analytic(space_keys(sitting.space), sitting.observed(archs))
    return calibrated(sitting, archs, entries, ANALYTIC_PRIORS)


def simple(sitting: Sitting, archs: Sequence[str], *, linear: bool) -> Predict:
    """The mean of some networks, or a line through their multiply-accumulates."""

    def size(arch: str) -> float:
        counts = sitting.space.composition(sitting.space.parse(arch)).items()
        return float(sum(n * operator.multiply_accumulates for operator, n in counts))

    measured = sitting.ns(archs)
    line = np.polyfit([size(arch) for arch in archs], measured, 1) if linear else np.array([0.0, measured.mean()])

    def predict(wanted: Sequence[str]) -> np.ndarray:
        middle = np.maximum(1.0, np.polyval(line, [size(arch) for arch in wanted]))
        return np.stack([middle, np.full(len(wanted), np.nan), np.full(len(wanted), np.nan)], axis=1)

    return predict


def over_splits(bench: Bench, sitting: Sitting, count: int, make: Callable[[Sequence[str]], Predict]) -> dict[str, object]:
    """The means of the figures over random choices of `count` calibration networks."""
    dice = random.Random(count)
    tries = 1 if count >= len(sitting.spare) else (3 if bench.quick else SPLITS)
    found: list[dict[str, float | None]] = []
    for _ in range(tries):
        chosen = spread(dice, sitting.spare, count)
        found.append(figures(make(chosen)(sitting.test), sitting.ns(sitting.test)))
    means: dict[str, object] = {}
    for name in found[0]:
        values = [value for one in found if (value := one[name]) is not None]
        means[name] = statistics.fmean(values) if values else None
    mapes = [one["MAPE %"] or 0.0 for one in found]
    means["MAPE sd"] = statistics.stdev(mapes) if tries > 1 else None
    return means


def add(bench: Bench, space: str, runtime: str, table: str, count: int | None, built_s: float | None, found: Mapping) -> None:
    """One row."""
    bench.report.rows.append(
        [
            space,
            runtime,
            table,
            count,
            built_s,
            found["MAPE %"],
            found.get("MAPE sd"),
            found["bias %"],
            found["tau"],
            found["coverage %"],
        ]
    )


def compare(bench: Bench, name: str, runtime: str) -> None:
    """All rows of one space and runtime."""
    space = spaces.load(name)
    jobs = {way: bench.run(table_spec(name, runtime, way, quick=bench.quick)) for way in WAYS}
    tables = {way: table_of(bench.store, job_id) for way, job_id in jobs.items()}
    seen = {m.workload.name.partition(":")[2] for m in bench.store.measurements(jobs["in_network"])}
    before = set(bench.spent_s)
    sitting = sit(bench, jobs["isolated"], tables["isolated"], space, seen)
    networks_s = sum(spent for job, spent in bench.spent_s.items() if job not in before)
    each_s = networks_s / max(1, len(sitting.keys))
    for way in WAYS:
        built_s = bench.spent_s[jobs[way]]
        add(bench, name, runtime, way, 0, built_s, figures(raw(tables[way], space)(sitting.test), sitting.ns(sitting.test)))
        for count in bench.sizes:
            entries = estimates(tables[way].entries, tables[way].manifest)
            found = over_splits(bench, sitting, count, lambda archs, entries=entries: calibrated(sitting, archs, entries, None))
            add(bench, name, runtime, way, count, built_s + count * each_s, found)
    again, count = sit_again(bench, sitting), bench.sizes[1]
    for way in WAYS:
        both = later(sitting, again, estimates(tables[way].entries, tables[way].manifest), count)
        for label, found in zip(("later", "later, anchored"), both, strict=True):
            add(bench, name, runtime, f"{way}, {label}", count, bench.spent_s[jobs[way]] + count * each_s, found)
    for count in bench.sizes:
        found = over_splits(bench, sitting, count, lambda archs: from_networks(sitting, archs))
        add(bench, name, runtime, "analytic", count, count * each_s, found)
    for count in bench.sizes:
        for table, linear in (("mean", False), ("linear in MACs", True)):
            found = over_splits(bench, sitting, count, lambda archs, linear=linear: simple(sitting, archs, linear=linear))
            add(bench, name, runtime, table, count, count * each_s, found)
    one, other = halves({sitting.keys[arch]: sitting.estimates[sitting.keys[arch]] for arch in sitting.test})
    floor = np.array([[ns, np.nan, np.nan] for ns in one.values()])
    add(bench, name, runtime, "floor", None, None, figures(floor, np.array(list(other.values()))))
    sizes = sitting.ns(sitting.test) / 1e6
    bench.report.notes.append(
        f"{name}, {runtime}: {len(sitting.test)} test networks of {sizes.min():.2f} to {sizes.max():.2f} ms; {each_s:.2f} s of "
        f"device time for each swept network; processes differ by {100 * sitting.fit.process_variance**0.5:.1f} %, "
        f"a level by {100 * sitting.fit.scale:.1f} % beside its process"
    )


def main() -> None:
    """Print the table."""
    asked = options(
        __doc__,
        ("--space", {"action": "append", "metavar": "NAME", "help": "only this space; may be repeated"}),
        ("--runtime", {"action": "append", "choices": RUNTIMES, "help": "only this runtime; may be repeated"}),
    )
    report = Report(
        "composition",
        ("space", "runtime", "table", "calibrated on", "build s", "MAPE %", "MAPE sd", "bias %", "tau", "coverage %"),
    )
    with _device.scratch() as folder, open_store(folder) as store:
        bench = Bench(store, Home(folder), asked.quick, report)
        device = Device(UNIT, f"generic-linux-{os.uname().machine}", "local", LocalAddress())
        store.put_device(device)
        store.put_hello(UNIT, greet(device, bench.home), 0.0)
        for name in asked.space or (SPACES[1:] if asked.quick else SPACES):
            for runtime in asked.runtime or RUNTIMES:
                compare(bench, name, runtime)
    report.notes.append(
        "to reach with 5: MAPE 3.5 % (in_network 2.5 %); with 20: onnxruntime 2.5 %, tau .93, tflite 2.0 %, .95; coverage 92-98 %"
    )
    report.show(asked)


if __name__ == "__main__":
    main()
