"""What lies on a shelf is believed only where it makes sense."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests.bundle_kit import a_bundle, an_elf

from lutfarm.bundle import download, recipe
from lutfarm.bundle.archive import write_tar
from lutfarm.bundle.contents import collect
from lutfarm.bundle.inventory import find, shelved
from lutfarm_agents.provisioning.bundle_layout import ARCHES
from lutfarm_jobs.errors import SpecError

INPUTS = "1" * 64
LOCK = (Path(__file__).parents[2] / "requirements.lock").read_text()


def test_what_is_there_is_listed_by_name(tmp_path):
    made = [a_bundle(tmp_path, content=content) for content in (b"a", b"bc")]
    assert shelved(tmp_path) == tuple(sorted(made, key=lambda bundle: bundle.name))
    assert shelved(tmp_path / "nowhere") == ()


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": "1"},
        {"arch": "mips"},
        {"arch": ["arm64"]},
        {"runtime": "torch"},
        {"sha256": "../../etc"},
        {"sha256": "0" * 64},
        {"size_bytes": 7},
        {"size_bytes": None},
        {"versions": []},
        {"versions": {"libc6": 2}},
        {"versions": {"libc6": "2\x1b[31m"}},
        {"versions": {"x": "y" * 5000}},
        {"inputs_sha256": None},
    ],
)
def test_a_manifest_that_does_not_fit_is_none(tmp_path, change):
    manifest = a_bundle(tmp_path).path.with_suffix(".json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    assert shelved(tmp_path) == ()
    assert find(tmp_path, "arm64", "onnxruntime", INPUTS) is None


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, "\udc80", " " * (1 << 21)])
def test_a_manifest_that_is_none(tmp_path, text):
    a_bundle(tmp_path).path.with_suffix(".json").write_bytes(text.encode(errors="surrogateescape"))
    assert shelved(tmp_path) == ()


def test_a_manifest_without_a_tar_is_none(tmp_path):
    a_bundle(tmp_path).path.unlink()
    assert shelved(tmp_path) == ()


def test_the_newest_whole_one_of_the_same_inputs_is_found(tmp_path):
    old, new = a_bundle(tmp_path, content=b"old"), a_bundle(tmp_path, content=b"new")
    a_bundle(tmp_path, content=b"other", inputs="2" * 64)
    a_bundle(tmp_path, content=b"other", arch="amd64")
    os.utime(old.path.with_suffix(".json"), ns=(1, 1))
    os.utime(new.path.with_suffix(".json"), ns=(2, 2))
    assert find(tmp_path, "arm64", "onnxruntime", INPUTS) == new
    new.path.write_bytes(b"NEW")  # the same size, and not what its name says
    assert find(tmp_path, "arm64", "onnxruntime", INPUTS) == old
    assert find(tmp_path, "arm64", "onnxruntime", "3" * 64) is None


def test_a_tar_depends_on_names_and_content_only(tmp_path):
    program, text = tmp_path / "a", tmp_path / "b"
    program.write_bytes(b"\x7fELF...")
    text.write_text("x" * 1000)
    first = write_tar({"usr/bin/p": program, "usr/t": text}, tmp_path / "1.tar")
    os.utime(text, ns=(5, 5))
    text.chmod(0o600)
    second = write_tar({"usr/t": text, "usr/bin/p": program}, tmp_path / "2.tar")
    assert first == second
    content = (tmp_path / "1.tar").read_bytes()
    assert content == (tmp_path / "2.tar").read_bytes()
    assert len(content) == first.size_bytes
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = {member.name: (member.mode, member.isdir()) for member in archive}
    assert found == {"usr": (0o755, True), "usr/bin": (0o755, True), "usr/bin/p": (0o755, False), "usr/t": (0o644, False)}


def test_a_file_where_a_folder_must_be(tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(SpecError, match="'usr'"):
        write_tar({"usr": tmp_path / "f", "usr/x": tmp_path / "f"}, tmp_path / "t.tar")


def a_root(folder, *, python=b"#!python"):
    """As packages unpack: Python, a module, a licence, a library under two names, and what no bundle needs."""
    for name, content in {
        "usr/bin/python3.11": python,
        "usr/lib/python3.11/os.py": b"",
        "usr/lib/python3.11/test/test_os.py": b"",
        "usr/share/doc/libc6/copyright": b"",
        "usr/share/doc/libc6/changelog.gz": b"",
        "lib/aarch64-linux-gnu/ld-linux-aarch64.so.1": b"loader",
        "lib/aarch64-linux-gnu/libunused.so.1": b"",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_files_are_chosen_and_links_that_lead_out_are_not(tmp_path):
    root, site = a_root(tmp_path / "root"), tmp_path / "site"
    (site / "numpy").mkdir(parents=True)
    (site / "numpy" / "__init__.py").touch()
    (tmp_path / "secret").touch()
    (root / "usr/lib/python3.11/stolen.py").symlink_to(tmp_path / "secret")
    (root / "usr/lib/python3.11/gone.py").symlink_to("/nowhere/at/all")
    (root / "usr/lib/python3.11/same.py").symlink_to("os.py")
    assert sorted(collect(root, site, ARCHES["arm64"])) == [
        "lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
        "usr/bin/python3.11",
        "usr/lib/python3.11/os.py",
        "usr/lib/python3.11/same.py",
        "usr/lib/python3/dist-packages/numpy/__init__.py",
        "usr/share/doc/libc6/copyright",
    ]


def test_another_architecture_or_no_python_is_refused(tmp_path):
    with pytest.raises(SpecError, match="libmissing"):
        collect(a_root(tmp_path / "1", python=an_elf(183, ["libmissing.so"])), tmp_path, ARCHES["arm64"])
    with pytest.raises(SpecError, match="machine 62, not 183"):
        collect(a_root(tmp_path / "2", python=an_elf(62, [])), tmp_path / "none", ARCHES["arm64"])
    (tmp_path / "2" / "usr/bin/python3.11").unlink()
    with pytest.raises(SpecError, match=r"no usr/bin/python3\.11"):
        collect(tmp_path / "2", tmp_path / "none", ARCHES["arm64"])


@pytest.mark.parametrize("runtime", recipe.bundled())
def test_pinned_wheels_are_those_of_the_lock(runtime):
    text = download.requirements(runtime)
    pins = recipe.distributions(text)
    assert len(pins) == 2
    for pin in pins:
        locked = re.search(rf"(?m)^{re.escape(pin)}(?: ;.*)? \\\n((?:    --hash=\S+(?: \\)?\n)+)", LOCK)
        assert locked, f"{pin} is not in requirements.lock: take over its version and hashes"
        hashes = re.findall(r"sha256:[0-9a-f]{64}", text.partition(f"{pin} ")[2])[: len(ARCHES)]
        assert len(set(hashes)) == len(ARCHES)
        assert all(each in locked[1] for each in hashes)


IMPORTED = """
import importlib.metadata, sys
before = set(sys.modules)                          # a .pth file of the environment may import things too
from lutfarm.cli import main
sys.argv = ["lutfarm", "bundle", "list", "--json", "--home", sys.argv[1]]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended
owners = importlib.metadata.packages_distributions()
print("|", *{name for module in set(sys.modules) - before for name in owners.get(module.partition(".")[0], [])})
"""


def test_the_container_recipe_installs_what_the_command_imports(tmp_path):
    """The recipe can't be run where there is no container runtime; its list of distributions can be compared."""
    recipe_text = (Path(__file__).parents[2] / "deploy" / "bundle" / "Containerfile").read_text()
    wanted = set(re.search(r"wanted='([a-z|-]+)'", recipe_text)[1].split("|"))
    ended = subprocess.run([sys.executable, "-c", IMPORTED, tmp_path], capture_output=True, text=True, check=True)
    imported = {name.lower().replace("_", "-") for name in ended.stdout.rpartition("|")[2].split()}
    assert imported - {"lutfarm"} <= wanted
    assert all(re.search(rf"(?m)^{name}==", LOCK) for name in wanted)
