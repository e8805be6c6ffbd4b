"""What deciding costs a farm of many devices and jobs: simulated devices, whose time is virtual; the loop's own is real.

Each turn of the loop takes the device time that it takes on this machine, so a slow loop leaves devices idle.  Nothing is
stored and no agent runs: this is the dispatcher's thinking alone.
"""

from __future__ import annotations

import heapq
import math
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace

from _table import Report, options

from lutfarm.agent_pool.interface import Done, Event, Measured, Opened, Probed
from lutfarm.scheduling.decide import is_full
from lutfarm.scheduling.job_progress import JobProgress, MeasurementProgress
from lutfarm.scheduling.news import News
from lutfarm.scheduling.next_step import due_seconds
from lutfarm.scheduling.policy import MeasuringPolicy
from lutfarm.scheduling.state import FarmJob, FarmState, admitted, after, ended, ordered, over
from lutfarm.scheduling.steps import Cancel, MeasureThese, ProbeThese, Step
from lutfarm.scheduling.turn import after_news, next_steps
from lutfarm.statistics.estimates.precision import StopRule
from lutfarm_agents.testing import HELLO
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.run import Probe, Run, Slice

POLL_S = 0.25
ROUNDS, USERS = 5, 6
BACKEND, POLICY = Backend("onnxruntime"), MeasuringPolicy()
ITERATION_NS = 20_000_000  # rounds of five then take four seconds, and a thousand devices end about 200 a second
FINISHED_A_SECOND = 200
PROBE_S = 0.4
QUIET = Slice(0, (ITERATION_NS,) * 2, 100, 100, quiet=True, gated=True, involuntary_switches=0, waited_ns=0, wall_ns=1, cpu_ns=1)


def probe_of(key: str, unit: str) -> Probe:
    """What a probe finds of any of them."""
    return Probe(key, unit, {}, 0.0, load_ns=1_000_000, iteration_ns=ITERATION_NS)


def mixed(number: int, measurements: int, devices: int) -> JobProgress:
    """One that shares every second measurement with the job before, is probed by nobody yet, and ends by a rule."""
    units = [f"d{(37 * (number // 2) + place) % devices}" for place in range(min(devices, measurements))]
    made = [
        Measurement(Workload("operator", f"w{number // 2 if place % 2 else number}_{place}"), units[place % len(units)], BACKEND)
        for place in range(measurements)
    ]
    return JobProgress(f"j{number}", {m.key: m for m in made}, dict.fromkeys(units, POLICY), ROUNDS, rule=StopRule())


def alike(number: int, measurements: int, devices: int) -> JobProgress:
    """One whose measurements lie on all devices, from another one on than those of the job before; all of them are probed."""
    units = [f"d{(37 * number + place) % devices}" for place in range(min(devices, measurements))]
    made = [
        Measurement(Workload("operator", f"w{number}_{place}"), units[place % len(units)], BACKEND)
        for place in range(measurements)
    ]
    probed = {m.key: MeasurementProgress(probe_of(m.key, m.device)) for m in made}
    return JobProgress(f"j{number}", {m.key: m for m in made}, dict.fromkeys(units, POLICY), ROUNDS, probed)


MakeJob = Callable[[int, int, int], JobProgress]


