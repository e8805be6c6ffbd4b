"""Real bundles for tests, built once a test run, and what it takes to start them here."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import struct
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lutfarm.bundle import build
from lutfarm.bundle.inventory import bundle_name, manifest
from lutfarm_agents.provisioning.bundle_layout import ARCHES, PYTHON_ARGV, Bundle, launch

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


def a_bundle(folder: Path, *, arch: str = "arm64", content: bytes = b"not really a tar", inputs: str = "1" * 64) -> Bundle:
    """A bundle on a shelf, as far as the shelf looks: a file of this content, and its manifest."""
    folder.mkdir(exist_ok=True)
    sha256 = hashlib.sha256(content).hexdigest()
    name = bundle_name(arch, "onnxruntime", sha256)
    bundle = Bundle(name, sha256, arch, "onnxruntime", folder / f"{name}.tar", len(content), {"libc6": "2.36", "numpy": "2"})
    bundle.path.write_bytes(content)
    bundle.path.with_suffix(".json").write_text(manifest(bundle, inputs_sha256=inputs, files=1))
    return bundle


def an_elf(machine: int, needed: Sequence[str], *, address: int = 0x1000) -> bytes:
    """One loaded segment, one dynamic segment, one string table: the least that names libraries."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    offsets = [strings.index(b"\0" + name.encode() + b"\0") + 1 for name in needed]
    header, segment = 64, 56
    strings_at = header + 2 * segment
    dynamic_at = strings_at + len(strings)
    dynamic = b"".join(struct.pack("<qQ", *pair) for pair in [(5, address + strings_at), *((1, at) for at in offsets), (0, 0)])
    size = dynamic_at + len(dynamic)
    return b"".join(
        [
            struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 3, machine, 1, 0, header, 0, 0, header, segment, 2, 0, 0, 0),
            struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, size, size, 4096),
            struct.pack("<IIQQQQQQ", 2, 4, dynamic_at, address + dynamic_at, 0, len(dynamic), len(dynamic), 8),
            strings,
            dynamic,
        ]
    )


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
