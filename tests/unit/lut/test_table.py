"""What a table is, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.lut_kit import ORT, TFLITE, entry, failed, manifest, validation

from lutfarm.lut import Entry, LatencyTable, TableBackend, TableDevice, Validation
from lutfarm_jobs.errors import SpecError

ZERO = replace(entry("nothing"), kind="zero", estimate=0.0, low=0.0, high=0.0, statistic="", flags=())


def test_entries_come_back_as_they_were() -> None:
    entries = (entry("a"), ZERO, failed("c"), entry("d", 12345.678, flags=("drift", "not_precise")))
    table = LatencyTable.of(entries, manifest())
    assert table.entries == entries
    assert len(table) == 4


def test_an_empty_table_is_one() -> None:
    table = LatencyTable.of([], manifest())
    assert table.entries == ()
    assert table.places == ()
    assert "0 entries measured" in table.describe()
    assert table.content_hash != LatencyTable.of([entry("a")], manifest()).content_hash


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"estimate": float("nan")}, "estimate is no finite number"),
        ({"mean": float("inf")}, "mean is no finite number"),
        ({"estimate": -1.0, "low": -2.0}, "not above zero"),
        ({"estimate": 0.0, "low": 0.0}, "not above zero"),
        ({"low": 101.0}, "outside its interval"),
        ({"high": 99.0}, "outside its interval"),
        ({"estimate": None}, "estimate or interval is missing"),
        ({"high": None}, "estimate or interval is missing"),
        ({"statistic": ""}, "without a statistic"),
        ({"failure_code": "OutOfMemory"}, "did not fail"),
        ({"kind": "guessed"}, "its kind is none of"),
        ({"kind": "zero"}, "its estimate is not 0"),
        ({"kind": "failed", "failure_code": "OutOfMemory"}, "failed, but it has an estimate"),
        ({"kind": "failed", "estimate": None, "low": None, "high": None}, "without a failure code"),
        ({"rounds": -1}, "rounds is below zero"),
        ({"peak_memory_bytes": -5}, "peak_memory_bytes is below zero"),
        ({"confidence": 1.0}, "confidence is not between"),
        ({"confidence": 0.0}, "confidence is not between"),
        ({"quantity_unit": "ms"}, "not in ns"),
        ({"flags": ("two words",)}, "flags or run_ids"),
        ({"run_ids": ("",)}, "flags or run_ids"),
        ({"device": None}, "device is missing"),
        ({"rounds": None}, "rounds is missing"),
    ],
)
def test_an_entry_that_cant_be_true_is_refused_by_name(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        LatencyTable.of([entry("a"), replace(entry("b"), **wrong)], manifest())  # type: ignore[arg-type]
    assert "entry 2 " in str(caught.value)
    assert "operator:b" in str(caught.value)


@pytest.mark.parametrize("wrong", [{"device": "half \ud800"}, {"rounds": 2**70}, {"estimate": "12"}, {"device": 5}])
def test_a_value_that_no_column_holds_is_refused_by_field(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=f"field {next(iter(wrong))}"):
        LatencyTable.of([replace(entry("b"), **wrong)], manifest())  # type: ignore[arg-type]


def test_a_key_stands_once() -> None:
    with pytest.raises(SpecError, match=r"entry 3 .*twice"):
        LatencyTable.of([entry("a"), entry("b"), entry("a", 5.0)], manifest())


def test_equal_is_every_value_and_the_manifest() -> None:
    table = LatencyTable.of([entry("a"), entry("b")], manifest())
    same = LatencyTable.of([entry("a"), entry("b")], manifest())
    assert table == same
    assert hash(table) == hash(same)
    assert table != LatencyTable.of([entry("b"), entry("a")], manifest())
    assert table != LatencyTable.of([entry("a"), entry("b")], manifest(job_name="other"))
    assert table != LatencyTable.of([entry("a"), entry("b", 100.00000000000001)], manifest())
    assert table != "a table"


@pytest.mark.parametrize(
    "other",
    [
        [entry("a", 101.0)],
        [replace(entry("a"), flags=())],
        [replace(entry("a"), flags=("con", "verged"))],
        [replace(entry("a"), mean=0.0)],  # 0 is not the same as nothing
        [replace(entry("a"), failure_detail="")],
        [replace(entry("a"), device="des", backend="konnxruntime-cpu-t1-fp32")],
        [replace(entry("a"), run_ids=("ab",))],
        [entry("a"), entry("b")],
    ],
)
def test_the_content_hash_tells_every_difference(other: list[Entry]) -> None:
    assert LatencyTable.of(other, manifest()).content_hash != LatencyTable.of([entry("a")], manifest()).content_hash


def test_the_content_hash_is_of_the_entries_alone() -> None:
    tables = [LatencyTable.of([entry("a")], manifest(job_name=name)) for name in ("one", "two")]
    assert tables[0].content_hash == tables[1].content_hash
    assert len(tables[0].content_hash) == 64


MIXED = [
    entry("a"),
    entry("b"),
    entry("a", backend=TFLITE),
    entry("a", device="board"),
    entry("b", device="board", backend=TFLITE),
]
FACTS = manifest(
    devices=(TableDevice("desk", cpus=2), TableDevice("board", cpus=4)),
    backends=(
        TableBackend(ORT.key, "onnxruntime", versions={"desk": "onnxruntime 1.24", "board": "onnxruntime 1.23"}),
        TableBackend(TFLITE.key, "tflite", versions={"desk": "ai-edge-litert 2.1"}),
    ),
    protocol={"desk": {"passes": 12}, "board": {"passes": 6}},
    missing=("latency/operator:c/desk/onnxruntime-cpu-t1-fp32/b1-steady",),
)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"device": "desk"}, 3),
        ({"device": "board"}, 2),
        ({"backend": TFLITE.key}, 2),
        ({"device": "board", "backend": ORT.key}, 1),
        ({}, 5),
    ],
)
def test_select(wanted: dict[str, str], count: int) -> None:
    found = LatencyTable.of(MIXED, FACTS).select(**wanted)
    assert len(found) == count
    assert all(e.device == wanted.get("device", e.device) for e in found.entries)
    assert all(e.backend == wanted.get("backend", e.backend) for e in found.entries)


def test_a_part_says_of_itself_what_is_true_of_it() -> None:
    here, there = validation([1.0, 2.0], [1.1, 2.0]), validation([1.0, 2.0], [1.2, 2.0], backend=TFLITE.key)
    table = LatencyTable.of(MIXED, replace(FACTS, validations=(here, there)))
    board = table.select(device="board").manifest
    assert [device.device for device in board.devices] == ["board"]
    assert [dict(backend.versions) for backend in board.backends] == [{"board": "onnxruntime 1.23"}, {}]
    assert board.protocol == {"board": {"passes": 6}}
    assert board.validations == ()
    assert board.missing == ()
    desk = table.select(device="desk", backend=ORT.key).manifest
    assert desk.validations == (here,)
    assert desk.missing == FACTS.missing
    assert table.select().manifest == table.manifest


@pytest.mark.parametrize("wanted", [{"device": "phone"}, {"device": "desk", "backend": "tensorrt"}])
def test_selecting_what_is_not_there_lists_what_is(wanted: dict[str, str]) -> None:
    with pytest.raises(SpecError, match=wanted.get("backend", "phone")) as caught:
        LatencyTable.of(MIXED, FACTS).select(**wanted)
    for place in ("desk with onnxruntime-cpu-t1-fp32", "board with tflite-cpu-t1-fp32"):
        assert place in str(caught.value)


def test_a_table_that_was_never_validated_says_so() -> None:
    table = LatencyTable.of([entry("a"), ZERO, failed("c")], manifest())
    said = table.describe()
    assert "1 entries measured, 1 zero by structure, 1 failed on desk with onnxruntime-cpu-t1-fp32" in said
    assert "isolated" in said
    assert "never validated" in said
    assert said in repr(table)


def test_a_table_that_was_validated_says_how_well() -> None:
    found = validation([110.0, 230.0], [100.0, 200.0])
    table = LatencyTable.of([entry("a")], manifest()).with_validations([found])
    assert table.manifest.validations == (found,)
    said = table.describe()
    assert "desk with onnxruntime-cpu-t1-fp32: validated against 2 networks of tiny: MAPE 12.5 %, bias +12.5 %" in said
    assert "Kendall tau 1.00, 50 % in the prediction's interval, noise ceiling MAPE 1.0 %" in said
    flat = LatencyTable.of([entry("a")], manifest()).with_validations([validation([1.0], [1.0], ceiling=None)])
    assert "MAPE 0.0 %" in flat.describe()
    assert "tau" not in flat.describe()
    assert "ceiling" not in flat.describe()


def test_each_place_says_whether_it_was_validated() -> None:
    table = LatencyTable.of(MIXED, FACTS).with_validations([validation([1.0, 2.0], [1.1, 2.0])])
    said = table.describe()
    assert "desk with onnxruntime-cpu-t1-fp32: validated against 2 networks" in said
    for place in ("desk with tflite-cpu-t1-fp32", "board with onnxruntime-cpu-t1-fp32", "board with tflite-cpu-t1-fp32"):
        assert f"{place}: never validated against whole networks" in said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([validation([1.0], [1.0], device="phone")], "is of no device and backend"),
        ([validation([1.0], [1.0]), validation([2.0], [2.0])], "stands twice"),
    ],
)
def test_a_validation_of_another_table_is_refused(found: list[Validation], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        LatencyTable.of(MIXED, FACTS).with_validations(found)


def test_a_table_names_each_device_and_backend_that_lacks_entries_once() -> None:
    missing = [
        f"latency/operator:{name}/{device}/onnxruntime-cpu-t1-fp32/b1-steady" for name in "xy" for device in ("desk", "phone")
    ]
    told = LatencyTable.of([entry("conv_a")], manifest(missing=tuple(missing))).describe()
    assert "4 not measured yet on desk with onnxruntime-cpu-t1-fp32, phone with onnxruntime-cpu-t1-fp32; job" in told
