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
        assert profile.measured_cpus(range(8))


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
        ("cpus: all", "cpus: [0, x]", r"clusters\[0\]\.cpus\[1\]: a whole number"),
        ("runtimes: [tflite]", "runtimes: &a [tflite]\nalso: *a", "mine.yaml"),
        ("description: my machine", "description: !!python/name:os.system", "mine.yaml"),
        ("name: mine", "- [", "mine.yaml"),
        ("description: my machine", "description: " + "x" * 200_000, "100000 bytes"),
        (
            "transport: local",
            "transport: ssh\nfrequency: {fix: [jetson_clocks --store /tmp/x], restore: [[jetson_clocks, --restore, /tmp/x]]}",
            r"frequency\.fix\[0\]: a command is a list of its words.*'jetson_clocks --store /tmp/x'",
        ),
        ("transport: local", "transport: local\nfrequency: {fix: [[reboot]]}", "frequency: fix needs restore"),
        (
            "transport: local",
            "transport: local\nfrequency: {fix: [[sh, -c, reboot]], restore: [['true']]}",
            r"frequency\.fix\[0\]: sh -c would hand a line to a shell",
        ),
        ("transport: local", "transport: local\nfrequency: {khz: {big: 1000000}}", "frequency.khz names 'big'"),
        ("transport: local", "transport: adb", "work_dir '.lutfarm' must begin with /"),
        ("transport: local", "transport: ssh\nwork_dir: ../elsewhere", "work_dir.*must not have"),
        ("transport: local", "transport: ssh\nwork_dir: my files", "work_dir"),
        ("lock_path: /tmp/mine.lock", "lock_path: mine.lock", "lock_path"),
        (
            "transport: local",
            "transport: local\nthermal: {limit_c: 70, resume_c: 60, throttle_files: [sys/count]}",
            r"thermal\.throttle_files\[0\]",
        ),
        ("transport: local", "transport: local\nthermal: {limit_c: .nan, resume_c: 60}", r"thermal\.limit_c"),
        ("transport: local", "transport: local\nthermal: {limit_c: 70, resume_c: 60, limit_f: 150}", r"thermal\.limit_f"),
        ("transport: local", "transport: local\nbattery: 30", "battery"),
        ("transport: local", "transport: local\nsources: [http://example.org]", r"sources\[0\]: a source is an https address"),
        ("transport: local", "transport: local\ndetect: {properties: {ro.product.device: 7}}", r"detect\.properties"),
    ],
)
def test_a_wrong_file_is_named_with_its_field(folder: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    (folder / "mine.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(SpecError, match=said) as caught:
        load("mine", folder=folder)
    assert str(folder / "mine.yaml") in caught.value.detail


def test_the_profile_of_the_documentation_is_one(folder: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text()
    blocks = [block.partition("```")[0] for block in text.split("```yaml\n")[1:]]
    assert len(blocks) == 3
    whole, cpufreq, commands = blocks
    (folder / "acme-mini.yaml").write_text(whole)
    assert load("acme-mini", folder=folder).measured_cpus(range(8)) == [4, 5]
    for block in (cpufreq, commands):
        changed = [line for line in whole.splitlines() if not line.startswith("frequency")]
        (folder / "acme-mini.yaml").write_text("\n".join([*changed, block]))
        assert load("acme-mini", folder=folder).frequency is not None
