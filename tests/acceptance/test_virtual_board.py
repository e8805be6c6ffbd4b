"""A board with an ARM processor and a kernel of its own: from its address to a table, through a power cut and a hang."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.bundle_kit import needs_debian_12
from tests.rig.fixtures import needs_emulator, ssh_key
from tests.rig.machine import until
from tests.rig.virtual_board import VirtualBoard

from lutfarm.store import Job, Store, open_store
from lutfarm_agents.address import HostKey, SshAddress
from lutfarm_agents.transports.ssh.transport import SshTransport

__all__ = ["ssh_key"]
pytestmark = [pytest.mark.emulated, pytest.mark.timeout(900)]
Lutfarm = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = str(Path(sys.executable).with_name("lutfarm"))
WAIT_S = 300.0
NOTICED = re.compile(r"^vm: (ReplyTimeout|LinkLost|ConnectFailed): ", re.MULTILINE)
ROOT = "/home/board/.lutfarm"
JOB = """
name: desk-and-board
workloads:
  - operators:
      - conv_H8_W8_Cin4_Cout8_k1_s1_g1_relu
      - conv_H8_W8_Cin8_Cout8_k3_s1_g8_relu
devices: [desk, vm]
backends:
  - runtime: onnxruntime
sampling: {rounds: 2, stop: rounds, passes: 2}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundles are those that other tests of this run build or have built."""
    needs_debian_12()
    shared = tmp_path_factory.getbasetemp() / "bundles"
    shared.mkdir(exist_ok=True)
    found = tmp_path_factory.mktemp("farm")
    (found / "bundles").symlink_to(shared)
    return found


@pytest.fixture
def lutfarm(home: Path) -> Lutfarm:
    def call(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        found = subprocess.run(
            [COMMAND, *words],
            env={**os.environ, "LUTFARM_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert found.returncode == code, f"{words}: {found.returncode}\n{found.stdout}\n{found.stderr}"
        return found

    return call


@pytest.fixture(scope="module")
def vm(ssh_key: tuple[Path, str]) -> Iterator[VirtualBoard]:
    needs_emulator()
    with VirtualBoard("vm", keys=[ssh_key[1]]) as found:
        yield found


def said(vm: VirtualBoard, key: Path, script: str) -> str:
    host_key = HostKey.parse(vm.host_key.rsplit(" ", 1)[0])
    with closing(SshTransport(SshAddress("127.0.0.1", "root", vm.port, str(key), host_key), root=ROOT)) as transport:
        done = transport.run(["sh", "-c", script])
        assert done.code == 0, done.stderr
        return done.stdout.decode()


def files_of(vm: VirtualBoard, key: Path) -> dict[str, str]:
    """Each file of lutfarm's on the board that was pushed, with its inode: another one where it came again."""
    listed = said(vm, key, f"cd {ROOT} && find * -type f ! -name '*.pyc' -exec stat -c '%i %n' '{{}}' +")
    found = {name: inode for inode, _, name in (line.partition(" ") for line in listed.splitlines())}
    return {name: inode for name, inode in found.items() if name.startswith(("bundles/", "models/", "runner/"))}


