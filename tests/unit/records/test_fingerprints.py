"""What was measured otherwise is not put together, and the field and both values are named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lut_kit import ORT, TFLITE, manifest, measurement, piece, run
from tests.lut_kit import entry as plain_entry
from tests.store_kit import HELLO

from lutfarm.lut import LatencyTable, Pooling, TableBackend, TableDevice, pooled
from lutfarm.lut.building.build_table import build_table
from lutfarm.lut.building.manifest_as_measured import as_measured
from lutfarm.records.fingerprints import BETWEEN_SLICINGS, BETWEEN_UNITS, agree, disagreement, words
from lutfarm_agents.fingerprint import fingerprint
from lutfarm_jobs.errors import DevicesDiffer, RunsDisagree
from lutfarm_jobs.round import Slicing

NOW = fingerprint(HELLO, ORT, Slicing(), "cluster big")
PRINTS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "2", ""]))


def test_the_field_and_both_values_and_whose_they_are_are_named() -> None:
    old = {**NOW, "runtime": "onnxruntime 1.31.0"}
    (found,) = disagreement([("monday", old), ("tuesday", NOW), ("wednesday", NOW)])
    assert found.field == "runtime"
    assert found.values == {"onnxruntime 1.31.0": ("monday",), "onnxruntime 1.32.0": ("tuesday", "wednesday")}
    assert words([found]) == "runtime: 'onnxruntime 1.31.0' (monday) and 'onnxruntime 1.32.0' (tuesday, wednesday)"


@pytest.mark.parametrize("field", [*NOW, "setting"])
def test_every_field_counts(field: str) -> None:
    other = {**NOW, field: "other"}
    assert [found.field for found in disagreement([("a", NOW), ("b", other)])] == [field]
    assert not agree(NOW, other)


def test_a_field_that_one_lacks_is_a_difference() -> None:
    without = {name: value for name, value in NOW.items() if name != "setting"}
    assert str(disagreement([("a", NOW), ("b", without)])[0]) == "setting: 'cluster big' (a) and nothing (b)"


def test_some_fields_may_differ_on_purpose_and_no_others() -> None:
    other = {name: value + " other" for name, value in NOW.items()}
    found = {difference.field for difference in disagreement([("a", NOW), ("b", other)], may_differ=BETWEEN_UNITS)}
    assert found == {"machine", "governor", "runtime", "runner_sha256", "protocol", "models", "setting", "slicing"}
    assert "slicing" not in {d.field for d in disagreement([("a", NOW), ("b", other)], may_differ=BETWEEN_SLICINGS)}


@given(st.lists(PRINTS, max_size=6))
def test_all_agree_exactly_where_all_are_equal(prints: list[dict[str, str]]) -> None:
    found = disagreement([(str(position), one) for position, one in enumerate(prints)])
    assert (not found) == all(one == prints[0] for one in prints)
    for difference in found:
        assert sorted(label for labels in difference.values.values() for label in labels) == sorted(map(str, range(len(prints))))
        assert len(difference.values) > 1


def test_no_table_is_built_from_entries_of_two_runtime_versions() -> None:
    plan = [measurement("conv_a"), measurement("conv_b"), measurement("conv_b", backend=TFLITE)]
    old, new = {"os": "Linux", "runtime": "onnxruntime 1.31.0"}, {"os": "Linux", "runtime": "onnxruntime 1.32.0"}
    lite = {"os": "Linux", "runtime": "ai-edge-litert 2.3.0"}

    def build(*prints: dict[str, str]) -> LatencyTable:
        runs = [
            run(*[piece(100)] * 12, number=number, key=m.key, fingerprint=found)
            for m, found in zip(plan, prints, strict=True)
            for number in range(3)
        ]
        return build_table(plan, runs, manifest=manifest())

    with pytest.raises(RunsDisagree, match=r"runtime: 'onnxruntime 1\.31\.0' \(operator:conv_a\) and 'onnxruntime 1\.32\.0'"):
        build(old, new, lite)
    table = build(new, new, lite)  # two backends have two runtimes on purpose
    assert {tuple(found.items()) for found in table.manifest.fingerprints.values()} == {tuple(new.items()), tuple(lite.items())}
    assert {entry.fingerprint for entry in table.entries} == set(table.manifest.fingerprints)


def test_a_manifest_says_what_runs_were_made_with_whatever_the_device_says_since() -> None:
    upgraded = manifest(
        devices=(TableDevice("desk", "generic", system="Linux 9", python="3.99"),),
        backends=(TableBackend(ORT.key, "onnxruntime", versions={"desk": "onnxruntime 9", "other": "onnxruntime 8"}),),
    )
    runs = [run(*[piece(100)] * 12, fingerprint={"os": "Linux 6", "runtime": "onnxruntime 1", "governor": "powersave"})]
    found = as_measured(build_table([measurement("conv_a")], runs, manifest=upgraded))
    assert (found.devices[0].system, found.devices[0].python, found.devices[0].governor) == ("Linux 6", "3.99", "powersave")
    assert found.backends[0].versions == {"desk": "onnxruntime 1", "other": "onnxruntime 8"}


@pytest.mark.parametrize("replicate", ["all", "share"])
def test_devices_of_a_pool_may_have_other_kernels_but_no_other_runtime(replicate: str) -> None:
    def table(**changes: str) -> LatencyTable:
        prints = {"p1": dict(NOW), "p2": {**NOW, **changes}}
        entries = [
            replace(plain_entry(f"a{number}", 100.0 * 2**number, device=device), fingerprint=name)
            for number in range(6)
            for device, name in (("u1", "p1"), ("u2", "p2"))
        ]
        devices = tuple(TableDevice(device, "pi") for device in ("u1", "u2"))
        return LatencyTable.of(entries, manifest(devices=devices, fingerprints=prints))

    pooling = Pooling("pi", replicate)  # type: ignore[arg-type]
    assert any(entry.device == "pool:pi" for entry in pooled(table(os="Linux 6.2", python="3.12"), pooling).entries)
    with pytest.raises(DevicesDiffer, match=r"governor: '' \(u1\) and 'performance' \(u2\)"):
        pooled(table(governor="performance"), pooling)
