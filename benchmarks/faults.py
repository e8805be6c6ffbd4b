"""Links that break in mid-round: killed, stopped or cut, many devices at a time, seeded.

Counts what must be zero: slices that had arrived and are in no run, runs committed twice, processes left on a device after the
next session began, devices that were disturbed though nothing was done to them.  And how soon the host noticed.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from _device import scratch
from _table import Report, median_interval, options

sys.path.insert(0, str(Path(__file__).parents[1]))  # the rig and its kit are part of the tests

MOST_S = 10.0
AT_ONCE = 5
LONG_NS = 30_000_000_000  # one inference of every tenth fault run takes 30 s


@dataclass(slots=True)
class Found:
    """What one fault run showed."""

    kind: str
    noticed_s: float = 0.0
    lost: int = 0
    left: int = 0
    trouble: str = ""


def main() -> None:
    """Print one row a kind of fault."""
    chosen = options(__doc__, ("--each", {"type": int, "default": 0, "help": "fault runs of each kind"}))
    each = chosen.each or (5 if chosen.quick else 100)
    from tests.rig.board import Board, make_key
    from tests.rig.machine import pythons
    from tests.rig.phone import Phone

    order = random.Random(7)
    found: list[Found] = []
    with scratch() as folder:
        key = make_key(folder / "id")
        machines = [Phone(f"p{n}", properties={}, bind=pythons()) for n in range(AT_ONCE)]
        machines += [Board(f"b{n}", keys=[key]) for n in range(AT_ONCE)]
        try:
            for machine in machines:
                machine.start()
            plan = [(kind, link) for kind in ("kill", "stop", "cut") for link in ("phone", "board") for _ in range(each)]
            order.shuffle(plan)
            queues = {link: [kind for kind, where in plan if where == link] for link in ("phone", "board")}
            taking = threading.Lock()

            def work(machine: object, seed: int) -> None:
                from tests.rig.machine import Machine

                assert isinstance(machine, Machine)
                dice = random.Random(seed)
                while True:
                    with taking:
                        if not queues[machine.kind]:
                            return
                        kind = queues[machine.kind].pop()
                    found.append(one_fault(machine, kind, folder, key_file=str(folder / "id"), dice=dice))

            threads = [threading.Thread(target=work, args=(machine, seed)) for seed, machine in enumerate(machines)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            for machine in machines:
                machine.close()
    report = Report(
        f"Faults in mid-round, {each} of each kind over each link, {AT_ONCE} phones and {AT_ONCE} boards at a time",
        ("fault", "runs", "noticed, median s", "most s", "arrived slices lost", "processes left", "other trouble"),
    )
    for kind in ("kill", "stop", "cut"):
        of_kind = [one for one in found if one.kind == kind]
        times = [one.noticed_s for one in of_kind]
        report.rows.append(
            (
                kind,
                len(of_kind),
                round(median_interval(times)[0], 2),
                round(max(times), 2),
                sum(one.lost for one in of_kind),
                sum(one.left for one in of_kind),
                sum(bool(one.trouble) for one in of_kind),
            )
        )
    for one in found:
        if one.trouble:
            report.notes.append(f"{one.kind}: {one.trouble[:200]}")
    fine = all(row[3] <= MOST_S and not row[4] and not row[5] and not row[6] for row in report.rows)
    report.notes.append(f"noticed within {MOST_S:.0f} s, nothing lost, nothing left: {'yes' if fine else 'no'}")
    report.show(chosen)
    if not fine:
        sys.exit(1)


def one_fault(machine: object, kind: str, folder: Path, *, key_file: str, dice: random.Random) -> Found:
    """One session, one fault in its round, one session after it."""
    from tests import pool_kit as kit
    from tests.rig.board import Board
    from tests.rig.machine import Machine, until

    from lutfarm_agents.device import Claim
    from lutfarm_agents.interface import Advance
    from lutfarm_agents.runner_agent import DeviceAgent
    from lutfarm_agents.transports.registry import read_address
    from lutfarm_jobs.errors import LinkError
    from lutfarm_jobs.round import Limits, Slicing
    from lutfarm_jobs.run import Run

    assert isinstance(machine, Machine)
    place = "/data/local/tmp" if machine.kind == "phone" else "/home/board"
    address = {"python": sys.executable, "root": f"{place}/lutfarm"}
    if isinstance(machine, Board):
        address |= {"ssh": f"root@{machine.address}", "key": key_file, "host_key": machine.host_key.rsplit(" ", 1)[0]}
    else:
        address |= {"serial": machine.address}
    profile = f"generic-linux-{__import__('os').uname().machine}"
    transport = "ssh" if machine.kind == "board" else "adb"
    device = replace(kit.device("device"), profile=profile, transport=transport, address=read_address(transport, address))
    iteration_ns = LONG_NS if dice.random() < 0.1 else 100_000_000
    model, path = kit.model(folder / "models", name="m", iteration_ns=iteration_ns, pause=True)
    canary, canary_path = kit.model(folder / "models", name="canary", iteration_ns=20_000)
    task = replace(kit.task("device", "m", model), iteration_ns=iteration_ns)
    limits = Limits(memory_bytes=1 << 29, load_s=60, iteration_s=120)
    plan = Slicing(passes=1000, warmup_first=0, warmup_again=0)
    round_ = replace(kit.measuring("device", task, canary=canary).round, limits=limits, slicing=plan)
    claim = Claim("device", "bench", "benchmark", "f" * 32, 1)
    after = dice.uniform(0.2, 1.5)
    result = Found(kind)
    struck: list[float] = []

    def strike() -> None:
        struck.append(time.monotonic())
        getattr(machine, kind)()

    with closing(DeviceAgent(device, state_dir=folder / f"state-{machine.name}")) as agent:
        list(agent.prepare(claim))
        timer = threading.Timer(after, strike)
        arrived, kept = 0, 0
        timer.start()
        try:
            for item in agent.measure(round_, models={model.sha256: path, canary.sha256: canary_path}):
                if isinstance(item, Advance):
                    arrived = item.done
                elif isinstance(item, Run):
                    kept += len(item.slices)
            result.trouble = "the round ended as if nothing had happened"
        except LinkError:
            result.noticed_s = time.monotonic() - (struck[0] if struck else time.monotonic())
        timer.join()
        result.lost = arrived - kept
        machine.mend()
        machine.go_on()
        until(machine.answers, "the device is back")
        try:
            list(agent.prepare(claim))
        except LinkError:
            list(agent.prepare(claim))  # the connection that hung was taken for a good one
        leaders = [p for p in machine.processes() if "supervise" in " ".join(p.cmdline())]
        result.left = max(0, len([p for p in leaders if "python" in p.name()]) - 1)
    return result


if __name__ == "__main__":
    main()
