"""The simulated device's noise against theory; tolerances are five standard errors."""

from __future__ import annotations

import math
from itertools import islice
from statistics import NormalDist

import numpy as np
import pytest

from lutfarm_agents.testing import (
    Autocorrelated,
    CanaryChange,
    ClockJumps,
    Contended,
    Drift,
    LogNormal,
    Machine,
    Neighbour,
    Noise,
    ProcessOffsets,
    SimulatedDevice,
    Spikes,
    Thermal,
    TwoStates,
    WarmUp,
    compose,
)
from lutfarm_agents.testing.noise import BLOCK, IterationNoise

ERRORS = 5.0


def series(*parts: IterationNoise, count: int = 100_000, seed: int = 1) -> np.ndarray:
    blocks = compose(*parts).series(np.random.default_rng(seed), 1.0)
    return np.concatenate([np.array(block) for block in islice(blocks, -(-count // BLOCK))])[:count]


def test_log_normal_noise_has_its_moments() -> None:
    logs = np.log(series(LogNormal(0.05)))
    assert abs(logs.mean()) < ERRORS * 0.05 / math.sqrt(len(logs))
    assert abs(logs.std() / 0.05 - 1) < ERRORS / math.sqrt(2 * len(logs))


@pytest.mark.parametrize("rho", [0.3, 0.8, 0.95])
def test_autocorrelated_noise_has_its_correlation_and_spread_across_blocks(rho: float) -> None:
    logs = np.log(series(Autocorrelated(0.05, rho)))
    worth = len(logs) * (1 - rho) / (1 + rho)
    assert abs(logs.mean()) < ERRORS * 0.05 / math.sqrt(worth)
    assert abs(logs.std() / 0.05 - 1) < ERRORS / math.sqrt(worth)
    for lag in (1, 3):
        found = float(np.corrcoef(logs[:-lag], logs[lag:])[0, 1])
        assert abs(found - rho**lag) < ERRORS / math.sqrt(worth)


def test_spikes_are_as_rare_and_as_large_as_asked() -> None:
    values = series(Spikes(0.02, 5.0))
    assert set(values) == {1.0, 5.0}
    assert abs((values > 1).mean() - 0.02) < ERRORS * math.sqrt(0.02 * 0.98 / len(values))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
@pytest.mark.parametrize(
    "parts",
    [
        (LogNormal(0.1),),
        (Autocorrelated(0.1, 0.6),),
        (LogNormal(0.06), Autocorrelated(0.08, 0.5)),
        (LogNormal(0.05), Spikes(0.1, 3.0)),
        (LogNormal(0.05), Spikes(0.1, 3.0), Spikes(0.05, 0.5)),
    ],
)
def test_the_estimand_is_the_quantile_of_what_is_drawn(parts: tuple[IterationNoise, ...], share: float) -> None:
    values = series(*parts, count=200_000)
    truth = compose(*parts).factor(share)
    # The share of the draws below the quantile is binomial; correlated ones are worth a third.
    assert abs((values <= truth).mean() - share) < ERRORS * math.sqrt(share * (1 - share) / (len(values) / 4))


def test_the_p25_of_log_normal_noise_is_below_its_median() -> None:
    assert compose(LogNormal(0.1)).factor() == pytest.approx(math.exp(0.1 * NormalDist().inv_cdf(0.25)))
    assert Noise().factor() == 1.0


def test_composition_keeps_every_part() -> None:
    made = compose(Thermal(), LogNormal(), WarmUp(), ClockJumps(), Drift(), ProcessOffsets(), CanaryChange(), Spikes())
    assert made.iterations == (LogNormal(), Spikes())
    assert made.states == (Thermal(), Drift())
    assert (made.warm_up, made.jumps, made.offsets, made.canary) == (WarmUp(), ClockJumps(), ProcessOffsets(), CanaryChange())


def run_times(machine: Machine, count: int, cost_ns: float = 1000.0) -> list[float]:
    run = machine.process().workload(cost_ns)
    found: list[float] = []
    for _ in range(count):
        before = machine.now_ns
        run()
        found.append(machine.now_ns - before)
    return found


def test_process_offsets_have_their_variances_shared_and_own() -> None:
    machine = Machine(SimulatedDevice(noise=compose(ProcessOffsets(0.03, 0.01)), seed=3))
    pairs: list[tuple[float, float]] = []
    for _ in range(3000):
        process = machine.process()
        times: list[float] = []
        for run in (process.workload(1000.0), process.workload(1000.0)):
            before = machine.now_ns
            run()
            times.append(math.log((machine.now_ns - before) / 1000.0))
        pairs.append((times[0], times[1]))
    found = np.array(pairs)
    half, apart = found.mean(axis=1), found[:, 0] - found[:, 1]
    error = 1 / math.sqrt(2 * len(found))
    assert abs(apart.std() / (0.01 * math.sqrt(2)) - 1) < ERRORS * error
    assert abs(half.std() / math.sqrt(0.03**2 + 0.01**2 / 2) - 1) < ERRORS * error


def test_warm_up_after_loading_and_after_another_workload() -> None:
    machine = Machine(SimulatedDevice(noise=compose(WarmUp())))
    process = machine.process()
    first, other = process.workload(1000.0), process.workload(1000.0)

    def times(run: object, count: int) -> list[float]:
        found: list[float] = []
        for _ in range(count):
            before = machine.now_ns
            run()  # type: ignore[operator]
            found.append((machine.now_ns - before) / 1000.0)
        return found

    assert times(first, 6) == pytest.approx([2.2, 1.3, 1.1, 1.05, 1.0, 1.0])
    assert times(other, 5) == pytest.approx([2.2, 1.3, 1.1, 1.05, 1.0])
    assert times(first, 4) == pytest.approx([1.6, 1.1, 1.0, 1.0])


def test_a_cold_cache_costs_a_long_workload_no_more_than_its_share() -> None:
    machine = Machine(SimulatedDevice(noise=compose(WarmUp(most_ns=1e5))))
    assert run_times(machine, 2, 1e7) == pytest.approx([1e7 + 1.2e5, 1e7 + 0.3e5])


def shares(state: TwoStates | Neighbour, seconds: int) -> tuple[float, list[float]]:
    """The share of virtual time in the slow state, and all sojourns in it in s."""
    machine = Machine(SimulatedDevice(noise=compose(state), seed=5))
    slow, sojourns, since = 0.0, list[float](), machine.now_ns
    while machine.now_ns < seconds * 1e9:
        factor = machine.workload_factor
        machine.work((machine.until_ns - machine.now_ns) / factor, canary=False)
        if factor > 1:
            slow += machine.now_ns - since
            sojourns.append((machine.now_ns - since) / 1e9)
        since = machine.now_ns
    return slow / machine.now_ns, sojourns


def test_two_states_share_time_by_their_sojourns_which_are_exponential() -> None:
    share, sojourns = shares(TwoStates(fast_s=(0.02,), slow_s=(0.01,)), 200)
    count = len(sojourns)
    assert abs(np.mean(sojourns) / 0.01 - 1) < ERRORS / math.sqrt(count)
    assert abs(np.std(sojourns) / np.mean(sojourns) - 1) < ERRORS * math.sqrt(2 / count)
    assert abs(share - 1 / 3) < ERRORS * (1 / 3) * (2 / 3) * math.sqrt(2 / count)


def test_a_long_rest_leaves_the_states_in_equilibrium() -> None:
    slow = 0
    for seed in range(400):
        machine = Machine(SimulatedDevice(noise=compose(TwoStates(fast_s=(0.02,), slow_s=(0.01,))), seed=seed))
        machine.rest(3600e9)
        slow += machine.workload_factor > 1
    assert abs(slow / 400 - 1 / 3) < ERRORS * math.sqrt(2 / 9 / 400)


def test_a_neighbour_slows_both_by_different_factors_and_takes_the_core_away() -> None:
    machine = Machine(SimulatedDevice(noise=compose(Neighbour(1.4, 1.2, away_s=0.5, here_s=0.5, switch_s=0.02)), seed=2))
    clock, here_ns, switches = machine.clock(), 0.0, 0
    while machine.now_ns < 200e9:
        factors = machine.workload_factor, machine.canary_factor
        assert factors in ((1.4, 1.2), (1.0, 1.0))
        before_ns, before = machine.now_ns, clock.switches()
        machine.work(1e6, canary=False)
        switches = clock.switches()
        here_ns += (machine.now_ns - before_ns - 1e6 * (switches - before)) * (factors[0] > 1)
    assert abs(here_ns / 0.02e9 / switches - 1) < ERRORS / math.sqrt(switches)
    assert clock.now_ns() - clock.cpu_ns() == pytest.approx(switches * 1e6, rel=0.01)


def test_drift_swings_about_its_mean_and_says_it() -> None:
    machine = Machine(SimulatedDevice(noise=compose(Drift(0.02, 60.0)), seed=4))
    began_ns, logs = machine.now_ns, list[float]()
    while machine.now_ns < began_ns + 60e9:
        logs.append(math.log(machine.workload_factor))
        machine.spend(60e6)
    assert max(logs) == pytest.approx(0.02, rel=0.01)
    assert min(logs) == pytest.approx(-0.02, rel=0.01)
    assert machine.drift(began_ns, began_ns + 60e9) == pytest.approx(1.0, abs=1e-6)
    assert math.log(machine.drift(began_ns, began_ns + 15e9)) == pytest.approx(np.mean(logs[:250]), abs=2e-4)


def test_a_hot_device_throttles_and_rest_cools_it() -> None:
    machine = Machine(SimulatedDevice(noise=compose(Thermal(time_constant_s=5.0))))
    assert (machine.temperature_c, machine.frequency_khz) == (35.0, 2_000_000)
    while machine.workload_factor == 1.0:
        machine.work(1e6, canary=False)
    # 35 to 75 of the way to 85 at 5 s: 5 * ln(50 / 10).
    assert machine.now_ns / 1e9 - 1 == pytest.approx(5 * math.log(5), rel=0.02)
    assert (machine.workload_factor, machine.canary_factor, machine.frequency_khz) == (1.4, 1.4, round(2e6 / 1.4))
    machine.rest(60e9)
    assert machine.workload_factor == 1.0
    assert machine.temperature_c == pytest.approx(35.0, abs=0.1)


def test_a_clock_jumps_as_often_as_asked_and_time_itself_does_not() -> None:
    machine = Machine(SimulatedDevice(noise=compose(ClockJumps(0.1, -5_000_000)), seed=1))
    clock, jumps = machine.clock(), 0
    look = clock.now_ns()
    while machine.now_ns < 101e9:
        machine.work(1e6, canary=False)
        look, before = clock.now_ns(), look
        jumps += look < before
    assert abs(jumps - 1000) < ERRORS * math.sqrt(1000)
    assert clock.cpu_ns() > clock.now_ns()


def test_a_canary_may_become_another_one() -> None:
    machine = Machine(SimulatedDevice(noise=compose(CanaryChange(1.4, from_process=2))))
    levels: list[float] = []
    for _ in range(4):
        run = machine.process().canary()
        before = machine.now_ns
        run()
        levels.append((machine.now_ns - before) / machine.device.canary_ns)
    assert levels == pytest.approx([1.0, 1.0, 1.4, 1.4])


@pytest.mark.parametrize(
    "parts",
    [(LogNormal(),), (TwoStates(), ProcessOffsets(), WarmUp()), (Neighbour(), Drift(), Thermal()), (Contended(), ClockJumps())],
)
def test_a_seed_fixes_everything_and_time_only_moves_forward(parts: tuple[object, ...]) -> None:
    def play(seed: int) -> list[float]:
        machine = Machine(SimulatedDevice(noise=compose(*parts), seed=seed))  # type: ignore[arg-type]
        found = [*run_times(machine, 300, 1e6), machine.now_ns]
        machine.rest(5e9)
        return [*found, *run_times(machine, 300, 1e6), machine.now_ns]

    one = play(1)
    assert one == play(1)
    assert min(one) > 0
    assert isinstance(parts[0], Contended) or one != play(2)
