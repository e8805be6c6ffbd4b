"""The runner on the bundle's Python: another loader, another C library, another processor."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.bundle_kit import built, unpacked
from tests.runner.conftest import LIMITS
from tests.runner.test_runner_runtimes import SEED, convolution, reference

from lutfarm_agents.provisioning.bundle_layout import ARCHES, PYTHON_ARGV, launch
from lutfarm_jobs.models.onnx.writer import write_onnx
from lutfarm_jobs.models.tflite.writer import write_tflite
from lutfarm_jobs.runtimes import all_packages

DISTRIBUTION = {"onnxruntime": "onnxruntime", "tflite": "ai-edge-litert"}


def small(bench, folder, runtime):
    """A convolution, and the output that the host computed."""
    path = folder / f"small.{runtime}"
    path.write_bytes(write_onnx(convolution()) if runtime == "onnxruntime" else write_tflite(convolution()))
    layout = "as_is" if runtime == "onnxruntime" else "nhwc"
    return bench.workload(
        0, path=str(path), runtime=runtime, input_layout=layout, seed=SEED, expected=reference(layout), iteration_ns=None
    )


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite"])
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_a_real_operator_through_the_bundle(arch, runtime, tmp_path_factory, tmp_path, start, bench):
    bundle = built(tmp_path_factory.getbasetemp() / "bundles", arch, runtime)
    box = unpacked(bundle, tmp_path / "a root")
    session = start(box.words, greet=False, env=box.env)
    hello = session.receive()
    assert hello["type"] == "hello"
    assert hello["machine"] == ARCHES[arch].machine
    assert hello["python"].startswith("CPython 3.11.")
    assert hello["executable"] == str(box.root / "usr/bin/python3.11")
    assert hello["runtimes"] == {name: bundle.versions[name] for name in (DISTRIBUTION[runtime], "numpy")}
    if ARCHES[arch].machine == platform.machine():
        assert foreign_files(session.process.pid, box.root, str(tmp_path_factory.getbasetemp())) == set()

    workload = small(bench, tmp_path, runtime)
    limits = {**LIMITS, "memory_bytes": 8 << 30}  # the emulator reserves address space for its guest
    probed, done = session.ask("probe", workloads=[workload], limits=limits, cpus=[])
    assert done["type"] == "done"
    assert probed["type"] == "probed", probed
    assert probed["agreement"] <= 1e-4
    assert probed["iteration_ns"] > 0
    session.send("stop")
    assert session.process.wait(10) == 0


def foreign_files(pid: int, root, temporary: str) -> set[str]:
    """What the process has mapped that is neither the bundle's nor the test's own."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    files = {"/" + line.partition("/")[2] for line in lines if "/" in line}
    return {name for name in files if not name.startswith((str(root), temporary))}


def test_children_start_by_the_words_of_the_environment(start, bench, tmp_path):
    """A wrapper that leaves a mark stands for the loader."""
    marks = tmp_path / "marks"
    wrapper = tmp_path / "load er"
    wrapper.write_text(f'#!/bin/sh\necho started >> "{marks}"\nexec "$@"\n')
    wrapper.chmod(0o755)
    session = start(env={PYTHON_ARGV: json.dumps([str(wrapper), sys.executable])})
    assert [event["type"] for event in session.ask("probe", **bench.probe({}))] == ["probed", "done"]
    assert marks.read_text() == "started\n"


@pytest.mark.parametrize("given", ["", "python3", "[]", "{}", '["a", 1]', "null"])
def test_words_that_are_none_are_refused(given, start, bench):
    session = start(env={PYTHON_ARGV: given})
    (error, *_) = session.ask("probe", **bench.probe({}))
    assert (error["type"], error["code"]) == ("error", "SpecError")
    assert PYTHON_ARGV in error["detail"]
    assert session.ask("probe", **bench.probe({}))[0]["type"] == "error"  # and the session goes on


@pytest.mark.slow
def test_a_root_with_nothing_but_the_bundle(archive, tmp_path_factory, tmp_path):
    """No /lib, no /etc, no /tmp, no shell, no user names: less than a phone has."""
    arch = next(arch for arch in ARCHES.values() if arch.machine == platform.machine())
    bundle = built(tmp_path_factory.getbasetemp() / "bundles", arch.name, "onnxruntime")
    unpacked(bundle, tmp_path / "root" / "bundle")
    shutil.copy(archive, tmp_path / "root" / "runner.pyz")
    words, env = launch("/bundle", arch)
    ended = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            shutil.which("chroot") or "/usr/sbin/chroot",
            tmp_path / "root",
            *words,
            "-I",
            "/runner.pyz",
            "supervise",
            *all_packages(),
        ],
        input=b'{"type": "stop"}\n',
        capture_output=True,
        env=dict(env),
        timeout=60,
        check=True,
    )
    hello = json.loads(ended.stdout)
    assert hello["runtimes"]["onnxruntime"] == bundle.versions["onnxruntime"]
    assert ended.stderr == b""
