"""A private key file that a person names is looked at before anything is connected."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lutfarm.devices.ssh_key_file import private_key
from lutfarm_jobs.errors import SpecError


@pytest.mark.parametrize(("kind", "form"), [("ed25519", "RFC4716"), ("rsa", "PEM"), ("ecdsa", "PKCS8")])
def test_what_ssh_keygen_makes_is_taken_and_its_public_half_is_named(tmp_path: Path, kind: str, form: str) -> None:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-m", form, "-N", "", "-f", str(path)], check=True, timeout=60)
    assert private_key(path) == path
    with pytest.raises(SpecError, match=r"--key .*id\.pub is the public half of a key; name the private one, such as .*id$"):
        private_key(tmp_path / "id.pub")
    rfc = subprocess.run(["ssh-keygen", "-e", "-f", str(path)], check=True, timeout=60, capture_output=True).stdout
    (tmp_path / "exported").write_bytes(rfc)
    with pytest.raises(SpecError, match="public half"):
        private_key(tmp_path / "exported")


def test_what_is_no_key_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"--key /no/such/key: No such file"):
        private_key(Path("/no/such/key"))
    with pytest.raises(SpecError, match="Is a directory"):
        private_key(tmp_path)
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 100)
    with pytest.raises(SpecError, match="is no private key"):
        private_key(tmp_path / "noise")
