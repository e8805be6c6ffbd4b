"""What other packages' runtimes bring into the runner's zipapp."""

from __future__ import annotations

from importlib import metadata

import pytest

from lutfarm_agents.provisioning import runner_zipapp
from lutfarm_jobs.errors import PluginRefused
from lutfarm_jobs.registry import Registry
from lutfarm_jobs.runtimes import Runtime

OURS = {"lutfarm_runner/backends/ours.py": b"1", "lutfarm_runner/backends/arrays/__init__.py": b"2"}
FINE = Runtime("onnx", backend="lutfarm_jobs.registry", packages=("more",))
MISSING = Runtime("onnx", backend="lutfarm_no_such_package.backend", packages=("more",))
PACKAGE = Runtime("onnx", backend="lutfarm_jobs.models", packages=("more",))
BUILT_IN = Runtime("onnx", backend="sys", packages=("more",))
TOOL = Runtime("onnx", tool="a:b")


@pytest.fixture
def runtimes(monkeypatch: pytest.MonkeyPatch):
    def add(name: str, value: str) -> None:
        entries = [metadata.EntryPoint(name, f"{__name__}:{value}", "lutfarm.runtimes")]
        monkeypatch.setattr(metadata, "entry_points", lambda *, group: entries if group == "lutfarm.runtimes" else [])
        own = {"ours": Runtime("onnx", backend="lutfarm_runner.backends.ours", packages=("ours",))}
        monkeypatch.setattr(runner_zipapp, "RUNTIMES", Registry("lutfarm.runtimes", "runtime", Runtime, own))

    return add


def test_a_backend_lies_beside_ours_under_the_runtimes_name(runtimes) -> None:
    runtimes("more", "FINE")
    found = runner_zipapp.with_backends(OURS)
    assert found.keys() - OURS.keys() == {"lutfarm_runner/backends/more.py"}
    assert b"class Registry" in found["lutfarm_runner/backends/more.py"]
    assert runner_zipapp.pack(found) == runner_zipapp.pack(runner_zipapp.with_backends(OURS))
    assert runner_zipapp.pack(found) != runner_zipapp.pack(OURS)


def test_a_native_tool_brings_nothing(runtimes) -> None:
    runtimes("more", "TOOL")
    assert runner_zipapp.with_backends(OURS) == OURS
    assert runner_zipapp.backend_source("more", OURS) is None
    assert runner_zipapp.backend_source("ours") is None


@pytest.mark.parametrize(("name", "value"), [("ours", "FINE"), ("../more", "FINE"), ("more", "NOTHING_LIKE_THAT")])
def test_what_is_taken_twice_or_broken_is_left_out_and_refused_where_it_is_used(runtimes, name: str, value: str) -> None:
    runtimes(name, value)
    assert runner_zipapp.with_backends(OURS) == OURS
    with pytest.raises(PluginRefused):
        runner_zipapp.RUNTIMES[name]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("arrays", "FINE", "whose name the runner has for something else"),
        ("more", "MISSING", r"more = .* can't be found as lutfarm_no_such_package\.backend: ModuleNotFoundError"),
        ("more", "PACKAGE", r"more = .* is no module of one file: lutfarm_jobs\.models"),
        ("more", "BUILT_IN", "more = .* is no module of one file: sys|more = .* has no source: sys"),
    ],
)
def test_what_would_be_another_file_of_the_runner_or_none_is_left_out_and_refused_where_it_is_used(
    runtimes, name: str, value: str, said: str
) -> None:
    runtimes(name, value)
    assert runner_zipapp.with_backends(OURS) == OURS
    with pytest.raises(PluginRefused, match=said):
        runner_zipapp.backend_source(name, OURS)
