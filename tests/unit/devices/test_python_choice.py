"""Which Python a device that is registered gets, and what is said where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lutfarm.devices import registration
from lutfarm.devices.python_choice import choose, lacks, next_step
from lutfarm.devices.runtime_support import runtime_lacking
from lutfarm.home import Home
from lutfarm_agents.address import LocalAddress, SshAddress
from lutfarm_agents.device import Device
from lutfarm_agents.discovery.shell_facts import ShellFacts
from lutfarm_agents.provisioning.bundle_layout import Bundle
from lutfarm_agents.testing import HELLO
from lutfarm_agents.transports.kind import checked_root
from lutfarm_jobs.errors import FarmError, NotReady, SpecError

HOME = Home(Path("/no/such home"))  # a home without bundles


def chosen(machine: str = "aarch64", **asked: object) -> dict[str, str]:
    usual: dict[str, object] = {"python": "", "bundle": "", "tools": False, "pythons": (), "home": HOME}
    return choose("px", machine=machine, **(usual | asked))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "address"),
    [
        ({"python": "/opt/python"}, {"python": "/opt/python"}),
        ({"pythons": ("/usr/bin/python3", "/usr/bin/python")}, {"python": "/usr/bin/python3"}),
        ({"bundle": "/a/bundle.tar", "pythons": ("/usr/bin/python3",)}, {"bundle": "/a/bundle.tar"}),
        ({"tools": True}, {}),
        ({"python": "none", "tools": True}, {}),
    ],
)
def test_what_is_chosen(asked: dict[str, object], address: dict[str, str]) -> None:
    assert chosen(**asked) == address


BUILD = "lutfarm bundle build --arch arm64 --runtime {} --home '/no/such home'"


@pytest.mark.parametrize(
    ("asked", "kind", "says"),
    [
        ({}, NotReady, f"there is no Python on it; make a bundle and register it again: {BUILD.format('onnxruntime')}"),
        (
            {"bundle": "tflite", "pythons": ("/usr/bin/python3",)},
            NotReady,
            "there is no bundle for tflite in /no/such home/bundles; make a bundle and register it again: "
            + BUILD.format("tflite"),
        ),
        ({"machine": "riscv64"}, NotReady, "no bundle can be made for riscv64, only for aarch64, x86_64"),
        ({"python": "none"}, SpecError, "name one with --tool"),
        ({"python": "none", "tools": True, "bundle": "tflite"}, SpecError, "contradict"),
    ],
)
def test_what_is_lacking_is_named_with_the_command_that_helps(asked: dict[str, object], kind: type[FarmError], says: str) -> None:
    with pytest.raises(kind) as raised:
        chosen(**asked)  # type: ignore[arg-type]
    assert says in raised.value.detail


def test_a_python_without_a_runtime_is_told_the_next_step() -> None:
    bare = replace(HELLO, machine="aarch64", runtimes={"numpy": "2.0"})
    assert lacks(bare, ("onnxruntime", "tflite")).endswith("(onnxruntime, ai-edge-litert or tflite-runtime)")
    assert lacks(replace(bare, runtimes={"tflite-runtime": "2.14"}), ("onnxruntime", "tflite")) == ""
    assert lacks(replace(bare, python=""), ("onnxruntime",)) == ""
    assert "--bundle onnxruntime" in next_step(bare, ("onnxruntime",), HOME, local=False)
    assert "bundle" not in next_step(bare, ("onnxruntime",), HOME, local=True)


class Silent:
    """A transport that is only closed."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(("asked", "used"), [({}, "bundle"), ({"python": "/usr/bin/python3"}, "python")])
def test_the_homes_bundle_is_used_where_the_python_that_was_found_has_no_runtime(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], used: str
) -> None:
    bundle = Bundle("b", "0" * 64, "arm64", "onnxruntime", Path("/home/bundle-arm64.tar"), 1, {})
    bare = replace(HELLO, machine="aarch64", runtimes={})
    monkeypatch.setattr(registration, "open_transport", lambda *_: Silent())
    monkeypatch.setattr(registration, "gather", lambda *_: ShellFacts(machine="aarch64", pythons=("/usr/bin/python3",)))
    monkeypatch.setattr(registration, "fitting", lambda *_: bundle)
    monkeypatch.setattr(
        registration, "greet", lambda device, _: replace(bare, runtimes={"onnxruntime": "1"}) if device.address.bundle else bare
    )
    said: list[str] = []
    found = registration.reach(registration.Wanted("px", adb="serial", **asked), HOME, say=said.append)
    assert [name for name in ("python", "bundle") if getattr(found.device.address, name)] == [used]
    assert "has none of the runtimes of its kind" in said[0]
    assert ("so the bundle with onnxruntime is used" in said[0]) == (used == "bundle")
    assert ("register it again: lutfarm bundle build --arch arm64" in said[0]) == (used == "python")


@pytest.mark.parametrize(
    ("root", "why"),
    [
        ("home/pi", "not an absolute path"),
        ("/a\nb", "a line break"),
        ("/a\x1bb", "can't be printed"),
        ("/a/../b", "`..`"),
        ("/a:b", "a bundle can't be started"),
        ("/$ORIGIN", "a bundle can't be started"),
        ("/" + "a" * 600, "more than 500"),
        ("/", "whole"),
    ],
)
def test_a_root_that_can_not_be_used_says_why(root: str, why: str) -> None:
    with pytest.raises(SpecError, match="--root") as raised:
        checked_root(root, "--root")
    assert why in raised.value.detail
    assert checked_root("/opt/lut farm", "--root") == "/opt/lut farm"


ONLY_ONNX = replace(HELLO, runtimes={"onnxruntime": "1.20.0", "numpy": "2.0"})
TOOL = "tflite_benchmark_model"


def with_python(*, local: bool = False, **tools: str) -> Device:
    here = LocalAddress(python="/usr/bin/python3", tools=tools)
    away = SshAddress("pi", "root", python="/usr/bin/python3", tools=tools)
    return Device("pi", "generic-linux", "local", here) if local else Device("pi", "generic-linux", "ssh", away)


def test_a_runtime_that_a_device_has_not_is_named_with_what_it_has_and_the_ways_out() -> None:
    said = runtime_lacking(with_python(), ONLY_ONNX, "tflite")
    assert said.startswith(f"pi: its {HELLO.python} has no ai-edge-litert or tflite-runtime (it has onnxruntime 1.20.0)")
    assert "--python or --bundle tflite" in said
    assert "lutfarm device check pi" in said
    assert "--bundle" not in runtime_lacking(with_python(local=True), ONLY_ONNX, "tflite")
    assert runtime_lacking(with_python(), ONLY_ONNX, "onnxruntime") == ""
    assert runtime_lacking(with_python(), None, "tflite") == ""  # nobody knows yet


def test_a_tool_counts_where_it_was_named_whatever_the_device_said() -> None:
    said = runtime_lacking(with_python(), ONLY_ONNX, TOOL)
    assert said.startswith(f"no {TOOL} is named for pi (its tools: none)")
    assert f"--tool {TOOL}=/path/on/the/device" in said
    assert f"no {TOOL} is named" in runtime_lacking(with_python(), None, TOOL)
    assert runtime_lacking(with_python(**{TOOL: "/opt/tool"}), ONLY_ONNX, TOOL) == ""
    other = runtime_lacking(with_python(**{TOOL: "/opt/tool"}), ONLY_ONNX, "onnxruntime_perf_test")
    assert f"(its tools: {TOOL})" in other
