"""Which executor measures."""

from __future__ import annotations

import sys

import pytest
import typer

from lutfarm.cli.executor import WITHOUT_RAY, Executor, executor_of
from lutfarm.cli.measure import check_reach
from lutfarm_agents.address import AdbAddress, LocalAddress
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import SpecError

HERE = Device("desk", "generic-linux-x86_64", "local", LocalAddress())
AWAY = Device("phone", "generic-android", "adb", AdbAddress("X1"), host="lab-2")


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)


@pytest.mark.parametrize(("asked", "kind"), [(None, "ray"), ("ray", "ray"), ("local", "local")])
def test_ray_measures_where_it_is_installed_unless_another_is_asked_for(
    asked: str | None, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert executor_of(asked) == Executor(kind)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("without_ray")
def test_ray_that_is_asked_for_and_not_installed_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match=r"Ray is not installed: pip install 'lutfarm\[ray\]'"):
        executor_of("ray")


@pytest.mark.usefixtures("without_ray")
def test_without_ray_this_process_measures() -> None:
    assert executor_of(None) == Executor("local", WITHOUT_RAY)
    assert executor_of("local") == Executor("local")


def test_an_executor_that_is_none_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="'rays' is neither ray nor local"):
        executor_of("rays")


def test_this_process_measures_only_what_hangs_on_this_machine() -> None:
    check_reach([HERE], "local")
    check_reach([HERE, AWAY], "ray")
    with pytest.raises(SpecError, match=r"^phone \(on lab-2\): .*--executor ray"):
        check_reach([HERE, AWAY], "local")
