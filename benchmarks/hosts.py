"""Hosts of a served farm that die, hang or are cut off while they measure: how soon their devices are lost, and back.

A farm with a Ray and two hosts that join it, each with a device that measures all the while; something happens to one of them.
`kill`: all of its processes at once; `stop`: all of them stand still (SIGSTOP); `cut`: packets to and from it vanish, and
neither side is told (the host is in a network namespace; needs root).  Counts runs of the other host from the moment on until the
device is lost, which must not be none.  With `--busy` nothing is struck, and links that fail while something computes on every
core are counted, which must be none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
from _device import scratch
from _table import Report, options

from lutfarm.store import open_store

sys.path.insert(0, str(Path(__file__).parents[1]))  # the rig and its kit are part of the tests

LUTFARM = Path(sys.executable).with_name("lutfarm")
KINDS = ("kill", "stop", "cut")
STRUCK, OTHER = "far", "near"
LOST_S = 30.0
MOST_S = 300.0


@dataclass(slots=True)
class Lab:
    """A served farm and what its hosts need."""

    folder: Path
    token: str = ""
    api: httpx.Client = httpx.Client()

    def environment(self, name: str) -> dict[str, str]:
        """Of the server, and of each host: a home, profiles and a device lock of its own."""
        from tests import pool_kit as kit

        kit.write_profile(self.folder / name / "config", self.folder / name / "device.lock")
        own = {"LUTFARM_HOME": str(self.folder / name / "home"), "XDG_CONFIG_HOME": str(self.folder / name / "config")}
        return os.environ | own | {"LUTFARM_TOKEN": self.token, "COLUMNS": "400"}

    def device(self, name: str) -> dict[str, Any]:
        """As the farm shows it."""
        return self.api.get(f"/api/v1/devices/{name}").json()

    def runs(self, job_id: str) -> int:
        """That are stored."""
        return int(self.api.get(f"/api/v1/jobs/{job_id}").json()["counts"]["runs"])

    def submit(self, device: str, rounds: int) -> str:
        """A job of many rounds on one device."""
        text = (
            f"name: on-{device}-{time.time_ns()}\nworkloads: [{{operators: [conv_H14_W14_Cin8_Cout8_k1_s1_g1_relu]}}]\n"
            f"devices: [{device}]\nfresh: true\nbackends: [{{runtime: onnxruntime}}]\n"
            f"sampling: {{rounds: {rounds}, passes: 1, stop: rounds}}\n"
        )
        answer = self.api.post("/api/v1/jobs", json={"job": text})
        answer.raise_for_status()
        return str(answer.json()["id"])


def until(reached: Any, what: str) -> float:
    """How long it took."""
    began = time.monotonic()
    while not reached():
        if time.monotonic() - began > MOST_S:
            raise SystemExit(f"never: {what}")
        time.sleep(0.1)
    return time.monotonic() - began


@contextmanager
def served(lab: Lab, address: str) -> Iterator[str]:
    """The server, on this address; where it answers."""
    environment = lab.environment("farm")
    run = [LUTFARM, "device", "register", "desk", "--local", "--profile", "test-machine"]
    subprocess.run(run, env=environment, check=True)
    with open_store(Path(environment["LUTFARM_HOME"])) as store:
        desk, hello = store.device("desk"), store.hello("desk")
        assert desk is not None
        assert hello is not None
        for name, host in ((STRUCK, "b"), (OTHER, "c")):
            store.put_device(replace(desk, name=name, host=host))
            store.put_hello(name, *hello)
    made = subprocess.run(
        [LUTFARM, "token", "create", "ann", "--role", "operator"], env=environment, check=True, capture_output=True, text=True
    )
    lab.token = made.stdout.strip()
    log = lab.folder / "serve.log"
    command = [LUTFARM, "serve", "--host", address, "--port", "0", "--executor", "ray", "--ray-host", address]
    with log.open("w") as said:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
    try:
        until(lambda: " at http" in log.read_text(), "it serves")
        where = log.read_text().split(" at ")[1].split(";")[0]
        lab.api = httpx.Client(base_url=where, timeout=60.0, headers={"Authorization": f"Bearer {lab.token}"})
        until(lambda: lab.api.get("/readyz").status_code == 200, "it is ready")
        yield where
    finally:
        process.terminate()
        process.wait(120)


@contextmanager
def joined(lab: Lab, where: str, name: str, address: str, inside: tuple[str, ...] = ()) -> Iterator[psutil.Process]:
    """`lutfarm host join` on an address, inside what `inside` says; ended at the end, well or not."""
    machine = lab.folder / f"{name}.boot"
    machine.write_text(str(uuid.uuid5(uuid.NAMESPACE_DNS, name)))  # two devices of one machine would take turns
    alone = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"', str(machine))
    command = [*inside, *alone, LUTFARM, "host", "join", where, "--name", name, "--address", address]
    with (lab.folder / f"{name}.log").open("a") as said:
        process = subprocess.Popen(
            command, env=lab.environment(name), stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        with suppress(psutil.Error):
            for one in everything(psutil.Process(process.pid)):
                one.resume()
        process.terminate()
        process.wait(120)


def everything(host: psutil.Process) -> list[psutil.Process]:
    """All processes of a host."""
    return [host, *host.children(recursive=True)]


def strike(lab: Lab, where: str, link: Any, kind: str, stack: ExitStack, host: psutil.Process) -> tuple[float, int, float]:
    """One fault: seconds until the device is lost, runs of the other host until then, seconds from its mending until a run."""
    job, other = lab.submit(STRUCK, 1000), lab.submit(OTHER, 1000)
    until(lambda: lab.runs(job) and lab.runs(other), "both measure")
    before = lab.runs(other)
    if kind == "cut":
        link.cut()
    for one in everything(host) if kind != "cut" else ():
        with suppress(psutil.Error):
            (one.kill if kind == "kill" else one.suspend)()
    lost_s = until(lambda: lab.device(STRUCK)["state"] == "lost", f"lost after {kind}")
    meanwhile = lab.runs(other) - before
    time.sleep(5.0)
    had = lab.runs(job)
    if kind == "cut":
        link.mend()
    elif kind == "stop":
        for one in everything(host):
            with suppress(psutil.Error):
                one.resume()
    else:
        stack.enter_context(joined(lab, where, "b", link.address, ("ip", "netns", "exec", link.namespace)))
    back_s = until(lambda: lab.runs(job) > had, f"it measures again after {kind}")
    for one in (job, other):
        lab.api.post(f"/api/v1/jobs/{one}/cancel", json={"why": "enough"})
    until(lambda: all(lab.api.get(f"/api/v1/jobs/{one}").json()["state"] == "cancelled" for one in (job, other)), "cancelled")
    return lost_s, meanwhile, back_s


def keep_busy(seconds: float) -> list[subprocess.Popen[bytes]]:
    """Two programs for every core, for so long."""
    code = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    return [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2 * (os.cpu_count() or 1))]


def busy(lab: Lab, seconds: float) -> int:
    """How many devices' links failed while everything is busy."""
    jobs = [lab.submit(name, 1000) for name in (STRUCK, OTHER)]
    until(lambda: all(lab.runs(one) for one in jobs), "both measure")
    began_s = time.time()
    for one in keep_busy(seconds):
        one.wait()
    histories = [lab.api.get(f"/api/v1/devices/{name}/history").json() for name in (STRUCK, OTHER)]
    failed = sum(line["at_s"] > began_s and line["event"].startswith("link") for history in histories for line in history)
    for one in jobs:
        lab.api.post(f"/api/v1/jobs/{one}/cancel", json={"why": "enough"})
    return failed


