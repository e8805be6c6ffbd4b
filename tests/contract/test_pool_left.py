"""What every AgentPool keeps of a round until it is told that it is stored."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tests import pool_kit as kit
from tests.contract.test_pool import folder, listener, open_, pool, reached, release

from lutfarm.agent_pool.interface import Left
from lutfarm.agent_pool.local import LocalPool
from lutfarm.records.ordered import Ordered
from lutfarm_agents.testing import Script, ScriptedAgents

__all__ = ["folder", "listener", "pool", "release"]


def left(listener: kit.Listener, unit: str, *, farm: str = "f" * 32) -> list[Left]:
    """What comes before a device opens for a farm."""
    order = kit.opening(unit, farm=farm)
    listener.pool.submit(order)
    assert listener.done(order.id).error is None
    mine = [event for event in listener.seen if event.order == order.id]
    found = [event for event in mine if isinstance(event, Left)]
    assert mine[: len(found)] == found, "before it has opened"
    return found


def test_results_come_again_until_they_are_acknowledged_to_whoever_opens_the_device(
    listener: kit.Listener, release: Path
) -> None:
    assert left(listener, "keeps") == []
    order = kit.measuring("keeps", kit.task("keeps", "a"), kit.task("keeps", "b"))
    listener.pool.submit(order)
    listener.done(order.id)
    runs = listener.runs(order.id)
    with closing(LocalPool(state_dir=release, agent_factory=ScriptedAgents({"keeps": Script()}))) as other:
        found = left(kit.Listener(other), "keeps")
        assert [(event.run, event.ordered) for event in found] == [(run, Ordered("job-1", 100.0, 1)) for run in runs]
        assert left(kit.Listener(other), "keeps", farm="e" * 32) == [], "another farm's tokens say nothing of these"
    listener.pool.acknowledge("keeps", [runs[0].id])
    assert [event.run for event in left(listener, "keeps")] == [runs[1]]
    for _ in range(2):
        listener.pool.acknowledge("keeps", [run.id for run in runs])
    assert left(listener, "keeps") == []
    listener.pool.acknowledge("nobody", [runs[0].id])


def test_what_a_cancelled_round_has_is_not_kept(listener: kit.Listener, release: Path) -> None:
    open_(listener, "keeps-less")
    order = kit.measuring("keeps-less", kit.task("keeps-less", "a"), kit.task("keeps-less", "b"))
    listener.pool.submit(order)
    reached(release, "keeps-less")
    listener.pool.cancel(order.id)
    listener.done(order.id)
    assert [run.status for run in listener.runs(order.id)] == ["truncated"]
    (release / "keeps-less").touch()
    assert left(listener, "keeps-less") == []


def test_no_round_begins_where_its_results_could_not_be_kept(listener: kit.Listener, release: Path) -> None:
    open_(listener, "other")
    spool, aside = release / "spool", release / "spool-aside"
    if spool.exists():
        spool.rename(aside)
    spool.write_text("in the way")
    try:
        order = kit.measuring("other", kit.task("other", "a"))
        listener.pool.submit(order)
        code, detail = listener.done(order.id).error or ("", "")
    finally:
        spool.unlink()
        if aside.exists():
            aside.rename(spool)
    assert code == "TransferFailed"
    assert str(spool) in detail
    assert listener.runs(order.id) == []
    again = kit.measuring("other", kit.task("other", "a"))
    listener.pool.submit(again)
    assert listener.done(again.id).error is None
