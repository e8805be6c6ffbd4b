"""A virtual board: an ARM machine of its own, with its own kernel, busybox and sshd, emulated by qemu.

It has one core: a second one doubles what the emulation of the link and of pipes costs.
Unlike the other devices of the rig it needs no root and shares nothing with this machine but a port of 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.rig.board import make_key
from tests.rig.board_image import archive, image
from tests.rig.machine import until

BOOT_S = 120.0  # ten times what it takes on two idle cores
ANSWER_S = 10.0
DISK_BYTES = 2 << 30  # a sparse file
CPU = "cortex-a72"  # a Raspberry Pi 4's
MEMORY_MIB = 1024


class VirtualBoard:
    """One board.  A with block: entering boots it, leaving it switches it off.

    `keys`: public key lines that may log in as root.  /home/board is its disk, which survives `kill` and `start`; `files` is a
    folder of what lies there at first.
    """

    def __init__(self, name: str, *, keys: Sequence[str], files: Path | None = None, disk_bytes: int = DISK_BYTES) -> None:
        self.name = name
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="lutfarm-rig-"))
        self._qemu: subprocess.Popen[bytes] | None = None
        self._monitor: socket.socket | None = None
        self.host_key = make_key(self.folder / "host")
        own = {
            "etc/hostname": name.encode(),
            "etc/authorized_keys": "".join(f"{key}\n" for key in keys).encode(),
            "etc/ssh_host_ed25519_key": (self.folder / "host").read_bytes(),
        }
        (self.folder / "initrd").write_bytes(image().root.read_bytes() + archive(own))
        with (self.folder / "disk").open("wb") as disk:
            disk.truncate(disk_bytes)
        given = [] if files is None else ["-d", str(files)]
        subprocess.run(
            ["/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", *given, str(self.folder / "disk")],
            check=True,
            capture_output=True,
            timeout=120,
        )

    @property
    def address(self) -> str:
        """HOST:PORT.  The same after each start."""
        return f"127.0.0.1:{self.port}"

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
        """Switch it on, and wait until its sshd answers."""
        ours, its = socket.socketpair()
        self._monitor = ours
        ours.settimeout(ANSWER_S)
        with its, (self.folder / "said").open("ab") as log:
            self._qemu = subprocess.Popen(
                [*self._command(), "-chardev", f"socket,id=monitor,fd={its.fileno()}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[its.fileno()],
                start_new_session=True,
            )
        try:
            self._ask("qmp_capabilities")
            forwarded = re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", self._typed("info usernet"))
            assert forwarded is not None, "qemu forwards no port"
            self.port = int(forwarded[1])
            until(self.answers, f"{self.name} boots", timeout_s=BOOT_S)
        except (TimeoutError, OSError) as error:
            raise RuntimeError(f"{error}: {self.said()}") from error

    def close(self) -> None:
        """Switch it off for good."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def answers(self) -> bool:
        """Whether its sshd says who it is.  A connection alone says nothing: qemu itself accepts it."""
        if self._qemu is None or self._qemu.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {self.said()}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), ANSWER_S) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def said(self) -> str:
        """The end of what its console and qemu said."""
        logs = [self.folder / "said", self.folder / "console"]
        return " | ".join(log.read_text(errors="replace")[-800:] for log in logs if log.is_file())

    # Faults

    def kill(self) -> None:
        """Its power is cut.  `start` switches it on again."""
        if self._monitor is not None:
            self._monitor.close()
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()

    def stop(self) -> None:
        """It hangs: nothing of it runs, and nobody is told."""
        assert self._qemu is not None
        self._qemu.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It goes on."""
        assert self._qemu is not None
        with contextlib.suppress(ProcessLookupError):
            self._qemu.send_signal(signal.SIGCONT)

    def cut(self) -> None:
        """The cable is out on its side; what stands between, here qemu, still takes what is sent."""
        self._typed("set_link net off")

    def mend(self) -> None:
        """The cable is in again."""
        self._typed("set_link net on")

    def _command(self) -> list[str]:
        return [
            "setpriv",
            "--pdeathsig",
            "KILL",  # a test run that is killed leaves no machine behind
            "qemu-system-aarch64",
            "-M",
            "virt",
            "-cpu",
            CPU,
            "-m",
            str(MEMORY_MIB),
            "-nodefaults",
            "-no-reboot",
            "-kernel",
            str(image().kernel),
            "-initrd",
            str(self.folder / "initrd"),
            "-append",
            "console=ttyAMA0 quiet panic=-1",
            "-display",
            "none",
            "-serial",
            f"file:{self.folder / 'console'}",
            "-mon",
            "chardev=monitor,mode=control",
            "-netdev",
            f"user,id=user,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22",
            "-device",
            "virtio-net-pci,id=net,netdev=user,romfile=",
            "-drive",
            f"if=none,id=disk,format=raw,file={self.folder / 'disk'}",
            "-device",
            "virtio-blk-pci,drive=disk",
        ]

    def _typed(self, line: str) -> str:
        """What qemu's monitor for people answers."""
        return str(self._ask("human-monitor-command", **{"command-line": line}))

    def _ask(self, command: str, **arguments: object) -> object:
        """What qemu's monitor answers, after whatever it has to tell."""
        assert self._monitor is not None
        self._monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        with self._monitor.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if "error" in message:
                    raise RuntimeError(f"qemu: {command}: {message['error']['desc']}")
                if "return" in message:
                    return message["return"]
        raise RuntimeError(f"qemu ended: {self.said()}")
