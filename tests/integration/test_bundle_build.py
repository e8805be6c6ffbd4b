"""Real builds, from the mirror and the index that this machine is configured for; and hosts where none can work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests.bundle_kit import a_bundle, built, needs_debian_12

from lutfarm.bundle import build, download, shelved
from lutfarm.bundle.build import copy_to
from lutfarm_agents.provisioning.bundle_layout import ARCHES
from lutfarm_jobs.errors import SpecError, StoreUnwritable
from lutfarm_jobs.file_hash import file_sha256

CLI = [sys.executable, "-c", "from lutfarm.cli import main; main()"]
APT_STATE = ("/var/lib/apt/lists", "/var/cache/apt", "/var/lib/dpkg")


def lutfarm(home: Path, *args: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, "bundle", *map(str, args), "--home", str(home)],
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
        env=os.environ | environment,
        check=False,
    )


def state_of_apt() -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for top in APT_STATE for path in [Path(top), *Path(top).rglob("*")])


def nothing_left(home: Path) -> bool:
    return {path.name for path in (home / "bundles").iterdir()} <= {".lock"}


@pytest.fixture
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "bundles"


@pytest.mark.slow
def test_two_builds_are_equal_need_no_root_and_leave_the_machines_apt_alone(bundles, tmp_path):
    first = built(bundles, "amd64", "tflite")
    before = state_of_apt()
    made = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-user=1000",
            *CLI,
            "bundle",
            "build",
            "--arch=amd64",
            "--runtime=tflite",
            f"--home={tmp_path}",
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert [line[:3] for line in made.stderr.splitlines()] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert state_of_apt() == before
    [second] = shelved(tmp_path / "bundles")
    assert (second.name, second.sha256) == (first.name, first.sha256)
    assert second.path.read_bytes() == first.path.read_bytes()
    assert second.path.with_suffix(".json").read_bytes() == first.path.with_suffix(".json").read_bytes()
    assert file_sha256(second.path) == second.sha256
    assert sorted(path.name for path in second.path.parent.iterdir()) == sorted(
        [".lock", f"{second.name}.json", f"{second.name}.tar"]
    )


@pytest.mark.slow
def test_the_tar_holds_plain_files_of_one_time_and_owner(bundles):
    bundle = built(bundles, "arm64", "tflite")
    with tarfile.open(bundle.path, "r:") as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(315_532_800, 0, 0, "", "")}
    assert all(member.isreg() or member.isdir() for member in members)
    modes = {member.name: member.mode for member in members}
    assert modes["usr/bin/python3.11"] == modes["lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"] == 0o755
    assert modes["usr/lib/python3.11/os.py"] == 0o644
    assert not [name for name in modes if "/tests/" in name or name.endswith((".pyc", ".pyi"))]
    assert sum(member.size for member in members) < 100e6


@pytest.mark.slow
def test_what_was_built_is_found_again_unless_it_was_damaged(bundles, tmp_path):
    bundle = built(bundles, "amd64", "tflite")
    shutil.copytree(bundles, tmp_path / "bundles", ignore=lambda _, names: [n for n in names if "amd64-tflite" not in n])
    said: list[str] = []
    again = build(tmp_path / "bundles", ARCHES["amd64"], "tflite", say=said.append)
    assert said == [f"already built: {bundle.name}"]
    with again.path.open("r+b") as file:
        file.seek(5000)
        file.write(b"!")
    assert build(tmp_path / "bundles", ARCHES["amd64"], "tflite", say=said.append) == again
    assert len(said) == 6
    assert file_sha256(again.path) == bundle.sha256


@pytest.mark.slow
def test_command_line(bundles, tmp_path):
    built(bundles, "amd64", "tflite")
    home, out = bundles.parent, tmp_path / "out here"
    made = lutfarm(home, "build", "--arch", "amd64", "--runtime", "tflite", "--out", out, "--json")
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)
    assert Path(document["path"]).parent == out
    assert file_sha256(Path(document["path"])) == document["sha256"]
    assert [bundle.sha256 for bundle in shelved(out)] == [document["sha256"]]
    listed = json.loads(lutfarm(home, "list", "--json").stdout)
    assert document["name"] in [bundle["name"] for bundle in listed]
    assert document["sha256"][:12] in lutfarm(home, "list").stdout


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing(ending, tmp_path):
    """SIGKILL leaves its folder; the next build, here a refused one, takes it away."""
    needs_debian_12()
    process = subprocess.Popen(
        [*CLI, "bundle", "build", "--arch", "amd64", "--runtime", "tflite", "--home", str(tmp_path)],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    with process, process.stderr as said:
        for line in said:
            if line.startswith("2/5"):  # apt-get download runs now
                os.killpg(process.pid, ending)
                break
        rest = said.read()
        assert process.wait(30) == (130 if ending == signal.SIGINT else -signal.SIGKILL)
    if ending == signal.SIGINT:
        assert "nothing was left behind" in rest
        assert nothing_left(tmp_path)
        return
    assert not nothing_left(tmp_path)
    refused = lutfarm(tmp_path, "build", "--arch", "amd64", "--runtime", "tflite", PATH="/nowhere")
    assert refused.returncode == 2
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("arch", ["armhf", "", "arm64; reboot", "--help\x1b[31m", "x" * 10_000])
def test_an_unknown_architecture(arch, tmp_path):
    refused = lutfarm(tmp_path, "build", f"--arch={arch}", "--runtime", "tflite")
    assert refused.returncode == 2
    assert "choose arm64 or amd64" in refused.stderr
    assert "\x1b" not in refused.stderr
    assert len(refused.stderr) < 500
    assert not (tmp_path / "bundles").exists()


def test_an_unknown_runtime(tmp_path):
    refused = lutfarm(tmp_path, "build", "--arch=arm64", "--runtime", "torch")
    assert refused.returncode == 2
    assert "onnxruntime" in refused.stderr


def test_no_apt(tmp_path):
    refused = lutfarm(tmp_path, "build", "--arch=arm64", "--runtime=tflite", PATH=str(tmp_path))
    assert refused.returncode == 2
    assert "there is no apt-get on PATH" in refused.stderr
    assert "deploy/bundle/" in refused.stderr
    assert nothing_left(tmp_path)


def test_no_pip(tmp_path, monkeypatch):
    needs_debian_12()
    monkeypatch.setattr(download, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r"no pip, .*python -m ensurepip"):
        build(tmp_path, ARCHES["amd64"], "tflite", say=lambda line: None)
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


@pytest.fixture
def tools(tmp_path: Path):
    """Programs of our own on PATH, for hosts that this one is not."""
    folder = tmp_path / "tools"
    folder.mkdir()

    def add(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    add("dpkg-deb", "exit 1")
    return folder, add


def start_build(home: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return lutfarm(home, "build", "--arch=arm64", "--runtime=tflite", PATH=f"{folder}:/usr/bin:/bin")


def mirror(release: str) -> str:
    return f'echo "https://mirror.example/debian {release} main Debian {release}"'


def test_another_debian(tools, tmp_path):
    folder, add = tools
    add("apt-get", mirror("trixie"))
    refused = start_build(tmp_path, folder)
    assert refused.returncode == 2
    assert "apt knows no suite of Debian 12 (bookworm) here" in refused.stderr
    assert nothing_left(tmp_path)


def test_a_mirror_that_fails(tools, tmp_path):
    folder, add = tools
    add(
        "apt-get",
        f'case "$*" in *indextargets*) {mirror("bookworm")};; *) echo "E: The repository is not signed. \033[1m" >&2; '
        "exit 100;; esac",
    )
    refused = start_build(tmp_path, folder)
    assert refused.returncode == 3
    assert "apt-get update failed with exit code 100: E: The repository is not signed." in refused.stderr
    assert "\x1b" not in refused.stderr
    assert nothing_left(tmp_path)


def test_a_download_that_is_not_whole(tools, tmp_path):
    folder, add = tools
    add("apt-get", f'case "$*" in *indextargets*) {mirror("bookworm")};; esac')
    refused = start_build(tmp_path, folder)
    assert refused.returncode == 3
    assert "brought no libbz2-1.0, libc6" in refused.stderr
    assert nothing_left(tmp_path)


def test_an_unsigned_mirror_is_refused_by_apt_itself(tools, tmp_path):
    """The real apt-get, and a mirror of ours that holds an unsigned Release file for the asked suite."""
    needs_debian_12()
    suite = tmp_path / "mirror" / "dists" / "bookworm"
    suite.mkdir(parents=True)
    fields = ("Origin: Debian", "Codename: bookworm", "Suite: oldstable", "Components: main", "Architectures: arm64", "")
    (suite / "Release").write_text("\n".join(fields))
    folder, add = tools
    listing = f"echo 'file:{tmp_path}/mirror bookworm main Debian bookworm'"
    add("apt-get", f'case "$*" in *indextargets*) {listing};; *) exec /usr/bin/apt-get "$@";; esac')
    refused = start_build(tmp_path, folder)
    assert refused.returncode == 3
    assert "is not signed" in refused.stderr
    assert nothing_left(tmp_path)


def test_a_folder_that_apt_cannot_name(tmp_path):
    needs_debian_12()
    with pytest.raises(SpecError, match="without quotes"):
        build(tmp_path / 'a "quoted" {home};', ARCHES["arm64"], "tflite", say=lambda line: None)


def on_a_small_disk(folder: Path, *argv: object) -> subprocess.CompletedProcess[str]:
    """Run on 4 MB of a file system of its own at `folder`; what lies there in the end is printed last."""
    script = 'mount -t tmpfs -o size=4m none "$0" && cd "$0" && "$@"; code=$?; ls -A "$0"; exit $code'
    folder.mkdir()
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, folder, *map(str, argv)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_small_disk(tmp_path):
    ended = on_a_small_disk(tmp_path / "small", *CLI, "bundle", "build", "--arch=amd64", "--runtime=tflite", "--home=home")
    assert ended.returncode == 2, ended.stderr
    assert "4 MB are free, 500 MB are needed: make room" in ended.stderr
    assert ended.stdout.split() == ["home"]


FILLS = """
import sys, pathlib
from lutfarm.bundle.host_tools import run
from lutfarm_jobs.errors import StoreUnwritable
try:
    run(["sh", "-c", sys.argv[1]], cwd=pathlib.Path.cwd(), what="a test")
except StoreUnwritable as error:
    print(error.detail)
"""


@pytest.mark.parametrize("afterwards", ["exec sleep 1000", "exit 100"])
def test_a_disk_that_gets_full(afterwards, tmp_path):
    """Whether the program says so or, as apt-get does, hangs."""
    ended = on_a_small_disk(tmp_path / "small", sys.executable, "-c", FILLS, f"cat /dev/zero > filler; {afterwards}")
    assert ended.returncode == 0, ended.stderr
    assert "make room, or choose another --home" in ended.stdout


def test_a_home_that_is_a_file(tmp_path):
    (tmp_path / "bundles").write_text("")
    with pytest.raises(StoreUnwritable, match="choose another folder"):
        build(tmp_path / "bundles", ARCHES["arm64"], "tflite", say=lambda line: None)


def test_a_copy_that_cannot_be_made_leaves_no_temporary_file(tmp_path):
    bundle = a_bundle(tmp_path / "from")
    bundle.path.with_suffix(".json").unlink()
    with pytest.raises(StoreUnwritable):
        copy_to(bundle, tmp_path / "to")
    assert not [path for path in (tmp_path / "to").iterdir() if path.name.startswith(".")]