class VirtualFarm:
    """Devices that are busy for as long as a round should take, and the loop that feeds them."""

    def __init__(
        self, devices: int, jobs: int, measurements: int, *, job: Callable[[int, int, int], JobProgress] = alike
    ) -> None:
        """Jobs that are over leave, and another one comes for each of these."""
        self._job, self._measurements, self._devices, self._jobs = job, measurements, devices, 0
        self.state = FarmState()
        self.now_s, self.busy_s, self.rounds = 0.0, 0.0, 0
        self.over_s: dict[str, float] = {}  # by job, when it was over
        self.had_s: defaultdict[str, float] = defaultdict(float)  # by user, of devices
        self.longest_s = 0.0  # of all orders
        self._again: set[str] = set()
        for _ in range(jobs):
            self._admit()
        self.decide_s: list[float] = []
        self.after_s: list[float] = []
        self._running: list[tuple[float, int, str, MeasureThese | ProbeThese]] = []
        self._orders = 0

    def _admit(self) -> None:
        progress = self._job(self._jobs, self._measurements, self._devices)
        self._again.add(progress.id)
        self.submit(progress, f"u{self._jobs % USERS}")

    def submit(self, progress: JobProgress, user: str) -> None:
        """One job more; devices that it is the first to use say hello."""
        asked = FarmJob(progress, user=user, submitted_s=self.now_s + self._jobs / 1000)
        self._jobs += 1
        new = set(progress.policies) - set(self.state.units)
        self.state = admitted(self.state, asked, dict.fromkeys(progress.policies, POLICY.care))
        self.state = after(self.state, [Opened("", unit, replace(HELLO, machine_id=unit)) for unit in sorted(new)], self.now_s)

    def play(self, seconds: float, *, until_s: float = math.inf) -> None:
        """Until so much real time has passed, the farm's clock shows `until_s`, or nothing is left."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until and self.now_s < until_s:
            events = list(self._ended())
            began = time.perf_counter()
            self.state = after_news(self.state, News(events), self.now_s).state
            judged = time.perf_counter()
            steps = next_steps(self.state, self.now_s)
            decided = time.perf_counter()
            self.after_s.append(judged - began)
            self.decide_s.append(decided - judged)
            for step in steps:
                self._begin(step)
            for job_id in [job_id for job_id, one in self.state.jobs.items() if over(one.progress, self.state.units)]:
                self.state = ended(self.state, job_id)
                self.over_s[job_id] = self.now_s
                if job_id in self._again:
                    self._admit()
            if not self._running:
                return
            waits_s = 0.0 if is_full(steps) else POLL_S  # as the loop does: more may be idle
            self.now_s = max(self.now_s + time.perf_counter() - began, min(self._running[0][0], self.now_s + waits_s))

    def _begin(self, step: Step | Cancel) -> None:
        assert isinstance(step, MeasureThese | ProbeThese)
        self._orders += 1
        order, due_s = f"o{self._orders}", due_seconds(self.state.job(step.job), step)
        self.state = ordered(self.state, step.unit, order, jobs=[step.job], now_s=self.now_s, due_s=due_s)
        took_s = due_s or PROBE_S * len(step.keys)
        heapq.heappush(self._running, (self.now_s + took_s, self._orders, order, step))
        self.busy_s += took_s
        self.longest_s = max(self.longest_s, took_s)
        self.had_s[self.state.jobs[step.job].user] += took_s

    def _ended(self) -> Iterator[Event]:
        while self._running and self._running[0][0] <= self.now_s:
            ended_s, _, order, step = heapq.heappop(self._running)
            self.rounds += 1
            for key in step.keys:
                yield self._result(order, step, key, ended_s)
            yield Done(order, step.unit, spent_ns={"slices": round(1e9 * (ended_s - self.state.units[step.unit].began_s))})

    def _result(self, order: str, step: MeasureThese | ProbeThese, key: str, ended_s: float) -> Event:
        if isinstance(step, ProbeThese):
            return Probed(order, probe_of(key, step.unit))
        slices = (QUIET,) * 4 if self.state.job(step.job).rule else ()
        return Measured(order, Run(order + key, key, step.unit, order, 0, "complete", ended_s, ended_s, {}, slices=slices))

    @property
    def utilisation(self) -> float:
        """Of the devices' time, the share in which they measured: what runs now counts up to now."""
        ahead_s = sum(ends_s - self.now_s for ends_s, *_ in self._running)
        return (self.busy_s - ahead_s) / (self.now_s * len(self.state.units))


def main() -> None:
    """Print one row for each size."""
    chosen = options(__doc__)
    large = 1000 if chosen.quick else 5000
    sizes = [
        (10, 20, 500, alike),
        (100, 20, 5000, alike),
        (1000, 200, large, alike),
        (100, 20, 500, mixed),
        (1000, 200, 1000, mixed),
    ]
    report = Report(
        "deciding, by devices, jobs and measurements",
        (
            "devices",
            "jobs",
            "pending",
            "kind",
            "decide ms",
            "worst",
            "after ms",
            "worst ",
            "ms a round",
            f"cores at {FINISHED_A_SECOND} rounds/s",
            "utilisation %",
            "peak MB",
        ),
    )
    for devices, jobs, measurements, job in sizes:
        farm = VirtualFarm(devices, jobs, measurements, job=job)
        farm.play(5.0 if chosen.quick else 30.0)
        a_round_s = (sum(farm.decide_s) + sum(farm.after_s)) / farm.rounds
        report.rows.append(
            (
                devices,
                jobs,
                jobs * measurements,
                job.__name__,
                round(1e3 * statistics.median(farm.decide_s[1:]), 2),
                round(1e3 * max(farm.decide_s[1:]), 1),
                round(1e3 * statistics.median(farm.after_s[1:]), 2),
                round(1e3 * max(farm.after_s[1:]), 1),
                round(1e3 * a_round_s, 3),
                round(FINISHED_A_SECOND * a_round_s, 2),
                round(100 * farm.utilisation, 1),
                round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            )
        )
    report.notes.append(
        f"{USERS} users, {ROUNDS} rounds of each measurement; the first turn, in which every device begins at once, is left out. "
        "Peak memory is of the process so far. `mixed`: every second measurement is another job's too, nothing is probed before, "
        "and an entry ends by its interval. A job that is over leaves, and another one comes."
    )
    report.show(chosen)


if __name__ == "__main__":
    main()
