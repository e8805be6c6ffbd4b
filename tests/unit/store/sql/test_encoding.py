"""Rows and blobs: what goes in comes out, and damage is an error."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store_kit import DESK, FINGERPRINT, HELLO, PLAN, SLICE, probe, run

from lutfarm.store.sql import encoding
from lutfarm.store.sql.slice_blob import decode_slices, encode_slices
from lutfarm_agents.transports.registry import open_transport
from lutfarm_jobs.errors import RegistrationStale, StoreError
from lutfarm_jobs.measurement import Backend, Feed, Fill, InputShape, Measurement, Workload
from lutfarm_jobs.run import Failure, NodeTime, Slice, ToolSummary

ns = st.integers(0, 2**62)
slices = st.builds(
    Slice,
    st.integers(0, 1000),
    st.lists(ns, max_size=30).map(tuple),
    ns,
    ns,
    st.booleans(),
    st.booleans(),
    ns,
    ns,
    ns,
    ns,
    st.none() | ns,
)


@given(st.lists(slices, max_size=5).map(tuple))
def test_slices_survive(value: tuple[Slice, ...]) -> None:
    assert decode_slices(encode_slices(value)) == value


@given(st.lists(slices, min_size=1, max_size=3).map(tuple), st.data())
def test_a_damaged_blob_is_an_error_or_tells_the_truth(value: tuple[Slice, ...], data: st.DataObject) -> None:
    blob = bytearray(encode_slices(value))
    if data.draw(st.booleans()):
        del blob[data.draw(st.integers(0, len(blob) - 1)) :]
    else:
        blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert decode_slices(bytes(blob)) == value
    except StoreError as error:
        assert "damaged" in error.detail


def test_a_slice_of_blocks_keeps_how_many_iterations_each_has() -> None:
    pieces = tuple(replace(SLICE, block=count, quiet=quiet) for count in (1, 2, 152, 20_000) for quiet in (True, False))
    assert decode_slices(encode_slices(pieces)) == pieces


def test_a_blob_holds_as_many_bytes_as_its_numbers_differ_by() -> None:
    one = Slice(0, tuple(range(100_000, 100_020)), 70_000, 70_100, True, True, 0, 0, 400_000, 400_000, 0)
    head, small, canaries, times = 16 + 4 * 9, 6 * 1, 2 * 1, 4 * 4
    assert len(encode_slices((one,) * 12)) == head + 12 * (small + canaries + times + 20 * 1)
    far = replace(one, samples_ns=(100_000, 2**40))
    assert len(encode_slices((far,) * 12)) == head + 12 * (small + canaries + times + 2 * 8)


@pytest.mark.parametrize("widest", [0, 1, 255, 256, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**63 - 1])
def test_numbers_survive_at_the_edges_of_each_width(widest: int) -> None:
    for least in {0, -1, -widest} if widest < 2**63 - 1 else {0}:
        value = (replace(SLICE, samples_ns=(least, least + widest, least), waited_ns=max(0, least)),)
        assert decode_slices(encode_slices(value)) == value


@pytest.mark.parametrize("slices", [2**27 + 1, 2**32 - 1])
def test_a_blob_that_speaks_of_more_than_it_can_hold_is_not_believed(slices: int) -> None:
    counts = struct.pack("<II", slices, 0)
    body = counts + struct.pack("<qB", 0, 0) * 4
    with pytest.raises(StoreError, match="more than it can hold"):
        decode_slices(b"LFS3" + struct.pack("<I", zlib.crc32(body)) + body)


@pytest.mark.parametrize(("all_small", "samples"), [(2, 3), (-1, 3), (1, 2), (0, 0)])
def test_a_blob_whose_counts_do_not_fit_its_samples_is_damaged(all_small: int, samples: int) -> None:
    groups = struct.pack("<qBqBqBqB", all_small, 0, 7, 0, 7, 0, 7, 0)  # one slice: its block and count are all_small, too
    body = struct.pack("<II", 1, samples) + groups
    with pytest.raises(StoreError, match="contradicts itself"):
        decode_slices(b"LFS3" + struct.pack("<I", zlib.crc32(body)) + body)


def test_values_survive() -> None:
    value = run()
    told = {name: getattr(value, name) for name in (*encoding.RUN_COLUMNS, "fingerprint", "before", "after", "slices")}
    assert encoding.load_run(encoding.dump_run(value), **told) == value
    profiled = replace(value, nodes=(NodeTime("t0_nchwc", "Conv", 20, 1500), NodeTime("output", "Gemm", 20, 700)))
    assert encoding.load_run(encoding.dump_run(profiled), **told) == profiled
    failed = replace(value, failure=Failure("OutOfMemory", "7 GB"), reference_provisional=False, throttled=True)
    assert encoding.load_run(encoding.dump_run(failed), **told) == failed
    tool = replace(value, summary=ToolSummary("tool_mean", 5, 3, 4, 6, unknown_lines=("a", "b")))
    assert encoding.load_run(encoding.dump_run(tool), **told) == tool
    with pytest.raises(StoreError, match="stored Run is damaged"):
        encoding.load_run(encoding.dump_run(value).replace('"nodes":[]', '"nodes":[{"name":3}]'), **told)
    assert encoding.load_probe(encoding.dump(probe(), without=frozenset({"fingerprint"})), FINGERPRINT) == probe()
    assert encoding.load_device(encoding.dump_device(DESK)) == DESK
    assert encoding.load_hello(encoding.dump(HELLO)) == HELLO
    assert (encoding.load_environment(encoding.to_json(value.after)), encoding.load_environment(None)) == (value.after, None)
    assert tuple(encoding.load_measurement(encoding.dump(m)) for m in PLAN) == PLAN


def test_what_has_a_column_is_not_kept_twice_and_nothing_unsaid_is_kept() -> None:
    kept = json.loads(encoding.dump_run(run()))
    assert not {*encoding.RUN_COLUMNS, "fingerprint", "before", "after", "slices", "failure", "summary"} & kept.keys()
    assert json.loads(encoding.to_json(run().before)) == {
        "time_s": 1.0,
        "load_1min": 0.5,
        "busy_s": 10.0,
        "own_s": 1.0,
        "cores": 2,
        "virtual": False,
    }
    assert kept["reference_provisional"] is True  # a default that another version may change


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"python": 3}'])
def test_damaged_text_is_an_error(text: str) -> None:
    for load in (encoding.load_device, encoding.load_hello, encoding.load_measurement):
        with pytest.raises(StoreError, match="damaged"):
            load(text)


def test_the_canary_levels_of_a_run_are_quantiles() -> None:
    levels = [Slice(0, (1,), 100 + n, 200 + n, True, True, 0, 0, 1, 1) for n in range(10)]
    assert encoding.canary_ns(levels, (0.1, 0.9, 0.0)) == (101, 207, 100)
    assert encoding.canary_ns([], (0.1,)) is None


def test_what_a_measurement_says_of_its_inputs_survives() -> None:
    feeds = (
        Feed("sr", Fill("constant", (16000,)), "16000", given=True, decides=True),
        Feed("m", Fill("constant", (True,)), "true"),
        Feed("r", Fill("uniform", (0.5, 2.0)), "0.5..2"),
        Feed("x", Fill("file"), "x.npy", given=True),
    )
    workload = Workload(
        "file", "m.onnx@0", "a" * 64, (InputShape("x", (1, 0), "float32"),), feeds, values_sha256="b" * 64, computes=False
    )
    measurement = Measurement(workload, "desk", Backend("onnxruntime"))
    found = encoding.load_measurement(encoding.dump(measurement))
    assert found == measurement
    assert (found.key, found.workload.fed) == (measurement.key, measurement.workload.fed)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ('"root":"a"', "its folder 'a' is not an absolute path"),
        ('"serial":"x"', "an address has no field 'serial'"),
        ('"python":3', "its field 'python' is no text"),
    ],
)
def test_a_stored_address_that_is_none_is_kept_with_why_and_opens_nothing(stored: str, said: str) -> None:
    text = encoding.dump_device(DESK).replace('"python":"/usr/bin/python3"', stored)
    device = encoding.load_device(text)
    assert encoding.dump_device(device) == text
    with pytest.raises(RegistrationStale, match=f"desk: its stored address can't be used: {said}.*; register it again"):
        open_transport(device, Path("/nowhere"))
    with pytest.raises(StoreError, match="of the device desk has no fields"):
        encoding.load_device(encoding.dump_device(DESK).replace('{"python":"/usr/bin/python3"}', "[]"))
