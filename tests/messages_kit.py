"""Messages of a runner as they are when all is well."""

from __future__ import annotations

ENVIRONMENT = {
    "time_s": 1.5,
    "governor": None,
    "frequency_khz": 2_000_000,
    "temperature_c": 41.5,
    "temperature_zone": "cpu-thermal",
    "load_1min": 0.1,
    "memory_available_bytes": 1 << 30,
    "battery_percent": 80,
    "battery_charging": True,
    "free_bytes": 1 << 34,
    "busy_s": 50.5,
    "own_s": 0.5,
    "cores": 2,
    "virtual": False,
}
HELLO = {
    "type": "hello",
    "protocol": 1,
    "runner_sha256": "ab" * 32,
    "python": "CPython 3.11.7",
    "machine": "x86_64",
    "system": "Linux 6.1",
    "cpu_model": "a cpu",
    "cpus": [0, 1],
    "memory_bytes": 1 << 33,
    "cpus_off": [5],
    "word_bits": 64,
    "abi": "x86_64-linux-gnu",
    "libc": "glibc 2.36",
    "machine_id": "m",
    "clock_resolution_ns": 1,
    "timer_pair_ns": 75,
    "runtimes": {"onnxruntime": "1.32.0"},
    "governor": None,
    "executable": "/usr/bin/python3",
    "environment": ENVIRONMENT,
}
PROBED = {
    "type": "probed",
    "id": 1,
    "load_ns": 5,
    "first_inference_ns": 6,
    "iteration_ns": 7,
    "peak_memory_bytes": 8,
    "model_memory_bytes": None,
    "agreement": 1e-6,
    "floor_ns": None,
}
STARTED = {
    "type": "started",
    "environment": ENVIRONMENT,
    "import_ns": 9,
    "canary_reference_ns": 70_000,
    "reference_provisional": True,
    "clock_step_ns": 1,
}
LOADED = {"type": "loaded", "id": 0, "load_ns": 3, "first_inference_ns": 4}
SLICE = {
    "type": "slice",
    "id": 2,
    "pass": 11,
    "samples_ns": [100, 101],
    "canary_before_ns": 70,
    "canary_after_ns": 71,
    "quiet": True,
    "gated": True,
    "involuntary_switches": 0,
    "waited_ns": 0,
    "wall_ns": 201,
    "cpu_ns": 201,
    "run_delay_ns": 7,
    "block": 1,
}
ENDED = {
    "type": "ended",
    "environment": ENVIRONMENT,
    "peak_memory_bytes": 10,
    "rejected": {"2": 3},
    "spent_ns": {"import": 1, "slices": 2},
    "discarded": {"2": 1},
}
DIED = {"type": "died", "id": None, "code": "WorkloadFailed", "detail": "SIGSEGV", "spent_ns": {}}
