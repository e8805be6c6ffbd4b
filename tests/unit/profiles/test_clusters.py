"""Which cores are of one kind, on devices that people have."""

from __future__ import annotations

import pytest

from lutfarm_agents.discovery.shell_facts import parse
from lutfarm_agents.health.findings import core_finding
from lutfarm_agents.testing import REAL
from lutfarm_profiles import loader
from lutfarm_profiles.clusters import core_clusters
from lutfarm_profiles.match_profile import DeviceFacts, filled, propose
from lutfarm_profiles.profile import CoreCluster

FOUR = tuple(range(4))


def found(name: str) -> list[tuple[str, tuple[int, ...] | str, int | None]]:
    real = REAL[name]
    clusters = core_clusters(real.clocks, capacities=real.capacities, kinds=real.kinds, off=real.off, machine=real.machine)
    return [(cluster.name, cluster.cpus, cluster.max_khz) for cluster in clusters]


@pytest.mark.parametrize(
    ("name", "clusters"),
    [
        ("pixel-6", [("little", FOUR, 1_803_000), ("mid", (4, 5), 2_253_000), ("big", (6, 7), 2_802_000)]),
        ("msm8953", [("all", tuple(range(8)), 2_016_000)]),
        ("helio-p60", [("little", FOUR, 2_000_000), ("big", (4, 5, 6, 7), 2_000_000)]),
        ("rk3588", [("little", FOUR, 1_800_000), ("big", (4, 5, 6, 7), 2_400_000)]),
        ("jh7110", [("all", FOUR, 1_500_000)]),
        ("ryzen-preferred", [("all", tuple(range(8)), 5_232_000)]),
        ("intel-hybrid", [("little", tuple(range(8, 16)), 4_200_000), ("big", tuple(range(8)), 5_600_000)]),
        ("big-cores-off", [("group0", FOUR, 1_800_000), ("other", (4, 5, 6, 7), None)]),
    ],
)
def test_clusters_of_real_devices(name: str, clusters: list[tuple[str, tuple[int, ...], int | None]]) -> None:
    assert found(name) == clusters


def test_a_hybrid_desktop_is_two_by_its_clocks_alone_too() -> None:
    clocks = REAL["intel-hybrid"].clocks
    assert [cluster.name for cluster in core_clusters(clocks, machine="x86_64")] == ["little", "big"]


def test_a_slow_kind_with_a_fast_clock_is_the_little_one() -> None:
    kinds = {0: "0x41/0xd03", 1: "0x41/0xd09"}
    assert [c.cpus for c in core_clusters([(0, 2_300_000), (1, 2_000_000)], kinds=kinds)] == [(0,), (1,)]
    assert [c.cpus for c in core_clusters([(0, 2_300_000), (1, 2_000_000)], capacities={0: 400, 1: 1024})] == [(0,), (1,)]


def test_equal_parts_in_two_clock_domains_are_two_clusters() -> None:
    kinds = dict.fromkeys(range(4), "0x41/0xd0d")
    clocks = [(0, 2_420_000), (1, 2_420_000), (2, 2_420_000), (3, 2_840_000)]
    assert [c.cpus for c in core_clusters(clocks, kinds=kinds)] == [(0, 1, 2), (3,)]


def test_kinds_tell_cores_apart_that_have_no_clock() -> None:
    assert core_clusters([(0, None), (1, None)], kinds={0: "atom", 1: "core"}) == (
        CoreCluster(name="little", cpus=(0,)),
        CoreCluster(name="big", cpus=(1,)),
    )
    assert core_clusters([(0, None), (1, None)], kinds={0: "core", 1: "core"}) == ()


def test_what_only_some_cores_say_does_not_count() -> None:
    assert [c.name for c in core_clusters([(0, 5_000), (1, 5_000)], capacities={0: 512})] == ["all"]


def test_cores_that_are_off_are_named_and_the_slow_ones_are_not_called_the_fastest() -> None:
    real = REAL["big-cores-off"]
    proposal = propose(DeviceFacts(machine="aarch64", cores=real.clocks, transport="adb"))
    profile = filled(loader.load(proposal.profile), proposal)
    assert proposal.unseen == (4, 5, 6, 7)
    assert (profile.measured_cluster, profile.measured_cpus(range(8))) == ("group0", [0, 1, 2, 3])
    generic = loader.load("generic-android")
    finding = core_finding(generic, FOUR, real.off)
    assert (finding.severity, finding.value) == ("warn", 4)
    assert finding.why == "cores 4, 5, 6, 7 are off or say no clock: whether they are the fastest is not known"
    assert "cpu4/online" in finding.what_to_do
    assert core_finding(generic, range(8)).severity == "ok"  # once they are on
    pixel = loader.load("google-pixel-6")
    assert core_finding(pixel, range(6), (6, 7)).severity == "fail"
    assert core_finding(pixel, (4, 5, 6, 7), FOUR).severity == "ok"


def test_equal_cores_with_unequal_maxima_take_as_many_threads_as_there_are() -> None:
    proposal = propose(DeviceFacts(machine="x86_64", cores=REAL["ryzen-preferred"].clocks))
    profile = filled(loader.load(proposal.profile), proposal)
    assert (profile.measured_cluster, len(profile.measured_cpus(range(8)))) == ("all", 8)
    assert proposal.unseen == ()


SAID = """
==lutfarm machine
aarch64
==lutfarm cores
0 1800000 530 1 0x00000000412fd050
1 - - 0 -
2 2400000 1024 1 0x00000000414fd0b1
3 x y 1 -
10 2400000 1024 1 -
==lutfarm types
"""
CPUINFO = """==lutfarm cpuinfo
processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd03

processor\t: 5
CPU implementer : 0x51
CPU part : 0x802
"""


def test_what_a_shell_says_of_cores() -> None:
    facts = parse(SAID)
    assert facts.cores == ((0, 1_800_000), (1, None), (2, 2_400_000), (10, 2_400_000))
    assert facts.capacities == {0: 530, 2: 1024, 10: 1024}
    assert facts.kinds == {0: "0x41/0xd05", 2: "0x41/0xd0b"}
    assert facts.off == (1,)
    assert parse(CPUINFO).kinds == {0: "0x41/0xd03", 5: "0x51/0x802"}
    assert parse(SAID + "core 0-1\natom 2,10\n").kinds == {0: "core", 1: "core", 2: "atom", 10: "atom"}
    assert parse("==lutfarm cores\n0 1800000\n").cores == ()
