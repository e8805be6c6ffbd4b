"""Temperature, throttling and clocks, on a board whose /sys the rig writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.rig.board import Board
from tests.rig.fixtures import board, ssh_key

from lutfarm_agents.address import HostKey, SshAddress
from lutfarm_agents.conditions.cpu_clocks import Clocks
from lutfarm_agents.conditions.cpu_clocks import parse as parse_note
from lutfarm_agents.conditions.power import Power
from lutfarm_agents.conditions.read_temperature import Climate, Reading, parse
from lutfarm_agents.transports.ssh.transport import SshTransport
from lutfarm_jobs.errors import NotReady
from lutfarm_profiles.power_and_thermal import Frequency, PowerSensor, Thermal
from lutfarm_profiles.profile import CoreCluster, DeviceProfile

__all__ = ["board", "ssh_key"]
ROOT = "/home/board/lutfarm"
COUNTER = "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
THERMAL = Thermal(limit_c=70.0, resume_c=55.0, wait_s=30.0, throttle_files=(COUNTER,))


def profile(frequency: Frequency | None) -> DeviceProfile:
    return DeviceProfile(
        name="rig-board",
        description="a board of the rig",
        transport="ssh",
        runtimes=("onnxruntime",),
        clusters=(CoreCluster(name="all", cpus="all"),),
        measured_cluster="all",
        lock_path="/tmp/lock",
        frequency=frequency,
    )


@pytest.fixture
def transport(board: Board, ssh_key: tuple[Path, str]) -> Iterator[SshTransport]:
    known = HostKey.parse(board.host_key.rsplit(" ", 1)[0])
    with closing(SshTransport(SshAddress(board.link.address, "root", 22, str(ssh_key[0]), known), root=ROOT)) as found:
        found.run(["mkdir", "-p", ROOT])
        yield found


def test_throttling_is_seen_by_counter_and_by_temperature(board: Board, transport: SshTransport) -> None:
    climate = Climate(transport, THERMAL)
    board.heat(40.0)
    board.sysfs(COUNTER.removeprefix("/sys/"), "7")
    before = climate.read()
    assert before == Reading(40.0, 7, False, "cpu-thermal")
    assert not climate.throttled(before, climate.read())
    board.sysfs(COUNTER.removeprefix("/sys/"), "9")
    assert climate.throttled(before, climate.read())
    board.heat(75.0)
    assert climate.throttled(climate.read(), climate.read())
    board.heat(40.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Reading()),
        ("zone 999999 cpu\nzone -99999 cpu\nzone nan cpu\nzone 1e9 cpu", Reading()),
        ("zone 42000 cpu\nzone 51000 gpu\n<html>\n\x1b[31m", Reading(42.0, zone="cpu")),
        ("counter 5\ncounter -1\ncounter x\ncounter 4", Reading(None, 9)),
        ("counter " + "9" * 100, Reading()),
    ],
)
def test_what_a_thermometer_says_is_checked(text: str, expected: Reading) -> None:
    assert parse(text, THERMAL) == expected


@pytest.mark.parametrize(("value", "raised"), [("0x50005", True), ("50000", False), ("", False), ("zz", False), ("0x4", True)])
def test_flags_are_hexadecimal_masks(value: str, raised: bool) -> None:
    thermal = Thermal.model_validate(
        {"limit_c": 70, "resume_c": 60, "throttle_flags": [{"path": "/sys/devices/platform/soc/get_throttled", "mask": 15}]}
    )
    assert parse(f"flags {value}", thermal).throttled_now is raised


def test_power_is_read_from_the_profiles_sensor(board: Board, transport: SshTransport) -> None:
    sensor = PowerSensor(path="/sys/class/hwmon/hwmon0/power1_input", unit="uW")
    assert Power(transport, sensor).read_w() is None  # a board that lacks it
    board.sysfs("class/hwmon/hwmon0/power1_input", "4250000")
    assert Power(transport, sensor).read_w() == pytest.approx(4.25)
    assert Power(transport, None).read_w() is None


def governors(board: Board, core: int = 1) -> list[str]:
    names = ("scaling_governor", "scaling_min_freq", "scaling_max_freq")
    folder = board.folder / "sys" / f"devices/system/cpu/cpu{core}/cpufreq"
    return [(folder / name).read_text().strip() for name in names]


def test_clocks_are_fixed_and_put_back(board: Board, transport: SshTransport) -> None:
    kind = profile(Frequency(governor="performance", khz={"all": 1_200_000}))
    before = governors(board)
    clocks = Clocks(transport, ROOT, kind, "board")
    clocks.fix([0, 1])
    assert governors(board) == ["performance", "1200000", "1200000"]
    clocks.fix([0, 1])  # each round asks again
    assert clocks.restore() == 6
    clocks.fix([1])
    assert governors(board) == ["performance", "1200000", "1200000"]
    assert governors(board, 0) == before
    clocks.fix([0, 1])  # a round of two threads: the other core too
    assert governors(board, 0) == ["performance", "1200000", "1200000"]
    assert clocks.restore() == 6
    assert governors(board, 0) == before
    assert governors(board) == before
    assert clocks.restore() == 0


def test_clocks_that_a_crash_left_fixed_are_put_back_by_the_next_session(board: Board, transport: SshTransport) -> None:
    kind = profile(Frequency(governor="performance"))
    before = governors(board)
    Clocks(transport, ROOT, kind, "board").fix([0, 1])
    assert governors(board) != before
    again = Clocks(transport, ROOT, kind, "board")  # another process: the first one died
    again.fix([0, 1])  # what it remembers is what was there before the first
    assert again.restore() == 6
    assert governors(board) == before


def test_a_profile_that_does_not_say_how_refuses(transport: SshTransport) -> None:
    with pytest.raises(NotReady, match="does not say how"):
        Clocks(transport, ROOT, profile(None), "board").fix([0])


def test_a_command_of_the_profile_that_is_not_there_is_named_and_clocks_are_given_back(
    board: Board, transport: SshTransport
) -> None:
    kind = profile(Frequency(fix=(("no-such-clock-tool", "--on"),), restore=(("true",),)))
    clocks = Clocks(transport, ROOT, kind, "board")
    for _ in range(2):  # the second round is refused as the first was
        with pytest.raises(NotReady, match=r"no-such-clock-tool ended with 127"):
            clocks.fix([0])
    assert clocks.restore() == 3


def test_a_core_that_does_not_obey_is_said(board: Board, transport: SshTransport) -> None:
    with pytest.raises(NotReady, match="core 9 can't be set"):
        clocks = Clocks(transport, ROOT, profile(Frequency(governor="performance")), "board")
        clocks.fix([0, 9])
    Clocks(transport, ROOT, profile(Frequency(governor="performance")), "board").restore()
    assert governors(board)[0] == "schedutil"


def test_a_hostile_note_sets_nothing() -> None:
    text = "0 scaling_governor x;reboot\n0 ../../../etc/passwd x\n-1 scaling_governor a\n1 scaling_governor powersave\n"
    assert [(s.core, s.name, s.value) for s in parse_note(text)] == [(1, "scaling_governor", "powersave")]
