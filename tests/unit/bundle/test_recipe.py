"""What goes into a bundle and how it is started, without building one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bundle_kit import an_elf

from lutfarm.bundle import recipe
from lutfarm.bundle.build import inputs_sha256
from lutfarm.bundle.elf import is_elf, read_elf
from lutfarm.bundle.recipe import Source
from lutfarm_agents.provisioning.bundle_layout import ARCHES, PYTHON_ARGV, Bundle, arch_named, arch_of, launch
from lutfarm_jobs.errors import SpecError
from lutfarm_runner import child_process

ARM64 = ARCHES["arm64"]


@given(st.lists(st.from_regex(r"[a-zA-Z0-9_.+-]{1,40}", fullmatch=True), unique=True, max_size=6), st.integers(0, 65535))
def test_elf_names_what_it_needs(needed, machine):
    assert read_elf(an_elf(machine, needed), "x") == (read := read_elf(an_elf(machine, needed, address=0), "x"))
    assert (read.machine, read.needed) == (machine, tuple(needed))


@given(st.binary(max_size=300))
def test_no_content_breaks_the_reader(content):
    for damaged in (content, b"\x7fELF\2\1\1" + content, an_elf(183, ["libc.so.6"])[: len(content)]):
        try:
            read_elf(damaged, "some file")
        except SpecError as error:
            assert "some file" in error.detail


@given(st.integers(16, 260), st.binary(min_size=1, max_size=8))
def test_no_damage_breaks_the_reader(at, garbage):
    whole = an_elf(183, ["libc.so.6", "libm.so.6"])
    try:
        read_elf(whole[:at] + garbage + whole[at + len(garbage) :], "some file")
    except SpecError as error:
        assert "some file" in error.detail


def test_an_elf_is_known_by_its_beginning():
    assert is_elf(an_elf(62, []))
    assert not is_elf(b"#!/bin/sh")
    with pytest.raises(SpecError, match="not a 64-bit"):
        read_elf(b"\x7fELF\1\1" + bytes(100), "lib32.so")


def test_launch_goes_through_the_bundles_loader():
    words, env = launch("/data/local/tmp/a b/", ARM64)
    libraries = "/data/local/tmp/a b/lib/aarch64-linux-gnu"
    assert words == (
        f"{libraries}/ld-linux-aarch64.so.1",
        "--inhibit-cache",
        "--library-path",
        libraries,
        "/data/local/tmp/a b/usr/bin/python3.11",
    )
    assert json.loads(env[PYTHON_ARGV]) == list(words)
    assert env["LD_PRELOAD"] == ""


@pytest.mark.parametrize("root", ["", "here", "./x", "/a:b", "/a;b", "/$ORIGIN", "/a\nb", "/a\0b"])
def test_launch_refuses_what_a_loader_would_misread(root):
    with pytest.raises(SpecError, match="absolute path"):
        launch(root, ARM64)


def test_the_host_and_the_runner_mean_the_same_variable():
    assert child_process.PYTHON_ARGV == PYTHON_ARGV


def test_architectures_by_either_name():
    assert arch_named("arm64") is arch_of("aarch64") is ARM64
    assert arch_of("armv7l") is None
    with pytest.raises(SpecError, match="choose arm64 or amd64"):
        arch_named("armhf")


def test_another_content_is_another_folder():
    made = [Bundle("n", sha256 * 64, "arm64", "tflite", Path("x"), 1, {}).folder for sha256 in "01"]
    assert made == [f"bundle-{'0' * 64}", f"bundle-{'1' * 64}"]


LISTING = """\
http://mirror.example/debian/ bookworm main Debian bookworm
http://mirror.example/debian/ bookworm main Debian bookworm
http://mirror.example/debian/ oldstable-updates main Debian bookworm-updates
http://mirror.example/debian/ bookworm contrib Debian bookworm
http://mirror.example/debian/ bookworm-backports main Debian bookworm-backports
http://mirror.example/debian/ trixie main Debian trixie
http://mirror.example/other/ bookworm main Somebody bookworm
cdrom:[Debian] bookworm main Debian bookworm
http://mirror.example/a b/ bookworm main Debian bookworm
http://mirror.example/[trusted=yes] bookworm main Debian bookworm
mirror+file:/etc/apt/mirrors.list bookworm-security main Debian bookworm-security
garbage
"""


def test_only_suites_of_debian_12_are_taken():
    assert recipe.sources(LISTING) == (
        Source("http://mirror.example/debian/", "bookworm", "main"),
        Source("http://mirror.example/debian/", "oldstable-updates", "main"),
        Source("mirror+file:/etc/apt/mirrors.list", "bookworm-security", "main"),
    )


@given(st.text(max_size=200))
def test_a_source_is_one_line_with_one_pair_of_brackets(text):
    for source in recipe.sources(f"http://{text} bookworm main Debian bookworm"):
        line = source.line(ARM64, "/k.gpg")
        assert line.splitlines() == [line]
        assert (line.count("["), line.count("]"), len(line.split())) == (1, 1, 7)


def test_apt_keeps_its_state_in_the_folder_and_checks_signatures():
    text = recipe.apt_configuration("/work folder", ARM64)
    settings = dict(re.findall(r'^(\S+) "(.*)";$', text, re.MULTILINE))
    ignored = ("Dir::Etc::sourceparts", "Dir::Etc::preferences", "Dir::Etc::preferencesparts")
    assert {settings[name] for name in ignored} == {"/dev/null"}
    folders = ("Dir::State", "Dir::State::lists", "Dir::State::status", "Dir::Cache", "Dir::Log", "Dir::Etc::sourcelist")
    assert all(settings[name].startswith("/work folder/") for name in folders)
    assert {settings[name] for name in settings if "Allow" in name} == {"false"}
    assert {"#clear APT::Update::Post-Invoke;", "#clear APT::Update::Post-Invoke-Success;"} <= set(text.splitlines())


def test_wheel_tags_go_down_from_debians_c_library():
    tags = recipe.platforms(ARM64)
    assert tags[0] == "manylinux_2_36_aarch64"
    assert {"manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"} <= set(tags)


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("usr/bin/python3.11", True),
        ("usr/lib/python3.11/os.py", True),
        ("usr/lib/python3.11/encodings/utf_8.py", True),
        ("usr/lib/python3.11/lib-dynload/_ctypes.cpython-311-aarch64-linux-gnu.so", True),
        ("usr/lib/python3.11/lib-dynload/_ssl.cpython-311-aarch64-linux-gnu.so", False),
        ("usr/lib/python3.11/unittest/mock.py", True),
        ("usr/lib/python3.11/lib2to3/tests/data/x.py", False),
        ("usr/lib/python3.11/sitecustomize.py", False),
        ("usr/lib/python3.11/__pycache__/os.cpython-311.pyc", False),
        ("usr/share/doc/libc6/copyright", True),
        ("usr/share/man/man1/python3.11.1.gz", False),
        ("etc/python3.11/sitecustomize.py", False),
        ("lib/aarch64-linux-gnu/libc.so.6", False),
        ("usr/sbin/x", False),
    ],
)
def test_files_of_packages(path, kept):
    assert recipe.keeps_of_package(path) is kept


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("numpy/__init__.py", True),
        ("numpy/testing/__init__.py", True),
        ("numpy/_core/tests/test_x.py", False),
        ("numpy/__init__.pyi", False),
        ("numpy.libs/libscipy_openblas64_-7220728c.so", True),
        ("numpy-2.4.6.dist-info/METADATA", True),
        ("numpy-2.4.6.dist-info/licenses/LICENSE.txt", True),
        ("onnxruntime/capi/onnxruntime_pybind11_state.cpython-311-aarch64-linux-gnu.so", True),
        ("onnxruntime/capi/libonnxruntime_providers_shared.so", True),
        ("onnxruntime/capi/libonnxruntime.so.1.32.0", False),
        ("onnxruntime/transformers/optimizer.py", False),
        ("onnxruntime/ThirdPartyNotices.txt", True),
        ("ai_edge_litert/libLiteRtWebGpuAccelerator.so", False),
        ("ai_edge_litert/libLiteRt.so", True),
    ],
)
def test_files_of_wheels(path, kept):
    runtime = "tflite" if path.startswith("ai_edge") else "onnxruntime"
    assert recipe.keeps_of_wheel(path, recipe.wheels_of(runtime)) is kept


def test_a_native_tool_needs_no_bundle():
    with pytest.raises(SpecError, match="no bundle can be made with onnxruntime_perf_test, only with onnxruntime, tflite"):
        recipe.wheels_of("onnxruntime_perf_test")


def test_what_a_bundle_is_made_of_names_it():
    names = {inputs_sha256(arch, runtime) for arch in ARCHES.values() for runtime in recipe.bundled()}
    assert len(names) == len(ARCHES) * len(recipe.bundled())