def test_a_board_is_registered_with_a_bundle_and_survives_a_power_cut(
    lutfarm: Lutfarm, vm: VirtualBoard, ssh_key: tuple[Path, str]
) -> None:
    key = str(ssh_key[0])
    fingerprint = HostKey.parse(vm.host_key.rsplit(" ", 1)[0]).fingerprint
    asked = ("device", "register", "vm", "--ssh", f"root@{vm.address}", "--key", key, "--bundle", "onnxruntime", "--host-key")
    assert "nothing was recorded" in lutfarm(*asked, "SHA256:AAAA", code=3).stderr
    lutfarm("bundle", "build", "--arch", "arm64", "--runtime", "onnxruntime")
    found = json.loads(lutfarm(*asked, fingerprint, "--json").stdout)
    assert found["host_keys"] == [fingerprint]
    assert found["device"]["profile"] == "generic-linux-aarch64"
    assert found["device"]["address"]["root"] == ROOT
    facts = found["facts"]
    assert (facts["machine"], facts["pythons"], set(facts["device_tree"])) == ("aarch64", [], {"linux,dummy-virt"})
    assert facts["cpu_parts"] == ["0x41/0xd08"]  # a Cortex-A72
    assert facts["kernel"].endswith("-cloud-arm64")
    assert found["hello"]["machine"] == "aarch64"
    assert "onnxruntime" in found["hello"]["runtimes"]
    before = files_of(vm, ssh_key[0])
    assert len(before) > 700
    assert sum(name.startswith("runner/") for name in before) == 1
    said(vm, ssh_key[0], "echo now | dd of=/home/board/settled conv=fsync")  # folders reach the disk, and no other file
    vm.kill()
    vm.start()
    (checked,) = json.loads(lutfarm("device", "check", "vm", "--json").stdout)
    verdicts = {finding["name"]: finding["severity"] for finding in checked["findings"]}
    assert "fail" not in verdicts.values()
    assert verdicts["output onnxruntime-cpu-t1-fp32"] == "ok"
    after = files_of(vm, ssh_key[0])
    assert {name: after.get(name) for name in before} == before


def test_one_job_over_a_desktop_and_a_board_that_hangs_in_the_middle(
    lutfarm: Lutfarm, home: Path, vm: VirtualBoard, ssh_key: tuple[Path, str], tmp_path: Path
) -> None:
    lutfarm("device", "register", "desk", "--local")
    before = files_of(vm, ssh_key[0])
    (tmp_path / "job.yaml").write_text(JOB)
    with (tmp_path / "said").open("w") as log:
        running = subprocess.Popen(
            [COMMAND, "run", str(tmp_path / "job.yaml"), "--executor", "local"],
            env={**os.environ, "LUTFARM_HOME": str(home)},
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: board_runs(home) > 0, "the board's first round is stored", timeout_s=WAIT_S)
        vm.stop()
        until(lambda: NOTICED.search((tmp_path / "said").read_text()) is not None, "the hang is noticed", timeout_s=WAIT_S)
        vm.go_on()
        assert running.wait(WAIT_S) == 0, (tmp_path / "said").read_text()
    finally:
        vm.go_on()
        running.kill()
        running.wait()
    assert "4 of 4 measurements done" in (tmp_path / "said").read_text()
    lutfarm("lut", "export", "desk-and-board", "--out", str(tmp_path / "table.json"))
    entries = json.loads(lutfarm("lut", "show", str(tmp_path / "table.json"), "--json").stdout)["entries"]
    measured = [entry["device"] for entry in entries if entry["kind"] == "measured" and entry["estimate"] > 0]
    assert sorted(measured) == ["desk", "desk", "vm", "vm"]
    with open_store(home) as store:
        keys = [m.key for m in store.measurements(job_of(store).id) if m.device == "vm"]
        complete = [counts.get("complete", 0) for counts in store.round_counts(job_of(store).id).values()]
        agreements = [probe.agreement for probes in store.probes(keys).values() for probe in probes]
    assert complete == [2] * 4
    assert len(agreements) == 2
    assert all(agreement is not None and agreement < 1e-4 for agreement in agreements)
    # What it had was there after the hang: models came once, everything else not at all.
    after = files_of(vm, ssh_key[0])
    assert {name: after.get(name) for name in before} == before
    assert {name.split("/")[0] for name in after.keys() - before.keys()} == {"models"}


def job_of(store: Store) -> Job:
    found = store.job("desk-and-board")
    assert found is not None
    return found[0]


def board_runs(home: Path) -> int:
    with open_store(home) as store:
        if store.job("desk-and-board") is None:
            return 0
        job = job_of(store)
        devices = {m.key: m.device for m in store.measurements(job.id)}
        return sum(counts.get("complete", 0) for key, counts in store.round_counts(job.id).items() if devices[key] == "vm")
