"""The runner is pushed to a device where it is missing, and not again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lutfarm_agents.provisioning.push_runner import push_runner


class Folder:
    """The part of a transport that pushing needs."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.puts = 0

    def exists(self, remote: str) -> bool:
        return remote in self.files

    def put(self, local: Path, remote: str) -> None:
        self.puts += 1
        self.files[remote] = local.read_bytes()


def test_it_is_pushed_once_to_each_device_under_its_content_s_name(tmp_path: Path) -> None:
    one, other = Folder(), Folder()
    remote, sha256 = push_runner(one, "/data", packed=tmp_path)
    assert remote == f"/data/runner/{sha256}.pyz"
    assert hashlib.sha256(one.files[remote]).hexdigest() == sha256
    assert push_runner(one, "/data", packed=tmp_path) == (remote, sha256)
    assert one.puts == 1
    assert push_runner(other, "/data", packed=tmp_path) == (remote, sha256)
    assert (other.puts, one.puts) == (1, 1)


def test_another_runner_on_the_device_is_no_reason_to_leave_ours_out(tmp_path: Path) -> None:
    device = Folder()
    device.files["/data/runner/" + 64 * "0" + ".pyz"] = b"older"
    remote, sha256 = push_runner(device, "/data", packed=tmp_path)
    assert hashlib.sha256(device.files[remote]).hexdigest() == sha256
