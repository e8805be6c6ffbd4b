"""What of a device's own words tells two of its runs apart."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from types import SimpleNamespace

import pytest

from lutfarm.records.fingerprints import BETWEEN_UNITS, agree, disagreement
from lutfarm_agents.device import Hello
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_agents.testing import HELLO
from lutfarm_jobs.measurement import Backend
from lutfarm_jobs.registry import Registry
from lutfarm_jobs.round import Slicing
from lutfarm_jobs.runtimes import Runtime

WIDE = replace(HELLO, word_bits=64, abi="aarch64-linux-gnu", libc="glibc 2.36")


def of(hello: Hello) -> dict[str, str]:
    return dict(fingerprint(hello, Backend("onnxruntime"), Slicing()))


@pytest.mark.parametrize(
    "other",
    [
        replace(WIDE, word_bits=32, abi="arm-linux-gnueabihf"),
        replace(WIDE, abi="aarch64-linux-musl"),
        replace(WIDE, libc="glibc 2.31"),
        replace(WIDE, cpus_off=(4, 5, 6, 7)),
    ],
)
def test_another_userland_or_cores_that_are_off_are_another_device(other: Hello) -> None:
    assert not agree(of(WIDE), of(other))
    assert agree(of(WIDE), of(replace(WIDE)))


def test_devices_of_a_kind_may_have_another_c_library_and_no_other_word_size() -> None:
    newer, narrow = of(replace(WIDE, libc="glibc 2.41")), of(replace(WIDE, word_bits=32))
    assert not disagreement((("a", of(WIDE)), ("b", newer)), may_differ=BETWEEN_UNITS)
    assert [one.field for one in disagreement((("a", of(WIDE)), ("b", narrow)), may_differ=BETWEEN_UNITS)] == ["abi"]


def test_what_a_device_says_of_itself_stands_under_names_that_stay() -> None:
    """Runs that are stored are compared by them."""
    told = of(HELLO)
    fixed = {"os": HELLO.system, "machine": HELLO.machine, "cpu_model": HELLO.cpu_model, "governor": HELLO.governor}
    assert {name: told[name] for name in fixed} == fixed
    assert told["python"] == HELLO.python
    assert told["runner_sha256"] == HELLO.runner_sha256
    assert set(told) == {*fixed, "python", "runtime", "runner_sha256", "protocol", "models", "slicing"}


def test_what_it_does_not_say_is_no_part_of_it() -> None:
    assert not {"abi", "libc", "cpus_off"} & set(of(HELLO))


@pytest.mark.parametrize("field", ["setting", "inputs", "space"])
def test_what_a_workload_was_fed_with_and_who_made_it_stands_under_its_own_name(field: str) -> None:
    fed = {"setting": "", field: "a1b2"}
    told = fingerprint(HELLO, Backend("onnxruntime"), None, **fed)
    assert told == {**fingerprint(HELLO, Backend("onnxruntime"), None), field: "a1b2"}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_runtime_of_another_package_is_told_with_that_package_and_its_version(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """It may feed or call its runtime in another way in another version."""
    theirs = metadata.EntryPoint("fast", "fast_runtime:RUNTIME", "lutfarm.runtimes")
    vars(theirs)["dist"] = SimpleNamespace(name="lutfarm-fast", version=version)
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: [theirs] if group == theirs.group else [])
    known = Registry("lutfarm.runtimes", "runtime", Runtime, {"onnxruntime": Runtime("onnx", backend="ours")})
    monkeypatch.setattr("lutfarm_agents.fingerprint.RUNTIMES", known)
    said = f"lutfarm-fast {version} (entry point lutfarm.runtimes: fast = fast_runtime:RUNTIME)"
    assert fingerprint(HELLO, Backend("fast"), None)["runtime_package"] == said
    assert "runtime_package" not in fingerprint(HELLO, Backend("onnxruntime"), None)
