"""The RSA key pair by which phones know this farm: made once, kept in the farm's home."""

# adb-shell has no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from adb_shell.auth.keygen import keygen
from adb_shell.auth.sign_cryptography import CryptographySigner

from lutfarm_agents.transports.vendor import mapped
from lutfarm_jobs.errors import NotReady


def signer(folder: Path) -> CryptographySigner:
    """Signs with `folder`/adbkey, mode 0600; makes the pair where it is not there.  Raises NotReady."""
    private = folder / "adbkey"
    with mapped(lambda words: NotReady(f"the ADB key {private} can't be used: {words}; remove it, and a new one is made")):
        if not private.is_file() or not private.with_suffix(".pub").is_file():
            _make(folder)
        if private.stat().st_mode & 0o077:
            private.chmod(0o600)
        return CryptographySigner(str(private))


def _make(folder: Path) -> None:
    """Both files under names of their own first: two processes may make them at once; the first one's stay."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as name:
        made = Path(name) / "adbkey"
        keygen(str(made))  # inside a folder of mode 0700 until it is 0600
        made.chmod(0o600)
        try:
            os.link(made, folder / "adbkey")
        except FileExistsError:
            if (folder / "adbkey.pub").is_file():
                return
            made.replace(folder / "adbkey")
        made.with_suffix(".pub").replace(folder / "adbkey.pub")
