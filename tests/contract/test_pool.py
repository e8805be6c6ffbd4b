"""What every AgentPool does, in this process, through Ray, or opening devices here and measuring in another pool."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from tests import pool_kit as kit

from lutfarm.agent_pool.interface import AgentPool, Done, Opened, Probed, Progress, Waiting
from lutfarm.agent_pool.local import LocalPool
from lutfarm.agent_pool.on_demand import OnDemandPool
from lutfarm.agent_pool.ray.pool import RayPool
from lutfarm_agents.testing import HELLO, Script, ScriptedAgents
from lutfarm_jobs.run import Failure

# The scripted bug ends its device's thread loudly, maybe only while a later test runs.
pytestmark = pytest.mark.filterwarnings("ignore:Exception in thread device buggy:pytest.PytestUnhandledThreadExceptionWarning")

BAD_KEY = kit.task("steady", "bad").measurement.key
FAST_KEY = kit.task("steady", "fast").measurement.key


def scripts(folder: Path) -> dict[str, Script]:
    return {
        "steady": Script(latencies_ns={FAST_KEY: 5_000}, failures={BAD_KEY: Failure("OutOfMemory", "40 GB")}),
        "other": Script(),
        "taken": Script(holders=("bert", "bert", "carla")),
        "far": Script(errors={"prepare": ("ConnectFailed", "no route")}),
        "hot": Script(errors={"measure": ("NotReady", "90 C")}),
        "loose": Script(errors={"mid-round": ("LinkLost", "cable")}),
        "lying": Script(errors={"probe": ("ProtocolMismatch", "samples_ns")}),
        "buggy": Script(bug_at="probe"),
        "waiting": Script(hold_at="prepare", release=folder / "waiting"),
        "long-probe": Script(hold_at="probe", release=folder / "long-probe"),
        "long-round": Script(hold_at="mid-round", release=folder / "long-round"),
        "queue": Script(hold_at="measure", release=folder / "queue"),
        "given-back": Script(hold_at="mid-round", release=folder / "given-back"),
        "loop": Script(hold_at="mid-round", release=folder / "loop"),
        "keeps": Script(),
        "keeps-less": Script(hold_at="mid-round", release=folder / "keeps-less"),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    found = tmp_path_factory.mktemp("pools")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(found / "config"))
        kit.write_profile(found / "config", found / "device.lock")
        kit.write_profile(found / "config", found / "contested.lock", name="contested")
        yield found


@pytest.fixture(scope="module", params=["local", "ray", "on-demand"])
def pool(request: pytest.FixtureRequest, folder: Path) -> Iterator[AgentPool]:
    mine = folder / request.param
    mine.mkdir()
    agents = ScriptedAgents(scripts(mine))
    if request.param == "local":
        found: AgentPool = LocalPool(state_dir=mine, agent_factory=agents)
    elif request.param == "on-demand":
        here = LocalPool(state_dir=mine, agent_factory=agents)
        found = OnDemandPool(here, lambda: LocalPool(state_dir=mine, agent_factory=agents))
    else:
        found = RayPool.start(state_dir=mine, agent_factory=agents)
    yield found
    found.close()


@pytest.fixture
def listener(pool: AgentPool) -> kit.Listener:
    return kit.Listener(pool)


@pytest.fixture
def release(pool: AgentPool, folder: Path) -> Path:
    names = {LocalPool: "local", RayPool: "ray", OnDemandPool: "on-demand"}
    return folder / names[type(pool)]


def open_(listener: kit.Listener, unit: str) -> Done:
    order = kit.opening(unit)
    listener.pool.submit(order)
    return listener.done(order.id)


def reached(release: Path, unit: str) -> None:
    kit.until((release / f"{unit}.reached").exists, f"{unit} never got there")


def test_opening_says_hello_and_ends(listener: kit.Listener) -> None:
    order = kit.opening("steady")
    listener.pool.submit(order)
    assert listener.done(order.id) == Done(order.id, "steady", None, {})
    assert listener.of(order.id, Opened) == [Opened(order.id, "steady", HELLO)]


def test_probing_gives_a_probe_for_each_task_in_order(listener: kit.Listener) -> None:
    open_(listener, "steady")
    order = kit.probing("steady", *(kit.task("steady", name) for name in ("fast", "bad", "slow")))
    listener.pool.submit(order)
    assert listener.done(order.id).error is None
    probes = [event.probe for event in listener.of(order.id, Probed)]
    assert [probe.key for probe in probes] == [task.measurement.key for task in order.tasks]
    assert [probe.failure for probe in probes] == [None, Failure("OutOfMemory", "40 GB"), None]
    assert (probes[0].iteration_ns, probes[2].iteration_ns) == (5_000, 100_000)


def test_a_round_gives_progress_runs_and_says_what_it_took(listener: kit.Listener) -> None:
    open_(listener, "steady")
    order = kit.measuring("steady", kit.task("steady", "fast"), kit.task("steady", "slow"))
    listener.pool.submit(order)
    done = listener.done(order.id)
    assert (done.error, done.spent_ns) == (None, {"slices": 8_000_000})
    assert listener.of(order.id, Progress) == [Progress(order.id, "steady", 4, 8)]
    fast, slow = listener.runs(order.id)
    assert (fast.status, slow.status) == ("complete", "complete")
    assert (fast.round_id, fast.key, len(fast.slices)) == (order.round.id, FAST_KEY, kit.PLAN.passes)
    assert {sample for slice_ in fast.slices for sample in slice_.samples_ns} == {5_000}


def test_who_has_the_device_is_told(listener: kit.Listener) -> None:
    order = kit.opening("taken")
    listener.pool.submit(order)
    assert listener.done(order.id).error is None
    holders = [event.holder for event in listener.of(order.id, Waiting)]
    assert (holders[0], holders[-1]) == ("bert", "carla")
    assert all(one != other for one, other in pairwise(holders))  # told again only after a second


@pytest.mark.parametrize(
    ("unit", "kind", "error"),
    [
        ("far", "open", ("ConnectFailed", "no route")),
        ("lying", "probe", ("ProtocolMismatch", "samples_ns")),
        ("hot", "measure", ("NotReady", "90 C")),
        ("loose", "measure", ("LinkLost", "cable")),
    ],
)
def test_an_agents_error_ends_its_order(listener: kit.Listener, unit: str, kind: str, error: tuple[str, str]) -> None:
    order = kit.opening(unit)
    if kind != "open":
        assert open_(listener, unit).error is None
        make = kit.probing if kind == "probe" else kit.measuring
        order = make(unit, kit.task(unit, "one"), kit.task(unit, "two"))
    listener.pool.submit(order)
    assert listener.done(order.id).error == error


def test_a_link_that_breaks_in_mid_round_gives_what_arrived_first(listener: kit.Listener) -> None:
    open_(listener, "loose")
    order = kit.measuring("loose", *(kit.task("loose", name) for name in "abcd"))
    listener.pool.submit(order)
    listener.done(order.id)
    assert [run.status for run in listener.runs(order.id)] == ["truncated", "truncated"]


def test_a_bug_in_an_agent_is_told_and_hurts_no_other_device(listener: kit.Listener) -> None:
    open_(listener, "buggy")
    orders = [kit.probing("buggy", kit.task("buggy", "one")) for _ in range(2)]
    for order in orders:
        listener.pool.submit(order)
    first, second = (listener.done(order.id).error for order in orders)
    assert first is not None
    assert second is not None
    assert (first[0], second[0]) == ("RunnerBug", "RunnerBug")
    assert "ZeroDivisionError: the script has a bug at probe" in first[1]
    assert open_(listener, "other").error is None


@pytest.mark.parametrize("unit", ["waiting", "long-probe", "long-round"])
def test_cancel_ends_what_runs_with_one_done(listener: kit.Listener, release: Path, unit: str) -> None:
    tasks = [kit.task(unit, name) for name in "ab"]
    if unit == "waiting":
        order = kit.opening(unit)
    else:
        open_(listener, unit)
        order = (kit.probing if unit == "long-probe" else kit.measuring)(unit, *tasks)
    listener.pool.submit(order)
    reached(release, unit)
    listener.pool.cancel(order.id)
    assert listener.done(order.id).error is None
    assert not listener.of(order.id, Opened)
    assert not listener.of(order.id, Probed)
    assert {run.status for run in listener.runs(order.id)} <= {"truncated"}
    (release / unit).touch()
    again = replace(order, id=order.id + "-again")
    listener.pool.submit(again)
    assert listener.done(again.id).error is None
    assert len(listener.of(order.id, Done)) == 1


def test_what_waits_in_line_is_cancelled_without_having_begun(listener: kit.Listener, release: Path) -> None:
    open_(listener, "queue")
    first, second = (kit.measuring("queue", kit.task("queue", "a")) for _ in range(2))
    listener.pool.submit(first)
    reached(release, "queue")
    listener.pool.submit(second)
    listener.pool.cancel(second.id)
    open_(listener, "other")  # what is asked of a pool is done in order: the cancel has arrived
    assert not listener.of(first.id, Done)
    (release / "queue").touch()
    assert listener.done(first.id).error is None
    assert listener.done(second.id).error is None
    assert [run.status for run in listener.runs(first.id)] == ["complete"]
    assert not listener.runs(second.id)


def test_cancelling_what_is_unknown_or_over_changes_nothing(listener: kit.Listener) -> None:
    open_(listener, "other")
    order = kit.measuring("other", kit.task("other", "a"))
    listener.pool.cancel("never heard of")
    listener.pool.submit(order)
    listener.done(order.id)
    listener.pool.cancel(order.id)
    again = replace(order, id=order.id + "-again")
    listener.pool.submit(again)
    assert listener.done(again.id).error is None
    assert [run.status for run in listener.runs(again.id)] == ["complete"]


def test_devices_do_not_wait_for_each_other(listener: kit.Listener, release: Path) -> None:
    open_(listener, "loop")
    held = kit.measuring("loop", kit.task("loop", "a"))
    listener.pool.submit(held)
    reached(release, "loop")
    assert open_(listener, "other").error is None
    assert not listener.of(held.id, Done)
    (release / "loop").touch()
    assert listener.done(held.id).error is None


def test_an_unopened_device_is_a_lost_link(listener: kit.Listener) -> None:
    order = kit.probing("never-opened", kit.task("never-opened", "a"))
    listener.pool.submit(order)
    done = listener.done(order.id)
    assert done.error is not None
    assert done.error[0] == "LinkLost"


def test_a_device_that_is_released_ends_what_it_does_and_has_to_be_opened_again(listener: kit.Listener, release: Path) -> None:
    open_(listener, "given-back")
    held = kit.measuring("given-back", kit.task("given-back", "a"), kit.task("given-back", "b"))
    listener.pool.submit(held)
    reached(release, "given-back")
    listener.pool.release("given-back")
    assert listener.done(held.id).error is None
    assert [run.status for run in listener.runs(held.id)] == ["truncated"]
    late = kit.measuring("given-back", kit.task("given-back", "a"))
    listener.pool.submit(late)
    assert (listener.done(late.id).error or ("",))[0] == "LinkLost"
    (release / "given-back").touch()
    assert open_(listener, "given-back").error is None
    again = kit.measuring("given-back", kit.task("given-back", "a"))
    listener.pool.submit(again)
    assert listener.done(again.id).error is None
    listener.pool.release("nobody")


def test_nothing_to_tell_is_no_event(pool: AgentPool) -> None:
    assert list(pool.events(0.0)) == []


def test_every_order_has_had_exactly_one_done(listener: kit.Listener) -> None:
    orders = []
    for _ in range(20):
        order = kit.measuring("steady", kit.task("steady", "a"))
        orders.append(order.id)
        listener.pool.submit(order)
        listener.pool.cancel(order.id if len(orders) % 3 == 0 else "")
    for order_id in orders:
        listener.done(order_id)
    listener.seen += listener.pool.events(0.2)
    assert [len(listener.of(order_id, Done)) for order_id in orders] == [1] * 20


def test_a_profile_that_is_not_there_is_the_persons_error(listener: kit.Listener) -> None:
    order = kit.opening("stranger")
    order = replace(order, device=replace(order.device, profile="no-such-kind"))
    listener.pool.submit(order)
    done = listener.done(order.id)
    assert done.error is not None
    assert done.error[0] == "SpecError"
    assert "no-such-kind" in done.error[1]


def test_the_second_owner_of_a_machine_waits_and_is_told_for_whom(listener: kit.Listener, folder: Path, tmp_path: Path) -> None:
    first = LocalPool(state_dir=tmp_path)
    holding = kit.Listener(first)
    unit = replace(kit.device("real"), profile="contested")
    mine = replace(kit.opening("real", owner="test 1", holder="anna@desk", farm="1" * 32), device=unit)
    first.submit(mine)
    assert holding.done(mine.id).error is None
    assert json.loads((folder / "contested.lock").read_text())["holder"] == "anna@desk"

    theirs = kit.opening("real", owner=f"test {tmp_path}", holder="bert@desk", farm="2" * 32)
    theirs = replace(theirs, device=unit)
    listener.pool.submit(theirs)
    waiting = listener.until(lambda event: isinstance(event, Waiting) and event.order == theirs.id)
    assert waiting == Waiting(theirs.id, "real", "anna@desk")
    listener.pool.cancel(theirs.id)
    assert listener.done(theirs.id).error is None
    assert not listener.of(theirs.id, Opened)

    again = replace(theirs, id="again")
    listener.pool.submit(again)
    listener.until(lambda event: isinstance(event, Waiting) and event.order == again.id)
    first.close()
    assert listener.done(again.id).error is None
    assert len(listener.of(again.id, Opened)) == 1


def test_a_model_file_that_is_gone_is_a_failed_transfer(listener: kit.Listener, tmp_path: Path) -> None:
    gone, path = kit.model(tmp_path, iteration_ns=1)
    path.unlink()
    open_(listener, "machine")
    for number in range(2):
        task = kit.task("machine", str(number), gone)
        order = kit.probing("machine", task, models={gone.sha256: path})
        listener.pool.submit(order)
        done = listener.done(order.id)
        assert done.error is not None
        assert done.error[0] == "TransferFailed"
        assert path.name in done.error[1]


def test_a_real_round_of_the_simulated_runtime(listener: kit.Listener, tmp_path: Path) -> None:
    good, good_path = kit.model(tmp_path, iteration_ns=40_000)
    crash, crash_path = kit.model(tmp_path, iteration_ns=40_000, fault="segv", after=2)
    models = {good.sha256: good_path, crash.sha256: crash_path}
    assert open_(listener, "machine").error is None
    tasks = [kit.task("machine", "good", good), kit.task("machine", "crash", crash)]
    probing = kit.probing("machine", *tasks, models=models)
    listener.pool.submit(probing)
    assert listener.done(probing.id).error is None
    probes = [event.probe for event in listener.of(probing.id, Probed)]
    assert probes[0].failure is None
    assert probes[1].failure is not None
    assert probes[1].failure.code == "WorkloadFailed"
    measuring = kit.measuring("machine", tasks[0], models=models, canary=good)
    listener.pool.submit(measuring)
    done = listener.done(measuring.id)
    assert done.error is None
    assert done.spent_ns["slices"] > 0
    (run,) = listener.runs(measuring.id)
    assert (run.status, run.reference_provisional) == ("complete", False)
    assert 0 < len(run.slices) <= kit.PLAN.passes
    assert min(sample for slice_ in run.slices for sample in slice_.samples_ns) >= 40_000
