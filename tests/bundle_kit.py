"""Real bundles for tests, built once a test run, and what it takes to start them here."""

from __future__ import annotations

import json
import platform
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lutfarm.bundle import build
from lutfarm_agents.bundle import ARCHES, PYTHON_ARGV, Bundle, launch

# A Cortex-A76: an emulated onnxruntime reads /proc/cpuinfo to learn what it runs on, and an x86 one crashes it.
CPUINFO = "\n".join(
    f"processor\t: {cpu}\nBogoMIPS\t: 48.00\n"
    "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n"
    for cpu in range(2)
)
MOUNTED = 'mount --bind "$0" /proc/cpuinfo && exec "$@"'
QEMU = "qemu-aarch64-static"


def needs_debian_12() -> None:
    """Skip, with the reason, where bundles can't be built."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    if release.get("VERSION_CODENAME") != "bookworm":
        pytest.skip(f"bundles are built on Debian 12, this is {release.get('PRETTY_NAME', platform.system())}")


def built(folder: Path, arch: str, runtime: str) -> Bundle:
    """In `folder`, or as it lies there from an earlier test of this run."""
    needs_debian_12()
    assert runtime in ("onnxruntime", "tflite")
    return build(folder, ARCHES[arch], runtime, say=lambda line: None)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A bundle in a folder, and how its Python is started on this machine."""

    bundle: Bundle
    root: Path
    words: Sequence[str]
    env: Mapping[str, str]


def unpacked(bundle: Bundle, root: Path) -> Unpacked:
    """Unpack into `root`; a foreign one is started by qemu's user-mode emulation, in a namespace with an ARM cpuinfo."""
    with tarfile.open(bundle.path) as archive:
        archive.extractall(root, filter="data")
    arch = ARCHES[bundle.arch]
    words, env = launch(str(root), arch)
    if arch.machine == platform.machine():
        return Unpacked(bundle, root, words, env)
    if shutil.which(QEMU) is None:
        pytest.skip(f"no {QEMU}: install qemu-user-static")
    cpuinfo = root.with_name("cpuinfo.txt")
    cpuinfo.write_text(CPUINFO)
    emulated = [QEMU, *words]
    outside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNTED, str(cpuinfo), *emulated]
    return Unpacked(bundle, root, outside, {**env, PYTHON_ARGV: json.dumps(emulated), "QEMU_CPU": "cortex-a76"})
