"""A desktop, an ARM phone without Python and a board: registered, measured by one job, in one table; as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.rig.board import Board
from tests.rig.fixtures import board, needs_rig, phone, ssh_key
from tests.rig.phone import Phone

__all__ = ["board", "phone", "ssh_key"]
Lutfarm = Callable[..., subprocess.CompletedProcess[str]]
UNKNOWN = {"ro.product.model": "Rig", "ro.product.manufacturer": "Rig", "ro.build.version.release": "14"}
JOB = """
name: three-kinds
workloads:
  - operators:
      - conv_H28_W28_Cin16_Cout32_k1_s1_g1_relu
      - conv_H28_W28_Cin32_Cout32_k3_s1_g32_relu
devices: [desk, phone, board]
backends:
  - runtime: onnxruntime
sampling: {rounds: 2, passes: 4}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("farm")


@pytest.fixture
def lutfarm(home: Path) -> Lutfarm:
    def call(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        found = subprocess.run(
            [str(Path(sys.executable).with_name("lutfarm")), *words],
            env={**os.environ, "LUTFARM_HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")},
            capture_output=True,
            text=True,
            timeout=840,
            check=False,
        )
        assert found.returncode == code, f"{words}: {found.returncode}\n{found.stdout}\n{found.stderr}"
        return found

    return call


@pytest.fixture(scope="module")
def arm() -> Iterator[Phone]:
    needs_rig()
    with Phone("arm", arm=True, properties=UNKNOWN) as found:
        yield found


@pytest.mark.timeout(900)  # an emulated processor beside a machine's other work
def test_one_job_over_a_desktop_an_arm_phone_and_a_board_gives_one_table(
    lutfarm: Lutfarm, home: Path, arm: Phone, board: Board, ssh_key: tuple[Path, str], tmp_path: Path
) -> None:
    missing = lutfarm("device", "register", "phone", "--adb", arm.address, code=3)
    assert "lutfarm bundle build --arch arm64 --runtime onnxruntime" in missing.stderr
    lutfarm("bundle", "build", "--arch", "arm64", "--runtime", "onnxruntime")
    lutfarm("device", "register", "desk", "--local")
    said = lutfarm("device", "register", "phone", "--adb", arm.address).stderr
    assert "generic-android" in said
    assert "onnxruntime" in said
    asked = ("--ssh", f"root@{board.link.address}", "--key", str(ssh_key[0]), "--python", sys.executable)
    registered = json.loads(lutfarm("device", "register", "board", *asked, "--json").stdout)
    assert registered["host_keys"][0].startswith("SHA256:")
    assert registered["device"]["address"]["root"] == "/home/board/.lutfarm"
    (tmp_path / "job.yaml").write_text(JOB)
    lutfarm("run", str(tmp_path / "job.yaml"))
    lutfarm("lut", "export", "three-kinds", "--out", str(tmp_path / "table.json"))
    shown = json.loads(lutfarm("lut", "show", str(tmp_path / "table.json"), "--json").stdout)
    entries = shown["entries"]
    assert {entry["device"] for entry in entries} == {"desk", "phone", "board"}
    assert all(entry["estimate"] > 0 for entry in entries if entry["kind"] == "measured")
    assert len(entries) == 6
    assert not arm.processes()
    assert not board.processes()
    # Registered and measured once more: nothing is pushed twice, nothing is measured twice.
    before = {path: path.stat().st_mtime_ns for path in arm.path("/data/local/tmp/lutfarm").rglob("*") if path.is_file()}
    lutfarm("device", "register", "phone", "--adb", arm.address)
    again = lutfarm("run", str(tmp_path / "job.yaml"))
    assert "going on; 4 runs of this job are stored" in again.stdout + again.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_known_kinds_are_recognised_and_unknown_ones_say_what_nobody_knows(
    lutfarm: Lutfarm, phone: Phone, tmp_path: Path
) -> None:
    asked = ("--adb", phone.address, "--python", sys.executable)
    found = json.loads(lutfarm("device", "register", "pixel", *asked, "--json").stdout)
    enough = {6, 7} <= {cpu for cpu, _ in found["facts"]["cores"]}  # the rig's phone has the cores of its host
    assert found["device"]["profile"] == ("google-pixel-6" if enough else "generic-android")
    assert not found["proposal"]["generic"] or "it looks like google-pixel-6" in found["proposal"]["passed_over"]
    assert found["facts"]["os"] == "Android 14"
    named = lutfarm("device", "register", "px", *asked, "--profile", "generic-android")
    assert "it looks like google-pixel-6" in named.stderr
    if not enough:
        lutfarm("device", "register", "px", *asked, "--profile", "google-pixel-6")
        assert "google-pixel-6's cluster big is cores 6, 7" in lutfarm("device", "check", "px", code=3).stdout


def test_what_can_be_registered_is_found(
    lutfarm: Lutfarm, phone: Phone, board: Board, ssh_key: tuple[Path, str], tmp_path: Path
) -> None:
    (tmp_path / "hosts").write_text(f"# the lab\nroot@{board.link.address}\nadb:{phone.address}\nroot@127.77.250.9:2222\n")
    found = json.loads(
        lutfarm("device", "discover", "--hosts", str(tmp_path / "hosts"), "--key", str(ssh_key[0]), "--json").stdout
    )
    by_address = {each["address"]: each for each in found}
    assert by_address[phone.address]["state"] == "ready"
    assert by_address[phone.address]["model"] == "Pixel 6"
    assert by_address[f"root@{board.link.address}"]["state"] == "ready"
    assert by_address["root@127.77.250.9:2222"]["state"] == "offline"
    (tmp_path / "hosts").write_text("root@ok\nroot@$(reboot)\n")
    assert "line 2" in lutfarm("device", "discover", "--hosts", str(tmp_path / "hosts"), code=2).stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--adb", "a b"), 2, "neither a phone's serial number"),
        (("--adb", "$(reboot)"), 2, "neither a phone's serial number"),
        (("--ssh", "root@-oProxyCommand=id"), 2, "is not USER@HOST"),
        (("--ssh", "root@127.77.250.9"), 3, "can't be reached"),
        (("--adb", "127.77.250.9:5555"), 3, "offline"),
        (("--local", "--adb", "x"), 2, "one of --local"),
        ((), 2, "one of --local"),
        (("--local", "--profile", "no-such"), 2, "there is no device profile 'no-such'"),
        (("--ssh", "root@127.77.250.9", "--key", "/no/such/key"), 2, "--key /no/such/key: No such file"),
    ],
)
def test_a_device_that_can_not_be_registered_says_why(lutfarm: Lutfarm, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in lutfarm("device", "register", "odd", *words, code=code).stderr


def test_a_host_key_that_is_not_the_expected_one_is_not_recorded(
    lutfarm: Lutfarm, board: Board, ssh_key: tuple[Path, str]
) -> None:
    refused = lutfarm(
        "device",
        "register",
        "strict",
        "--ssh",
        f"root@{board.link.address}",
        "--key",
        str(ssh_key[0]),
        "--host-key",
        "SHA256:AAAA",
        code=3,
    )
    assert "nothing was recorded" in refused.stderr
    assert "strict" not in [device["name"] for device in json.loads(lutfarm("device", "list", "--json").stdout)]
