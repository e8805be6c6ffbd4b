"""Twenty phones and twenty boards on one host at once, behind the real adbd and sshd, with workloads that sleep.

Forty devices share this machine's cores, so the workloads sleep instead of computing: what is left is what the host and the
protocol cost.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
from _device import scratch
from _table import Report, options

sys.path.insert(0, str(Path(__file__).parents[1]))  # the rig and its kit are part of the tests

LEAST_SHARE = 0.85
MOST_MB = 2.0
TASKS, PASSES, PAUSE_NS = 50, 16, 100_000_000  # the standard plan's passes


def main() -> None:
    """Print one row."""
    chosen = options(__doc__)
    of_each = 5 if chosen.quick else 20
    from tests import pool_kit as kit
    from tests.rig.board import Board, make_key
    from tests.rig.machine import Machine, pythons
    from tests.rig.phone import Phone

    from lutfarm.agent_pool.interface import Done, Measured, Measuring, Opening
    from lutfarm.agent_pool.local import LocalPool
    from lutfarm_agents.device import Device
    from lutfarm_agents.transports.registry import read_address
    from lutfarm_jobs.round import Limits, Slicing

    plan = Slicing(passes=PASSES, warmup_first=0, warmup_again=0)
    limits = Limits(memory_bytes=1 << 29, load_s=60, iteration_s=60)
    machine_kind = f"generic-linux-{__import__('os').uname().machine}"
    with scratch() as folder:
        key = make_key(folder / "id")
        machines: list[Machine] = [Phone(f"p{n}", properties={}, bind=pythons()) for n in range(of_each)]
        machines += [Board(f"b{n}", keys=[key]) for n in range(of_each)]
        devices: dict[str, Device] = {}
        try:
            starting = [threading.Thread(target=machine.start) for machine in machines]
            for thread in starting:
                thread.start()
            for thread in starting:
                thread.join()
            for machine in machines:
                address = {"python": sys.executable}
                if isinstance(machine, Board):
                    address |= {
                        "ssh": f"root@{machine.address}",
                        "key": str(folder / "id"),
                        "root": "/home/board/.lutfarm",
                        "host_key": machine.host_key.rsplit(" ", 1)[0],
                    }
                else:
                    address |= {"serial": machine.address, "root": "/data/local/tmp/lutfarm"}
                transport = "ssh" if machine.kind == "board" else "adb"
                devices[machine.name] = Device(machine.name, machine_kind, transport, read_address(transport, address))
            model, path = kit.model(folder / "models", name="m", iteration_ns=PAUSE_NS, pause=True)
            canary, canary_path = kit.model(folder / "models", name="canary", iteration_ns=1_000, pause=True)
            files = {model.sha256: path, canary.sha256: canary_path}
            gc.collect()
            before = psutil.Process().memory_info().rss
            with closing(LocalPool(state_dir=folder / "state", measured_cpus=frozenset())) as pool:
                for name, device in devices.items():
                    pool.submit(Opening(f"open-{name}", device, kit.lease(name), "f" * 32, "benchmark"))
                ended: dict[str, object] = {}
                while len(ended) < len(devices):
                    ended |= {event.order: event.error for event in pool.events(1.0) if isinstance(event, Done)}
                if any(ended.values()):
                    raise SystemExit(f"a device could not be opened: {next(error for error in ended.values() if error)}")
                gc.collect()
                held_mb = (psutil.Process().memory_info().rss - before) / 1e6 / len(devices)
                began = time.perf_counter()
                for name, device in devices.items():
                    tasks = [replace(kit.task(name, f"m{n}", model), iteration_ns=PAUSE_NS) for n in range(TASKS)]
                    round_ = replace(
                        kit.measuring(name, *tasks, canary=canary).round,
                        id=f"r-{name}",
                        limits=limits,
                        slicing=plan,
                        canary_reference_ns=10_000_000,
                    )
                    pool.submit(Measuring(f"round-{name}", device, kit.lease(name), round_, files, "", 0.0))
                runs, done = 0, 0
                while done < len(devices):
                    for event in pool.events(1.0):
                        runs += isinstance(event, Measured) and event.run.status == "complete"
                        done += isinstance(event, Done)
                took_s = time.perf_counter() - began
        finally:
            for machine in machines:
                machine.close()
    # Each model's first inference after loading sleeps too.
    sleeps_s = TASKS * (PASSES + 1) * PAUSE_NS / 1e9
    share = sleeps_s / took_s
    report = Report(
        f"{of_each} phones and {of_each} boards at once, {TASKS} measurements each, iterations sleep {PAUSE_NS / 1e6:.0f} ms",
        ("devices", "complete runs", "sleeps s", "took s", "share", "MB a device"),
    )
    report.rows.append((len(devices), runs, round(sleeps_s, 1), round(took_s, 1), round(share, 3), round(held_mb, 2)))
    report.notes.append(f"at least {LEAST_SHARE} of what the sleeps allow: {'yes' if share >= LEAST_SHARE else 'no'}")
    report.notes.append(f"at most {MOST_MB:g} MB a device in the host's process: {'yes' if held_mb <= MOST_MB else 'no'}")
    report.show(chosen)
    if runs != TASKS * len(devices):
        sys.exit(1)


if __name__ == "__main__":
    main()