def main() -> None:
    """Print one row a kind of fault."""
    chosen = options(
        __doc__,
        ("--each", {"type": int, "default": 0, "help": "faults of each kind"}),
        ("--busy", {"type": float, "default": 0.0, "help": "seconds in which every core has two other programs"}),
    )
    each = chosen.each or (1 if chosen.quick else 5)
    from tests.rig.network import open_link

    report = Report(
        "hosts", ["what", "times", "lost after s", "worst s", "runs of the other host meanwhile", "back after s", "worst s "]
    )
    with scratch() as folder, ExitStack() as stack:
        lab, link = Lab(folder), open_link()
        stack.callback(link.close)
        where = stack.enter_context(served(lab, link.host_address))
        stack.enter_context(joined(lab, where, "c", "127.0.0.3"))
        inside = ("ip", "netns", "exec", link.namespace)
        host = stack.enter_context(joined(lab, where, "b", link.address, inside))
        for kind in () if chosen.busy else KINDS:
            found: list[tuple[float, int, float]] = []
            for _ in range(each):
                until(
                    lambda: all(one["state"] == "joined" for one in lab.api.get("/api/v1/hosts").json()["items"]), "both joined"
                )
                found.append(strike(lab, where, link, kind, stack, host))
                host = next(p for p in psutil.process_iter(["cmdline"]) if is_join(p.info["cmdline"] or [], where))
            lost, meanwhile, back = zip(*found, strict=True)
            median = len(found) // 2
            report.rows.append([kind, each, sorted(lost)[median], max(lost), min(meanwhile), sorted(back)[median], max(back)])
        if chosen.busy:
            report.notes.append(
                f"links that failed in {chosen.busy:.0f} s with two other programs on every core: {busy(lab, chosen.busy)}"
            )
    report.show(chosen)


def is_join(command: list[str], where: str) -> bool:
    """Whether this is the process that keeps the struck host."""
    return where in command and command[-3:-2] == ["b"] and "host" in command and "ip" not in command[:1]


if __name__ == "__main__":
    main()
