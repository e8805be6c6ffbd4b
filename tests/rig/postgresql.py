"""A PostgreSQL server of the tests' own, in a folder of its own; nothing of it is left."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.rig.network import is_root

FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
START_S = 60.0
USER = "lutfarm"


class PostgreSql:
    """A with block.  On its socket everyone is trusted, over TCP the password is asked for.  Its language sorts as people do."""

    def __init__(self) -> None:
        if not FOLDERS:
            raise FileNotFoundError("no PostgreSQL server in /usr/lib/postgresql; run scripts/install-system-packages.sh")
        self.programs = FOLDERS[-1]
        self.folder = Path(tempfile.mkdtemp(prefix="lutfarm-pg-", dir="/tmp"))
        self.password = secrets.token_hex(8)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def __enter__(self) -> Self:
        try:
            (self.folder / "password").write_text(self.password)
            if is_root():
                nobody = pwd.getpwnam("nobody")
                for path in (self.folder, self.folder / "password"):
                    os.chown(path, nobody.pw_uid, nobody.pw_gid)
            language = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
            known = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={self.folder}/password"]
            data = f"{self.folder}/data"
            made = self._run("initdb", "--no-sync", f"--pgdata={data}", f"--username={USER}", *language, *known)
            assert made.returncode == 0, made.stderr
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """On the port and the socket that it had before."""
        settings = {
            "fsync": "off",
            "listen_addresses": "127.0.0.1",
            "max_connections": "60",
            "unix_socket_directories": self.folder,
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._as_somebody("--pdeathsig=INT"),
                    *(self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port)),
                    *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        deadline_s = time.monotonic() + START_S
        while self._run("pg_isready", f"--host={self.folder}", f"--port={self.port}").returncode:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline_s, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """As an administrator who does not wait for those who are connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """As the kernel does when memory is short; its children end by themselves."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def database(self, *, encoding: str = "UTF8", template: str = "template0") -> str:
        """The address of a new one."""
        self._made += 1
        name = f"farm_{self._made}"
        language = ["--locale-provider=libc", "--locale=C"] if encoding != "UTF8" else []
        options = [f"--encoding={encoding}", f"--template={template}", *language]
        made = self._run("createdb", f"--host={self.folder}", f"--port={self.port}", f"--username={USER}", *options, name)
        assert made.returncode == 0, made.stderr
        return self.address(name)

    def address(self, name: str) -> str:
        """Of a database, over the socket."""
        return f"postgresql+psycopg://{USER}@:{self.port}/{name}?host={self.folder}"

    def over_tcp(self, name: str, password: str) -> str:
        """The same, with a password."""
        return f"postgresql+psycopg://{USER}:{password}@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *args: str) -> subprocess.CompletedProcess[str]:
        command = [*self._as_somebody(), str(self.programs / program), *args]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=START_S, check=False)

    @staticmethod
    def _as_somebody(*more: str) -> list[str]:
        """PostgreSQL refuses to run as root."""
        other = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"] if is_root() else []
        return ["setpriv", *other, *more] if other or more else []


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
