"""What a phone and a board have in common: a folder, namespaces, a daemon, faults."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import psutil
from tests.rig.network import Link, open_link, run

HERE = Path(__file__).parent
START_S = 60.0
DISK_BYTES = 1 << 30


def pythons() -> list[str]:
    """What must be shown on a device for this interpreter and its packages to run there."""
    wanted = {sys.prefix, sys.base_prefix}
    return sorted(path for path in wanted if not path.startswith("/usr"))


def until(reached: Callable[[], bool], what: str, *, timeout_s: float = START_S) -> None:
    """Wait for something outside this process."""
    deadline_s = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)


def holds(process: psutil.Process, condition: Callable[[psutil.Process], bool]) -> bool:
    """Whether the condition is true of it; not where it ended meanwhile."""
    try:
        return condition(process)
    except psutil.NoSuchProcess:
        return False


def _works(process: psutil.Process) -> bool:
    return process.status() != psutil.STATUS_ZOMBIE and process.name() != "sleep"


class Machine:
    """One device of the rig.  A with block: leaving it ends every process and takes the link down."""

    kind: str
    port: int

    def __init__(self, name: str, *, bind: Sequence[str] = (), disk_bytes: int = DISK_BYTES, link: Link | None = None) -> None:
        self.name = name
        self.link = link or open_link()
        self.folder = Path(tempfile.mkdtemp(prefix="lutfarm-rig-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._write("name", f"{name}\n")
        self._write("bind", "".join(f"{path}\n" for path in bind))
        self._write("boot_id", f"{uuid.uuid4()}\n")
        self._write("disk_bytes", str(disk_bytes))
        self._write("init", (HERE / "init.sh").read_text())
        for folder in ("etc", "run", "sys"):
            (self.folder / folder).mkdir()
        self.sysfs("devices/system/cpu/online", "0-1")
        self.sysfs("devices/system/cpu/possible", "0-1")
        self.sysfs("devices/system/cpu/present", "0-1")
        for cpu in (0, 1):
            self.sysfs(f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor", "schedutil")
            self.sysfs(f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", "1500000")
            self.sysfs(f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_min_freq", "600000")
            self.sysfs(f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_max_freq", "1500000")
            self.sysfs(f"devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_min_freq", "600000")
            self.sysfs(f"devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq", "1500000")
        self.heat(38.0)

    @property
    def address(self) -> str:
        return f"{self.link.address}:{self.port}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Boot it, and wait until its daemon answers."""
        argv = [
            "ip",
            "netns",
            "exec",
            self.link.namespace,
            "unshare",
            *self._namespaces(),
            "--fork",
            "--kill-child",
            "bash",
            str(HERE / "device-root.sh"),
            self.kind,
            str(self.folder),
        ]
        with (self.folder / "boot").open("wb") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            until(self.answers, f"{self.name} boots")
        except TimeoutError as error:
            raise RuntimeError(f"{error}: {self.said()}") from error

    def close(self) -> None:
        """Switch it off."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.link.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def answers(self) -> bool:
        """Whether the daemon accepts a connection."""
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {self.said()}")
        try:
            with socket.create_connection((self.link.address, self.port), 1.0):
                return True
        except OSError:
            return False

    def said(self) -> str:
        """The end of its logs."""
        logs = [self.folder / "boot", self.folder / "run" / "log"]
        return " | ".join(log.read_text(errors="replace")[-800:] for log in logs if log.is_file())

    # What is inside

    def path(self, remote: str) -> Path:
        """A file of the device, seen from here, through its first process."""
        return Path(f"/proc/{self.init_pid}/root{remote}")

    @property
    def init_pid(self) -> int:
        """Of the device's first process, as this machine counts."""
        assert self._process is not None
        inner = psutil.Process(self._process.pid)
        while inner.name() in ("unshare", "ip"):
            children = inner.children()
            if not children:
                break
            inner = children[0]
        return inner.pid

    def processes(self) -> list[psutil.Process]:
        """Every process of the device but its first and its daemon's own."""
        mine = {p.pid for p in self.daemons()}
        found = psutil.Process(self.init_pid).children(recursive=True)
        return [p for p in found if p.pid not in mine and holds(p, _works)]

    def daemons(self) -> list[psutil.Process]:
        """The daemon, and those it split off to serve a connection."""
        raise NotImplementedError

    # Faults

    def cut(self) -> None:
        """The cable is out."""
        self.link.cut()

    def mend(self) -> None:
        """The cable is in again."""
        self.link.mend()

    def kill(self) -> None:
        """The daemon dies, at once; the first process starts it again."""
        dying = self.daemons()
        self._signal(signal.SIGKILL)
        psutil.wait_procs(dying, timeout=10.0)

    def hold(self) -> None:
        """The daemon dies and stays down."""
        self._write("run/hold", "")
        self.kill()

    def release(self) -> None:
        """It may start again."""
        (self.folder / "run" / "hold").unlink(missing_ok=True)
        until(self.answers, f"{self.name} answers again")

    def stop(self) -> None:
        """The daemon hangs."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def fill_disk(self, remote: str) -> None:
        """No byte is left where `remote` is."""
        with self.path(f"{remote}/filler").open("wb", buffering=0) as file:
            left = os.statvfs(self.path(remote))
            try:
                os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize)
                file.seek(0, os.SEEK_END)
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                return

    def free_disk(self, remote: str) -> None:
        """There is room again."""
        self.path(f"{remote}/filler").unlink(missing_ok=True)

    def protect(self, remote: str) -> None:
        """What is mounted there can't be written any more."""
        self._remount(remote, "ro")

    def unprotect(self, remote: str) -> None:
        """It can be written again."""
        self._remount(remote, "rw")

    def _remount(self, remote: str, how: str) -> None:
        run("nsenter", "-t", str(self.init_pid), "-m", "mount", "-o", f"remount,{how}", f"{self.path(remote)}")

    def heat(self, temperature_c: float) -> None:
        """What its thermometer says."""
        self.sysfs("class/thermal/thermal_zone0/type", "cpu-thermal")
        self.sysfs("class/thermal/thermal_zone0/temp", str(round(temperature_c * 1000)))

    def battery(self, percent: int, *, charging: bool) -> None:
        """What its battery says."""
        self.sysfs("class/power_supply/battery/type", "Battery")
        self.sysfs("class/power_supply/battery/capacity", str(percent))
        self.sysfs("class/power_supply/battery/status", "Charging" if charging else "Discharging")

    def sysfs(self, name: str, text: str) -> None:
        """A file of its /sys."""
        path = self.folder / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    def _signal(self, number: signal.Signals) -> None:
        for process in self.daemons():
            with contextlib.suppress(psutil.NoSuchProcess):  # a connection's sshd may end by itself
                process.send_signal(number)

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def _namespaces(self) -> list[str]:
        return ["--mount", "--pid", "--uts"]
