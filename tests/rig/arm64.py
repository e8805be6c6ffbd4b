"""ARM code on a machine of another kind: Debian's arm64 mksh and toybox, run by qemu."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.rig.machine import HERE

CPUINFO = """processor\t: 0
BogoMIPS\t: 48.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

processor\t: 1
BogoMIPS\t: 48.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""


def userland(cache: Path) -> Path:
    """A folder with bin/mksh, bin/toybox and their libraries for arm64; fetched where it is not there."""
    packages = ("mksh", "toybox", "libc6", "libcrypt1", "libpcre2-8-0", "libselinux1", "libssl3", "zlib1g")
    return unpacked(cache / "arm64-1", "arm64", *packages)


def unpacked(folder: Path, arch: str, *packages: str) -> Path:
    """Debian packages in one folder; fetched where it is not there."""
    if not folder.is_dir():
        made = subprocess.run(
            ["bash", str(HERE / "fetch-packages.sh"), arch, str(folder), *packages],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if made.returncode != 0:
            raise RuntimeError(f"{', '.join(packages)} of {arch} could not be fetched: {made.stderr[-2000:]}")
    return folder
