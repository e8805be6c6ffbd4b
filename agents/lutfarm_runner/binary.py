"""What the interpreter was built for: two of them under one kernel may differ by a factor, word size and float ABI first."""

from __future__ import annotations

import os
import struct
import sys
import sysconfig
from pathlib import Path

HARD_FLOAT, SOFT_FLOAT = 0x400, 0x200  # e_flags of ARM's ELF files


def word_bits() -> int:
    """Of a pointer: 32 or 64."""
    return struct.calcsize("P") * 8


def abi() -> str:
    """For example `arm-linux-gnueabihf`; for ARM always with how floats are passed, where its file says so."""
    known = str(sysconfig.get_config_var("MULTIARCH") or sysconfig.get_platform())
    floats = arm_floats(_header(sys.executable))
    return known if not floats or known.endswith(("eabihf", "eabi")) else f"{known} {floats}"


def arm_floats(header: bytes) -> str:
    """`hard-float` or `soft-float` of a 32-bit ARM program by its ELF header; empty for all others."""
    if len(header) < 52 or header[:5] != b"\x7fELF\x01" or header[5] != 1 or struct.unpack_from("<H", header, 18)[0] != 40:
        return ""
    flags = struct.unpack_from("<I", header, 36)[0]
    return "hard-float" if flags & HARD_FLOAT else "soft-float" if flags & SOFT_FLOAT else ""


def libc() -> str:
    """For example `glibc 2.36`; empty where it does not say, as musl and Android's."""
    try:
        return str(os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (AttributeError, ValueError, OSError):
        return ""


def _header(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(64)
    except OSError:
        return b""
