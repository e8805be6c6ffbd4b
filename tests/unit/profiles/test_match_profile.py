"""Which profile is proposed for what a device says of itself, however wrong that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_jobs.errors import RegistrationStale, SpecError
from lutfarm_profiles.cores import cores_for
from lutfarm_profiles.match_profile import DeviceFacts, core_clusters, filled, propose
from lutfarm_profiles.profile import CoreCluster, DeviceProfile


def kind(name: str, **detect: object) -> DeviceProfile:
    return DeviceProfile.model_validate(
        {
            "name": name,
            "description": "",
            "transport": "ssh",
            "runtimes": ["tflite"],
            "clusters": [{"name": "all", "cpus": "all"}],
            "measured_cluster": "all",
            "lock_path": "/tmp/lock",
            "detect": detect,
        }
    )


GENERIC = (
    kind("generic-linux"),
    kind("generic-linux-aarch64", machine="aarch64"),
    kind("generic-linux-x86_64", machine="x86_64"),
    kind("generic-android"),
)
PHONE = kind("phone", properties={"ro.product.device": ["one", "uno"]})
BOARD = kind("board", device_tree=["acme,board"])
ALL = (*GENERIC, PHONE, BOARD)


def proposed(facts: DeviceFacts, *more: DeviceProfile) -> str:
    return propose(facts, (*ALL, *more)).profile


@pytest.mark.parametrize(
    ("facts", "profile"),
    [
        (DeviceFacts(machine="aarch64", properties={"ro.product.device": "one"}), "phone"),
        (DeviceFacts(machine="aarch64", properties={"ro.product.device": "uno\n"}), "phone"),
        (DeviceFacts(properties={"ro.product.device": "One"}, transport="adb"), "generic-android"),
        (DeviceFacts(properties={"ro.product.device": "one "}), "phone"),
        (DeviceFacts(properties={"ro.product.device": "one more"}, transport="adb"), "generic-android"),
        (DeviceFacts(machine="aarch64", properties={"ro.build.version.sdk": "34"}, transport="ssh"), "generic-android"),
        (DeviceFacts(machine="aarch64", device_tree=("Acme Board Rev 2", "acme,board", "acme,soc")), "board"),
        (DeviceFacts(machine="aarch64", device_tree=("acme,board\x00", "acme,soc\x00")), "board"),
        (DeviceFacts(machine="aarch64", device_tree=("acme,board2", "acme,soc")), "generic-linux-aarch64"),
        (DeviceFacts(machine="x86_64"), "generic-linux-x86_64"),
        (DeviceFacts(machine="x86_64\n"), "generic-linux-x86_64"),
        (DeviceFacts(machine="x86_64", transport="adb"), "generic-android"),
        (DeviceFacts(machine="riscv64"), "generic-linux"),
        (DeviceFacts(), "generic-linux"),
    ],
)
def test_the_profile_that_fits_is_proposed(facts: DeviceFacts, profile: str) -> None:
    assert proposed(facts) == profile
    assert propose(facts, tuple(reversed(ALL))).profile == profile


def test_all_that_a_profile_says_must_hold() -> None:
    both = kind("both", properties={"ro.product.device": "one", "ro.boot.slot": "a"}, machine="aarch64")
    one = {"ro.product.device": "one"}
    assert proposed(DeviceFacts(machine="aarch64", properties={**one, "ro.boot.slot": "a"}), both) == "both"
    assert proposed(DeviceFacts(machine="armv7l", properties={**one, "ro.boot.slot": "a"}), both) == "phone"
    assert proposed(DeviceFacts(machine="aarch64", properties=one), both) == "phone"


def test_the_more_specific_device_tree_string_wins() -> None:
    family = kind("family", device_tree="acme,soc")
    assert proposed(DeviceFacts(device_tree=("acme,board", "acme,soc")), family) == "board"
    assert proposed(DeviceFacts(device_tree=("acme,other", "acme,soc")), family) == "family"


def test_with_the_machine_it_fits_better_than_without() -> None:
    narrow = kind("narrow", device_tree="acme,board", machine="armv7l")
    assert proposed(DeviceFacts(machine="armv7l", device_tree=("acme,board",)), narrow) == "narrow"
    assert proposed(DeviceFacts(machine="aarch64", device_tree=("acme,board",)), narrow) == "board"


def test_two_that_fit_equally_are_an_error_that_names_both() -> None:
    twin = kind("a-twin", device_tree=["acme,board", "acme,soc"])
    with pytest.raises(SpecError, match="a-twin and board") as caught:
        proposed(DeviceFacts(device_tree=("acme,board",)), twin)
    assert "--profile" in caught.value.detail


def test_a_profile_that_says_only_a_machine_is_no_particular_kind() -> None:
    assert proposed(DeviceFacts(machine="aarch64"), kind("mine", machine="aarch64")) == "generic-linux-aarch64"


def test_without_any_generic_profile_it_says_so() -> None:
    with pytest.raises(SpecError, match="generic-linux"):
        propose(DeviceFacts(machine="x86_64"), (PHONE,))


def test_a_known_kind_has_nothing_undetected() -> None:
    found = propose(DeviceFacts(device_tree=("acme,board",)), ALL)
    assert (found.generic, found.undetected) == (False, ())


def test_an_unknown_kind_lists_what_is_missing() -> None:
    found = propose(DeviceFacts(), ALL)
    assert found.generic
    assert found.undetected == (
        "machine", "vendor", "model", "soc", "os", "memory_bytes", "clusters", "thermal", "battery", "frequency", "power_sensor"
    )  # fmt: skip


def test_what_an_unknown_phone_says_is_taken_over() -> None:
    found = propose(
        DeviceFacts(
            machine="aarch64",
            properties={
                "ro.product.manufacturer": "Acme",
                "ro.product.model": "Phone 3",
                "ro.soc.manufacturer": "Acme",
                "ro.soc.model": "A-1",
                "ro.build.version.release": "14",
            },
            cores=((0, 1_800_000), (1, 1_800_000), (2, 2_800_000)),
            memory_bytes=8 << 30,
            transport="adb",
        ),
        ALL,
    )
    assert (found.profile, found.vendor, found.model, found.soc, found.os) == (
        "generic-android", "Acme", "Phone 3", "Acme A-1", "14"
    )  # fmt: skip
    assert found.memory_bytes == 8 << 30
    assert found.undetected == ("thermal", "battery", "frequency", "power_sensor")


def test_what_an_unknown_board_says_is_taken_over() -> None:
    tree = ("Acme Mini Rev 2", "acme,mini", "chips,c9")
    found = propose(DeviceFacts(machine="aarch64", device_tree=tree, os="Debian 12"), ALL)
    assert (found.vendor, found.model, found.soc, found.os) == ("acme", "Acme Mini Rev 2", "chips,c9", "Debian 12")
    assert found.undetected[:2] == ("memory_bytes", "clusters")


def test_equal_highest_clocks_make_a_cluster() -> None:
    pixel = [(cpu, 1_803_000 if cpu < 4 else 2_253_000 if cpu < 6 else 2_802_000) for cpu in reversed(range(8))]
    assert core_clusters(pixel) == (
        CoreCluster(name="little", cpus=(0, 1, 2, 3), max_khz=1_803_000),
        CoreCluster(name="mid", cpus=(4, 5), max_khz=2_253_000),
        CoreCluster(name="big", cpus=(6, 7), max_khz=2_802_000),
    )


def test_clusters_of_other_numbers() -> None:
    assert core_clusters([]) == ()
    assert core_clusters([(0, None), (1, None)]) == ()
    assert [c.name for c in core_clusters([(0, 5_000), (1, 5_000)])] == ["all"]
    assert [c.name for c in core_clusters([(0, 5_000), (1, 6_000)])] == ["little", "big"]
    assert [c.name for c in core_clusters([(n, 5_000 << n) for n in range(4)])] == ["group0", "group1", "group2", "group3"]
    assert core_clusters([(0, 5_000), (1, None)])[-1] == CoreCluster(name="other", cpus=(1,))


def test_a_generic_profile_is_filled_with_what_was_detected() -> None:
    facts = DeviceFacts(
        machine="aarch64", device_tree=("Acme Mini", "acme,mini"), cores=((0, 5_000), (1, 6_000), (2, 6_000), (3, None))
    )
    found = filled(GENERIC[1], propose(facts, ALL))
    assert (found.vendor, found.model, found.soc) == ("acme", "Acme Mini", "acme,mini")
    assert found.measured_cpus(range(8)) == [1, 2]
    assert [c.name for c in found.clusters] == ["group0", "group1", "other"]


def test_a_generic_profile_stays_as_it_is_where_nothing_was_detected() -> None:
    assert filled(GENERIC[0], propose(DeviceFacts(), ALL)) == GENERIC[0]


HOSTILE_TEXTS = ["'; reboot #", '"', "$(reboot)", "a\nb", "\x1b[2J", "-rf", "x" * 10_000, "\ud800", "", "<b>", "\x00", "NaN", "‮x"]


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_a_hostile_text_anywhere_is_harmless(text: str) -> None:
    facts = DeviceFacts(
        machine=text,
        properties={text: "x", "ro.product.device": text, "ro.product.model": text, "ro.soc.model": text},
        device_tree=(text, "acme,board", text),
        cpu_parts=(text,),
        os=text,
        transport=text,
    )
    found = propose(facts, ALL)
    assert found.profile == "board"
    for said in (found.vendor, found.model, found.soc, found.os):
        assert said is None or (said.isprintable() and len(said) <= 200)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 0, 1 << 60, True, "8", 1.5, None])
def test_a_number_that_can_not_be_is_dropped(value: Any) -> None:
    found = propose(DeviceFacts(memory_bytes=value, cores=((0, value), (value if value != 0 else -1, 5_000))), ALL)
    assert found.memory_bytes is None
    assert found.clusters == ()


@pytest.mark.parametrize("cores", [((0,),), ((0, 5_000, 1),), (None,), ("01",), (7,), (({}, []),)])
def test_cores_of_no_shape_are_dropped(cores: Any) -> None:
    assert propose(DeviceFacts(cores=cores), ALL).clusters == ()


def test_a_core_that_is_told_twice_counts_once() -> None:
    found = propose(DeviceFacts(cores=((0, 5_000), (0, 6_000))), ALL)
    assert found.clusters == (CoreCluster(name="all", cpus=(0,), max_khz=5_000),)


NUMBERS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats())
ANYTHING = st.one_of(NUMBERS, st.text(max_size=300), st.binary(max_size=20), st.sampled_from(HOSTILE_TEXTS))
NAMES = st.one_of(ANYTHING, st.sampled_from(["ro.product.device", "ro.product.model", "ro.soc.model", "ro.build.version.sdk"]))
STRINGS = st.one_of(ANYTHING, st.sampled_from(["acme,board", "one", "uno", "acme,soc", "aarch64"]))
CORES = st.one_of(ANYTHING, st.tuples(ANYTHING, ANYTHING), st.tuples(st.integers(0, 9), st.integers(1_000, 1_005)))


@given(
    machine=STRINGS,
    properties=st.dictionaries(NAMES, STRINGS, max_size=6),
    tree=st.lists(STRINGS, max_size=6),
    cores=st.lists(CORES, max_size=12),
    memory=ANYTHING,
    rest=STRINGS,
)
def test_no_facts_at_all_make_it_raise(
    machine: Any, properties: Mapping[Any, Any], tree: list[Any], cores: list[Any], memory: Any, rest: Any
) -> None:
    facts = DeviceFacts(machine, properties, tuple(tree), tuple(tree), tuple(cores), memory, rest, rest)
    found = propose(facts, ALL)
    base = next(profile for profile in ALL if profile.name == found.profile)
    assert found.generic == (not base.detect.is_particular)
    assert found.undetected or not found.generic
    cpus = [cpu for cluster in found.clusters for cpu in cluster.cpus]
    assert len(set(cpus)) == len(cpus)
    assert filled(base, found).name == base.name


BIG = PHONE.model_copy(update={"name": "phone", "clusters": (CoreCluster(name="all", cpus=(6, 7)),)})


@pytest.mark.parametrize(
    ("cores", "profile"),
    [
        (((0, None), (1, None)), "generic-android"),
        (((0, None), (6, None)), "generic-android"),
        (tuple((cpu, None) for cpu in range(8)), "phone"),
        ((), "phone"),
    ],
)
def test_a_kind_whose_measured_cores_are_not_there_is_passed_over(
    cores: tuple[tuple[int, int | None], ...], profile: str
) -> None:
    facts = DeviceFacts(machine="aarch64", properties={"ro.product.device": "one"}, cores=cores, transport="adb")
    found = propose(facts, (*GENERIC, BIG))
    assert found.profile == profile
    there = ", ".join(str(cpu) for cpu, _ in cores)
    said = f"it looks like phone, but phone's cluster all is cores 6, 7, and the device has cores {there}"
    assert found.passed_over == ("" if profile == "phone" else said)


@pytest.mark.parametrize(
    ("there", "threads", "kind_of", "says"),
    [
        ((0, 1), 1, RegistrationStale, "cluster all is cores 6, 7, and the device has cores 0, 1.*--profile generic-"),
        ((), 1, RegistrationStale, "none that it names"),
        ((0, 6), 2, SpecError, "2 threads are asked for, and there are 1 cores"),
    ],
)
def test_cores_that_are_not_there_are_named_with_the_way_out(
    there: tuple[int, ...], threads: int, kind_of: type[Exception], says: str
) -> None:
    with pytest.raises(kind_of, match=f"px: .*{says}"):
        cores_for(BIG, there, threads=threads, device="px")
    assert cores_for(BIG, range(8), threads=1, device="px") == [7]
