"""How others measure, in one process: python -I _protocols.py < request.json.  Imports nothing of lutfarm.

The request: cpus (a thread for each), seed, protocol, models (paths), and where the protocol takes one, `until_s`: the
CLOCK_MONOTONIC time at which this process should be done.  Every protocol is scaled by its own repetitions to last until then.
"""

# ruff: noqa: E402
from __future__ import annotations

import gc
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

request = json.load(sys.stdin)
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
cpus = set(request["cpus"])
os.sched_setaffinity(0, cpus)

import numpy as np
import onnxruntime as ort

Call = Callable[[], object]
GOLDEN = 1.618
SETTLE = 5  # iterations that every protocol drops after loading, as ours does
SLICE_NS = 500_000
LEFT_S = 0.03  # for the interpreter to end


def bound(path: str) -> Call:
    """The model with everything bound once; a thread for each core, none of them spins."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = len(cpus), 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given, binding, name = session.get_inputs()[0], session.io_binding(), session.get_outputs()[0].name
    values = np.random.RandomState(0).standard_normal(given.shape).astype(np.float32)
    binding.bind_ortvalue_input(given.name, ort.OrtValue.ortvalue_from_numpy(values))
    binding.bind_output(name, "cpu")
    session.run_with_iobinding(binding)
    binding.bind_ortvalue_output(name, binding.get_outputs()[0])
    return lambda: session.run_with_iobinding(binding)


def timed(run: Call, count: int) -> list[int]:
    """Each iteration by itself, in ns."""
    found = [0] * count
    for index in range(count):
        start = time.perf_counter_ns()
        run()
        found[index] = time.perf_counter_ns() - start
    return found


def left_s(until_s: float) -> float:
    """Of the time that was given."""
    return max(0.0, until_s - time.monotonic() - LEFT_S)


def iterations(calls: Sequence[Call], until_s: float | None, count: int) -> list[dict[str, float]]:
    """`count` iterations of each, mean and minimum.  With a time as many as fit, about the same number of all."""
    expected = [min(timed(run, SETTLE)) for run in calls]
    found: list[dict[str, float]] = []
    for index, run in enumerate(calls):
        timed(run, SETTLE)
        if until_s is None:
            samples = timed(run, count)
        else:
            end_s = time.monotonic() + left_s(until_s) * expected[index] / sum(expected[index:])
            samples = timed(run, 1)
            while time.monotonic() < end_s:
                samples += timed(run, 1)
        found.append({"mean": statistics.fmean(samples), "min": min(samples)})
    return found


def time_evaluator(run: Call, *, number: int, repeat: int, min_repeat_ms: float) -> float:
    """TVM's src/runtime/profiling.cc, WrapTimeEvaluator: one timer round `number` calls, which grows till it is long enough."""
    run()
    speeds: list[float] = []
    for _ in range(repeat):
        duration_ms = 0.0
        while True:
            if duration_ms > 0:
                number = int(max(min_repeat_ms / (duration_ms / number) + 1, number * GOLDEN))
            start = time.perf_counter_ns()
            for _ in range(number):
                run()
            duration_ms = (time.perf_counter_ns() - start) / 1e6
            if duration_ms >= min_repeat_ms:
                break
        speeds.append(1e6 * duration_ms / number)
    return statistics.fmean(speeds)


def tvm(calls: Sequence[Call], until_s: float | None) -> list[dict[str, float]]:
    """Its defaults with min_repeat_ms=100; with a time more repeats, or one that lasts as long as there is time for."""
    found: list[dict[str, float]] = []
    for index, run in enumerate(calls):
        share_ms = 100.0 if until_s is None else 1e3 * left_s(until_s) / (len(calls) - index)
        repeat = max(1, int(share_ms / 100.0))
        found.append({"mean": time_evaluator(run, number=3, repeat=repeat, min_repeat_ms=share_ms / repeat)})
    return found


def benchmark_model(calls: Sequence[Call], until_s: float | None) -> list[dict[str, float]]:
    """TensorFlow Lite's tool: warm-up of 0.5 s, then at least 50 runs and 1 s; with a time both shrink or grow alike."""
    found: list[dict[str, float]] = []
    for index, run in enumerate(calls):
        share_s = 1.5 if until_s is None else left_s(until_s) / (len(calls) - index)
        end_s = time.monotonic() + share_s / 3
        while True:
            run()
            if time.monotonic() >= end_s:
                break
        samples: list[int] = []
        end_s = time.monotonic() + 2 * share_s / 3
        while len(samples) < 50 or time.monotonic() < end_s:
            samples += timed(run, 1)
        found.append({"mean": statistics.fmean(samples)})
    return found


def slices(calls: Sequence[Call], until_s: float | None) -> list[list[float]]:
    """The long run: shuffled passes until the time is over, at least one; medians of slices of 3 iterations or more, in ns."""
    found: list[list[float]] = [[] for _ in calls]
    first = True
    while first or (until_s is not None and left_s(until_s) > 0):
        for index in random.sample(range(len(calls)), len(calls)):
            settling = timed(calls[index], SETTLE if first else 2)
            found[index].append(statistics.median(timed(calls[index], max(3, SLICE_NS // min(settling)))))
        first = False
    return found


def play(asked: Mapping[str, Any], calls: Sequence[Call]) -> object:
    """What the request asks for."""
    until_s = asked.get("until_s")
    if asked["protocol"] == "iterations":
        return iterations(calls, until_s, asked.get("count", 0))
    return {"tvm": tvm, "benchmark_model": benchmark_model, "slices": slices}[asked["protocol"]](calls, until_s)


def main() -> None:
    """Print what was found as JSON."""
    random.seed(request["seed"])
    calls = [bound(path) for path in request["models"]]
    gc.collect()
    gc.freeze()
    gc.disable()
    json.dump(play(request, calls), sys.stdout)


if __name__ == "__main__":
    main()
