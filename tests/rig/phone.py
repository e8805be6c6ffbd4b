"""A phone: Google's own adbd over mksh and toybox, as Android has them; with ARM code where asked."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from tests.rig import arm64
from tests.rig.machine import DISK_BYTES, HERE, Machine, holds

GETPROP = """#!/system/bin/sh
if [ $# -eq 0 ]; then
    while IFS='=' read -r key value; do echo "[$key]: [$value]"; done </system/properties
    exit
fi
while IFS='=' read -r key value; do [ "$key" = "$1" ] && echo "$value" && exit; done </system/properties
echo "$2"
"""
PIXEL = {
    "ro.product.manufacturer": "Google",
    "ro.product.model": "Pixel 6",
    "ro.product.name": "oriole",
    "ro.product.device": "oriole",
    "ro.board.platform": "gs101",
    "ro.soc.model": "Tensor",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.build.fingerprint": "google/oriole/oriole:14/AP1A.240305.019/11445699:user/release-keys",
    "ro.product.cpu.abi": "arm64-v8a",
}


def cache() -> Path:
    """Where what was built for the rig is kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "lutfarm-rig"


@functools.cache
def adbd() -> Path:
    """The folder with adbd and its libraries; built where it is not there (half a minute on two cores)."""
    sources = b"".join((HERE / name).read_bytes() for name in ("build-adbd.sh", "properties.cpp"))
    folder = cache() / f"adbd-{hashlib.sha256(sources).hexdigest()[:16]}"
    if not folder.is_dir():
        built = subprocess.run(
            ["bash", str(HERE / "build-adbd.sh"), str(folder)], capture_output=True, text=True, timeout=900, check=False
        )
        if built.returncode != 0:
            raise RuntimeError(f"adbd could not be built: {built.stderr[-2000:]}")
    return folder


@functools.cache
def applets() -> str:
    """The commands that toybox knows, one a line."""
    return "\n".join(subprocess.check_output(["toybox"], text=True, timeout=60).split()) + "\n"


class Phone(Machine):
    """One phone.  `keys`: the public keys it lets in; None lets everybody in."""

    kind = "phone"
    port = 5555

    def __init__(
        self,
        name: str,
        *,
        properties: Mapping[str, str] = PIXEL,
        keys: Sequence[str] | None = None,
        arm: bool = False,
        bind: Sequence[str] = (),
        disk_bytes: int = DISK_BYTES,
    ) -> None:
        super().__init__(name, bind=bind, disk_bytes=disk_bytes)
        self.arm = arm
        own = {
            "service.adb.tcp.port": str(self.port),
            "ro.adb.secure": "0" if keys is None else "1",
            "ro.serialno": name,
            **properties,
        }
        self._write("properties", "".join(f"{key}={value}\n" for key, value in own.items()))
        self._write("getprop", GETPROP)
        self._write("applets", applets())
        self._write("shell", "/system/bin/sh")
        (self.folder / "adbd").symlink_to(adbd())
        self.accept(keys or [])
        if arm:
            (self.folder / "arm64").symlink_to(arm64.userland(cache()))
            self._write("cpuinfo", arm64.CPUINFO)

    def accept(self, keys: Sequence[str]) -> None:
        """Somebody pressed `Always allow` for these keys, and took the others back."""
        self._write("etc/adb_keys", "".join(f"{key}\n" for key in keys))

    def daemons(self) -> list[psutil.Process]:
        """adbd."""
        found = psutil.Process(self.init_pid).children()
        return [p for p in found if holds(p, lambda process: "/apex/adbd/adbd" in process.cmdline())]

    def _namespaces(self) -> list[str]:
        # A user namespace has a binfmt_misc of its own (Linux 6.7): ARM code runs there and nowhere else.
        user = ["--user", "--map-root-user"] if self.arm else []
        return [*user, *super()._namespaces()]
