"""What a device profile may say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lutfarm_jobs.round import Limits, Slicing
from lutfarm_profiles.profile import DeviceProfile

GOOD: dict[str, object] = {
    "name": "big-little",
    "description": "four and four",
    "transport": "local",
    "runtimes": ["onnxruntime"],
    "clusters": [{"name": "little", "cpus": [0, 1, 2, 3]}, {"name": "big", "cpus": [4, 5, 6, 7]}],
    "measured_cluster": "big",
    "lock_path": "/tmp/lock",
}


def profile(**changes: object) -> DeviceProfile:
    return DeviceProfile.model_validate({**GOOD, **changes})


@pytest.mark.parametrize(("allowed", "measured"), [((0, 1, 4, 5), [4, 5]), ((7, 6), [6, 7]), ((0, 1), []), ((), [])])
def test_measured_cores_are_those_of_the_cluster_that_are_allowed(allowed: tuple[int, ...], measured: list[int]) -> None:
    assert profile().measured_cpus(allowed) == measured


def test_all_cores_may_be_one_cluster() -> None:
    found = profile(clusters=[{"name": "big", "cpus": "all"}])
    assert found.measured_cpus((3, 1, 2)) == [1, 2, 3]


@pytest.mark.parametrize("path", ["/tmp/lock", "/dev/shm/lock", "/processes/a.lock", "/data/local/tmp/lutfarm-device.lock"])
def test_a_lock_is_a_plain_file_anywhere_but_in_the_kernels_folders(path: str) -> None:
    assert profile(lock_path=path).lock_path == path


def test_what_is_not_said_is_standard() -> None:
    assert profile().workload_limits() == Limits()
    assert profile().slicing(Slicing(passes=7)) == Slicing(passes=7)


def test_what_is_said_replaces_the_standard() -> None:
    found = profile(limits={"memory_bytes": 1 << 28}, sampling={"gate_ratio": 1.3, "long_ns": 9_000_000})
    assert found.workload_limits() == Limits(memory_bytes=1 << 28)
    assert found.slicing(Slicing(passes=7)) == Slicing(passes=7, gate_ratio=1.3, long_ns=9_000_000)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../etc"),
        ("name", ""),
        ("transport", "carrier pigeon"),
        ("runtimes", []),
        ("runtimes", ["cuda"]),
        ("clusters", []),
        ("clusters", [{"name": "big", "cpus": [-1]}]),
        ("clusters", [{"name": "big", "cpus": [True]}]),
        ("clusters", [{"name": "big", "cpus": "some"}]),
        ("clusters", [{"name": "big", "cpus": "all"}, {"name": "big", "cpus": "all"}]),
        ("measured_cluster", "huge"),
        ("lock_path", "relative"),
        ("lock_path", "/tmp/$(touch x)\n'q"),
        ("lock_path", "/tmp/../etc/lock"),
        ("lock_path", "/tmp/a b"),
        ("lock_path", "/tmp/"),
        ("lock_path", "/"),
        ("lock_path", "/proc/self/mem"),
        ("lock_path", "/sys/lock"),
        ("lock_path", "/dev/null"),
        ("lock_path", "/dev/shm"),
        ("memory_budget_bytes", 0),
        ("memory_budget_bytes", 1.5),
        ("memory_budget_bytes", True),
        ("limits", {"load_s": 0}),
        ("limits", {"load_s": float("nan")}),
        ("sampling", {"gate_ratio": 1.0}),
        ("sampling", {"passes": 3}),
        ("colour", "blue"),
    ],
)
def test_what_is_wrong_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        profile(**{field: value})
    assert caught.value.error_count() >= 1
    text = str(caught.value)
    assert field in text or "cluster" in text
