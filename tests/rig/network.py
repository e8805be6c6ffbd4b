"""One network link for each device: 127.77.N.1 here, 127.77.N.2 in a network namespace that the rig made."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

NOTES = Path("/run/lutfarm-rig")
PREFIX = "lutfarm-rig-"
MOST = 250


def run(*argv: str) -> None:
    """A command of the rig's own.  Raises RuntimeError with what it said."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()[-500:]}")


@dataclass(frozen=True, slots=True)
class Link:
    """A veth pair whose far end is in a namespace; packets stay on 127.0.0.0/8."""

    number: int

    @property
    def namespace(self) -> str:
        return f"{PREFIX}{self.number}"

    @property
    def address(self) -> str:
        """The device's."""
        return f"127.77.{self.number}.2"

    @property
    def host_address(self) -> str:
        return f"127.77.{self.number}.1"

    def cut(self) -> None:
        """Packets vanish, both ways; neither end is told."""
        for chain in ("INPUT", "OUTPUT"):
            self.inside("iptables", "-w", "-I", chain, "-i" if chain == "INPUT" else "-o", "eth0", "-j", "DROP")

    def mend(self) -> None:
        """Packets go through again."""
        for chain in ("INPUT", "OUTPUT"):
            self.inside("iptables", "-w", "-F", chain)

    def widen(self) -> None:
        """Packets as large as loopback's."""
        run("ip", "link", "set", f"lfrig{self.number}", "mtu", "65535")
        self.inside("ip", "link", "set", "eth0", "mtu", "65535")

    def inside(self, *argv: str) -> None:
        """Run a command in the namespace."""
        run("ip", "netns", "exec", self.namespace, *argv)

    def close(self) -> None:
        """Take it down."""
        subprocess.run(["ip", "link", "del", f"lfrig{self.number}"], capture_output=True, timeout=60, check=False)
        subprocess.run(["ip", "netns", "del", self.namespace], capture_output=True, timeout=60, check=False)
        (NOTES / str(self.number)).unlink(missing_ok=True)


def open_link() -> Link:
    """A free one.  The namespace's name is the claim: two test runs at once get different ones."""
    NOTES.mkdir(exist_ok=True)
    _sweep()
    for number in range(1, MOST):
        link = Link(number)
        made = subprocess.run(["ip", "netns", "add", link.namespace], capture_output=True, text=True, timeout=60, check=False)
        if made.returncode == 0:
            _connect(link)
            return link
        if "exists" not in made.stderr:
            raise RuntimeError(f"no network namespace can be made here: {made.stderr.strip()}")
    raise RuntimeError(f"all {MOST} links of the rig are taken")


def _connect(link: Link) -> None:
    host = f"lfrig{link.number}"
    me = psutil.Process()
    (NOTES / str(link.number)).write_text(json.dumps([me.pid, me.create_time()]))
    try:
        run("ip", "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", link.namespace)
        run("sysctl", "-qw", f"net.ipv4.conf.{host}.route_localnet=1")
        run("ip", "addr", "add", f"{link.host_address}/32", "dev", host)
        run("ip", "link", "set", host, "up")
        link.inside("ip", "link", "set", "lo", "up")
        link.inside("ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
        link.inside("ip", "addr", "add", "127.0.0.1/32", "dev", "lo")
        link.inside("ip", "addr", "add", f"{link.address}/32", "dev", "eth0")
        link.inside("sysctl", "-qw", "net.ipv4.conf.eth0.route_localnet=1")
        link.inside("ip", "link", "set", "eth0", "up")
        # The local table holds 127.0.0.0/8 for lo; a longer prefix there wins.
        run("ip", "route", "add", f"{link.address}/32", "dev", host, "src", link.host_address, "table", "local", "scope", "link")
        link.inside("ip", "route", "add", f"{link.host_address}/32", "dev", "eth0", "src", link.address, "scope", "link")
    except RuntimeError:
        link.close()
        raise


def _sweep() -> None:
    """Take down links whose test run was killed."""
    for note in NOTES.iterdir():
        try:
            pid, created_s = json.loads(note.read_text())
            alive = psutil.Process(pid).create_time() == created_s
        except (ValueError, OSError):
            continue  # being written by another run
        except psutil.Error:
            alive = False
        if not alive and note.name.isdigit():
            Link(int(note.name)).close()


def is_root() -> bool:
    """Namespaces and mounts need it."""
    return os.geteuid() == 0
