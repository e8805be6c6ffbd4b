"""What a virtual board boots from: Debian's arm64 kernel, and a root of busybox and OpenSSH, made from Debian's packages."""

from __future__ import annotations

import functools
import hashlib
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.rig.arm64 import unpacked
from tests.rig.board import GROUP, PASSWD, SHADOW
from tests.rig.machine import HERE
from tests.rig.phone import cache

KERNEL = "+linux-image-cloud-arm64"
PACKAGES = (
    "busybox-static",
    "openssh-server",
    "openssh-sftp-server",
    # What sshd is linked with, and what those libraries are linked with.
    "libaudit1",
    "libc6",
    "libcap-ng0",
    "libcap2",
    "libcom-err2",
    "libcrypt1",
    "libgcrypt20",
    "libgpg-error0",
    "libgssapi-krb5-2",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "liblz4-1",
    "liblzma5",
    "libnsl2",
    "libpam0g",
    "libpcre2-8-0",
    "libselinux1",
    "libssl3",
    "libsystemd0",
    "libtirpc3",
    "libwrap0",
    "libzstd1",
    "zlib1g",
)
# In the order in which they are loaded: each needs those before it.
MODULES = (
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/block/virtio_blk",
)
CONFIG = """Port 22
HostKey /etc/ssh_host_ed25519_key
AuthorizedKeysFile /etc/authorized_keys
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
Subsystem sftp /usr/lib/openssh/sftp-server
"""
INITTAB = """::sysinit:/etc/rc
::respawn:/usr/sbin/sshd -D -e -f /etc/sshd_config
"""


@dataclass(frozen=True, slots=True)
class Image:
    """Two files that qemu loads.  `root` is a cpio archive: a board's own files follow it as another one."""

    kernel: Path
    root: Path


@functools.cache
def image() -> Image:
    """The image; made where it is not there (downloads of 55 MB, then some seconds)."""
    sources = b"".join((HERE / name).read_bytes() for name in ("board_image.py", "board-rc.sh", "fetch-packages.sh"))
    folder = cache() / f"virtual-board-{hashlib.sha256(sources).hexdigest()[:16]}"
    if not folder.is_dir():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".virtual-board-", dir=cache()) as work:
            _make(Path(work), folder)
    return Image(folder / "kernel", folder / "root")


def _make(work: Path, folder: Path) -> None:
    kernel = unpacked(work / "kernel", "arm64", KERNEL)
    programs = unpacked(work / "programs", "arm64", *PACKAGES)
    staging = work / "staging"
    staging.mkdir()
    (booted,) = (kernel / "boot").glob("vmlinuz-*")
    shutil.copy(booted, staging / "kernel")
    (modules,) = (kernel / "lib" / "modules").glob("*/kernel")
    files = dict(_of_packages(programs))
    files |= {f"lib/modules/{Path(name).name}.ko": (modules / f"{name}.ko").read_bytes() for name in MODULES}
    (staging / "root").write_bytes(archive(files | _of_the_rig()))
    try:
        staging.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another test run was faster
            raise


def _of_packages(programs: Path) -> Iterator[tuple[str, bytes | str]]:
    """Programs, and the libraries beside the loader; links as the text that they hold."""
    yield "bin/busybox", (programs / "bin" / "busybox").read_bytes()
    yield "usr/sbin/sshd", (programs / "usr" / "sbin" / "sshd").read_bytes()
    yield "usr/lib/openssh/sftp-server", (programs / "usr" / "lib" / "openssh" / "sftp-server").read_bytes()
    yield "lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu/ld-linux-aarch64.so.1"
    for top in ("lib", "usr/lib"):
        for library in sorted((programs / top / "aarch64-linux-gnu").glob("*.so*")):
            name = f"{top}/aarch64-linux-gnu/{library.name}"
            yield name, str(library.readlink()) if library.is_symlink() else library.read_bytes()


def _of_the_rig() -> Mapping[str, bytes | str]:
    texts = {
        "etc/rc": (HERE / "board-rc.sh").read_text(),
        "etc/inittab": INITTAB,
        "etc/sshd_config": CONFIG,
        "etc/passwd": PASSWD,
        "etc/shadow": SHADOW,
        "etc/group": GROUP,
        "etc/modules": "".join(f"{Path(name).name}\n" for name in MODULES),
    }
    return {"init": "bin/busybox", **{name: text.encode() for name, text in texts.items()}}


def archive(files: Mapping[str, bytes | str]) -> bytes:
    """A cpio archive as Linux unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst): bytes are files
    that may be executed, texts are links."""
    folders = {str(parent) for name in files for parent in Path(name).parents} - {"."}
    folders |= {"dev", "home", "home/board", "proc", "run", "sys", "tmp"} if "init" in files else set()
    entries = [_entry(name, stat.S_IFDIR | 0o755, b"") for name in sorted(folders)]
    for name, content in files.items():
        kind = stat.S_IFLNK | 0o777 if isinstance(content, str) else stat.S_IFREG | 0o755
        entries.append(_entry(name, kind, content.encode() if isinstance(content, str) else content))
    if "init" in files:  # before /dev is mounted, the first process needs a console
        entries.append(_entry("dev/console", stat.S_IFCHR | 0o600, b"", device=(5, 1)))
    return b"".join([*entries, _entry("TRAILER!!!", 0, b"")])


def _entry(name: str, mode: int, content: bytes, *, device: tuple[int, int] = (0, 0)) -> bytes:
    path = name.encode() + b"\0"
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
    header = b"070701" + b"".join(b"%08x" % number for number in numbers)
    return _padded(header + path) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
