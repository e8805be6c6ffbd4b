"""What may change under the same key: runs of different fingerprints are never pooled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from lutfarm_agents.device import Hello
from lutfarm_agents.wire import events
from lutfarm_jobs.measurement import MODELS_VERSION, Backend
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.runtimes import RUNTIMES, packages_of

NEWER = ("sustained_ns", "profile", "warm_up_ns")  # its fields that came after the first stored runs


def runtime_version(hello: Hello, runtime: str) -> str:
    """For example `ai-edge-litert 2.3.0`; empty where the device has none."""
    for name in packages_of(runtime):
        if name in hello.runtimes:
            return f"{name} {hello.runtimes[name]}"
    return ""


def fingerprint(
    hello: Hello, backend: Backend, slicing: Slicing | None, setting: str = "", *, inputs: str = "", space: str = ""
) -> Mapping[str, str]:
    """What may change under the same measurement key; runs are reused only where all of it is equal.

    `slicing` is None for a probe: it depends on none.  `setting`: see DeviceProfile.setting.  `inputs`: see Workload.fed.
    `space`: see lutfarm_jobs.spaces.added_by.
    """
    found = {
        "os": hello.system,
        "machine": hello.machine,
        "cpu_model": hello.cpu_model,
        "governor": hello.governor,
        "python": hello.python,
        "runtime": runtime_version(hello, backend.runtime),
        "runner_sha256": hello.runner_sha256,
        "protocol": str(events.PROTOCOL),
        "models": str(MODELS_VERSION),  # of operators and networks; a model file's content is in its key
    }
    if hello.word_bits:  # a 32-bit and a 64-bit interpreter under one kernel are two devices
        found["abi"] = f"{hello.word_bits} bits {hello.abi}".strip()
    if hello.libc:
        found["libc"] = hello.libc
    if hello.cpus_off:  # the last of the cores that are on is another one once they are back
        found["cpus_off"] = ",".join(map(str, hello.cpus_off))
    if setting:
        found["setting"] = setting
    if inputs:
        found["inputs"] = inputs
    if space:
        found["space"] = space
    if backend.runtime in RUNTIMES and backend.runtime not in RUNTIMES.own():  # its tool, or how it is fed
        found["runtime_package"] = RUNTIMES.source(backend.runtime)
    if hello.agent_package:
        found["agent_package"] = hello.agent_package
    if slicing is not None:
        # Without a sustained load, a profiler or a warm-up it is what it was before there were any.
        kept = {name: value for name, value in asdict(slicing).items() if value or name not in NEWER}
        slicing_json = json.dumps(kept, sort_keys=True)
        found["slicing"] = hashlib.sha256(slicing_json.encode()).hexdigest()[:16]
    return found
