"""Rows and blobs: what goes in comes out, and damage is an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store_kit import DESK, FINGERPRINT, HELLO, PLAN, SLICE, probe, run

from lutfarm.store.sql import encoding
from lutfarm_agents.transports.registry import open_transport
from lutfarm_jobs.errors import RegistrationStale, StoreError
from lutfarm_jobs.measurement import Backend, Feed, Fill, InputShape, Measurement, Workload
from lutfarm_jobs.run import NodeTime, Slice

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
    assert encoding.decode_slices(encoding.encode_slices(value)) == value


@given(st.lists(slices, min_size=1, max_size=3).map(tuple), st.data())
def test_a_damaged_blob_is_an_error_or_tells_the_truth(value: tuple[Slice, ...], data: st.DataObject) -> None:
    blob = bytearray(encoding.encode_slices(value))
    if data.draw(st.booleans()):
        del blob[data.draw(st.integers(0, len(blob) - 1)) :]
    else:
        blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert encoding.decode_slices(bytes(blob)) == value
    except StoreError as error:
        assert "damaged" in error.detail


def test_a_slice_of_blocks_keeps_how_many_iterations_each_has() -> None:
    pieces = tuple(replace(SLICE, block=count, quiet=quiet) for count in (1, 2, 152, 20_000) for quiet in (True, False))
    assert encoding.decode_slices(encoding.encode_slices(pieces)) == pieces


def test_a_blob_of_twenty_samples_is_small() -> None:
    one = Slice(0, tuple(range(100_000, 100_020)), 70_000, 70_100, True, True, 0, 0, 400_000, 400_000)
    assert len(encoding.encode_slices((one,) * 12)) < 12 * (20 + 9) * 8 / 2


def test_values_survive() -> None:
    value = run()
    text = encoding.dump(value, without=("slices", "fingerprint"))
    assert encoding.load_run(text, FINGERPRINT, (SLICE,)) == value
    profiled = replace(value, nodes=(NodeTime("t0_nchwc", "Conv", 20, 1500), NodeTime("output", "Gemm", 20, 700)))
    assert encoding.load_run(encoding.dump(profiled, without=("slices", "fingerprint")), FINGERPRINT, (SLICE,)) == profiled
    with pytest.raises(StoreError, match="stored Run is damaged"):
        encoding.load_run(text.replace('"nodes":[]', '"nodes":[{"name":3}]'), FINGERPRINT, ())
    assert encoding.load_probe(encoding.dump(probe(), without=("fingerprint",)), FINGERPRINT) == probe()
    assert encoding.load_device(encoding.dump_device(DESK)) == DESK
    assert encoding.load_hello(encoding.dump(HELLO)) == HELLO
    assert tuple(encoding.load_measurement(encoding.dump(m)) for m in PLAN) == PLAN


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"python": 3}'])
def test_damaged_text_is_an_error(text: str) -> None:
    for load in (encoding.load_device, encoding.load_hello, encoding.load_measurement):
        with pytest.raises(StoreError, match="damaged"):
            load(text)


def test_the_canary_levels_of_a_run_are_quantiles() -> None:
    levels = [Slice(0, (1,), 100 + n, 200 + n, True, True, 0, 0, 1, 1) for n in range(10)]
    assert encoding.canary_ns(levels, 0.1) == 101
    assert encoding.canary_ns(levels, 0.9) == 207
    assert encoding.canary_ns([], 0.1) is None


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
