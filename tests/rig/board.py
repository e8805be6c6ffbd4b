"""A board: OpenSSH's own sshd with its own host key."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil
from tests.rig.machine import DISK_BYTES, Machine, holds, pythons

CONFIG = """Port 22
ListenAddress 0.0.0.0
HostKey /etc/ssh_host_ed25519_key
AuthorizedKeysFile /etc/authorized_keys
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
Subsystem sftp internal-sftp
MaxStartups 100
MaxSessions 100
AllowTcpForwarding yes
AcceptEnv LUTFARM_*
"""
PASSWD = """root:x:0:0:root:/home/board:/bin/sh
sshd:x:100:65534::/run/sshd:/usr/sbin/nologin
nobody:x:65534:65534::/:/usr/sbin/nologin
"""
SHADOW = "root:*:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"


@functools.cache
def sshd_is_there() -> bool:
    return Path("/usr/sbin/sshd").is_file()


def make_key(path: Path) -> str:
    """A new key pair at `path`; its public line."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rig", "-f", str(path)], check=True, timeout=60)
    return path.with_suffix(".pub").read_text().strip()


def _without(usual: str, own: str) -> str:
    """The lines of one sshd_config whose keywords are not in another: some may come only once."""
    given = {line.split()[0] for line in own.splitlines()}
    return "".join(f"{line}\n" for line in usual.splitlines() if line.split()[0] not in given)


class Board(Machine):
    """One board.  `keys`: public key lines that may log in as root; `config`: lines of its sshd_config in place of the usual."""

    kind = "board"
    port = 22

    def __init__(
        self,
        name: str,
        *,
        keys: Sequence[str],
        bind: Sequence[str] | None = None,
        disk_bytes: int = DISK_BYTES,
        config: str = "",
        shell: str = "/bin/sh",
    ) -> None:
        super().__init__(name, bind=pythons() if bind is None else bind, disk_bytes=disk_bytes)
        self._write("shell", "/usr/bin/dash")
        self._write("etc/sshd_config", config + _without(CONFIG, config))
        self._write("etc/passwd", PASSWD.replace("/bin/sh", shell))
        self._write("etc/shadow", SHADOW)
        self._write("etc/group", GROUP)
        self._write("etc/authorized_keys", "".join(f"{key}\n" for key in keys))
        self.host_key = make_key(self.folder / "etc" / "ssh_host_ed25519_key")

    def accept(self, keys: Sequence[str]) -> None:
        """Let in these keys and no others."""
        self.path("/etc/authorized_keys").write_text("".join(f"{key}\n" for key in keys))

    def change_host_key(self) -> None:
        """As after a new installation."""
        for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"):
            (self.folder / "etc" / name).unlink()
        self.host_key = make_key(self.folder / "etc" / "ssh_host_ed25519_key")
        inside = self.path("/etc/ssh_host_ed25519_key")
        inside.write_bytes((self.folder / "etc" / "ssh_host_ed25519_key").read_bytes())
        self.kill()

    def daemons(self) -> list[psutil.Process]:
        """sshd, and the ones it split off for each connection."""
        found = psutil.Process(self.init_pid).children(recursive=True)
        return [p for p in found if holds(p, lambda process: process.name().startswith("sshd"))]
