"""Profiles as files: those that are shipped, and a person's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from lutfarm_jobs.errors import SpecError
from lutfarm_profiles import load, names

GOOD = """\
name: mine
description: my machine
transport: local
runtimes: [tflite]
clusters: [{name: all, cpus: all}]
measured_cluster: all
lock_path: /tmp/mine.lock
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_every_shipped_profile_can_be_read(folder: Path) -> None:
    shipped = names(folder=folder)
    assert {"generic-linux-x86_64", "generic-linux-aarch64"} <= set(shipped)
    for name in shipped:
        profile = load(name, folder=folder)
        assert profile.name == name
        assert profile.measured_cpus((0, 1))


def test_ones_own_profile_goes_before_a_shipped_one(folder: Path) -> None:
    (folder / "mine.yaml").write_text(GOOD)
    own = GOOD.replace("name: mine", "name: generic-linux-x86_64").replace("my machine", "better known")
    (folder / "generic-linux-x86_64.yaml").write_text(own)
    assert load("mine", folder=folder).runtimes == ("tflite",)
    assert load("generic-linux-x86_64", folder=folder).description == "better known"
    assert names(folder=folder).count("generic-linux-x86_64") == 1


def test_the_users_folder_is_where_the_system_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    (folder / "lutfarm" / "profiles").mkdir(parents=True)
    (folder / "lutfarm" / "profiles" / "mine.yaml").write_text(GOOD)
    assert load("mine").description == "my machine"


@pytest.mark.parametrize("name", ["no-such", "../mine", "/etc/passwd", "", "mine.yaml", "x" * 200, "a\nb"])
def test_an_unknown_name_says_what_there_is(folder: Path, name: str) -> None:
    (folder.parent / "mine.yaml").write_text(GOOD)
    with pytest.raises(SpecError, match="generic-linux-x86_64"):
        load(name, folder=folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("transport: local", "transport: pigeon", "transport"),
        ("name: mine", "name: other", "must be the file's"),
        ("runtimes: [tflite]", "runtimes: tflite", "runtimes"),
        ("lock_path: /tmp/mine.lock", "", "lock_path"),
        ("description: my machine", "description: my machine\ncolour: blue", "colour"),
        ("measured_cluster: all", "measured_cluster: big", "measured_cluster"),
        ("cpus: all", "cpus: [0, x]", r"clusters\.0\.cpus"),
        ("runtimes: [tflite]", "runtimes: &a [tflite]\nalso: *a", "mine.yaml"),
        ("description: my machine", "description: !!python/name:os.system", "mine.yaml"),
        ("name: mine", "- [", "mine.yaml"),
        ("description: my machine", "description: " + "x" * 200_000, "100000 bytes"),
    ],
)
def test_a_wrong_file_is_named_with_its_field(folder: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    (folder / "mine.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(SpecError, match=said) as caught:
        load("mine", folder=folder)
    assert str(folder / "mine.yaml") in caught.value.detail
