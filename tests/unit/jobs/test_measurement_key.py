"""A key and its parts."""

from __future__ import annotations

import pytest

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.measurement import Backend, Conditions, Measurement, Workload
from lutfarm_jobs.measurement_key import (
    MeasurementKey,
    bare_name,
    file_name,
    named,
    network_name,
    runtime_of,
    short_name,
    space_and_arch,
    with_path,
    workload_key,
)
from lutfarm_jobs.runtimes import RUNTIMES


def test_a_measurements_key_is_read_back_whatever_its_workload_is_called() -> None:
    workload = Workload("file", "a/net[3].onnx@0123456789ab", "01" * 32)
    conditions = Conditions(state="sustained", cluster="big", clocks="fixed")
    found = MeasurementKey.parse(Measurement(workload, "desk", Backend("onnxruntime", threads=2), conditions).key)
    assert found == MeasurementKey("latency", workload.key, "desk", "onnxruntime-cpu-t2-fp32", "b1-sustained-cluster.big-fixed")
    assert found.process == ("onnxruntime-cpu-t2", "sustained-cluster.big-fixed")
    assert found.sustained


@pytest.mark.parametrize("text", ["", "latency", "latency/desk/onnxruntime-cpu-t1/b1-steady", "a/b/c"])
def test_what_is_no_key_is_refused_with_what_one_is(text: str) -> None:
    with pytest.raises(SpecError, match="is no measurement's key: quantity/workload/unit/backend/conditions"):
        MeasurementKey.parse(text)


def test_a_canarys_place_has_the_precision_and_batch_that_lutfarm_builds() -> None:
    found = MeasurementKey.parse("latency/file:m.tflite@ab/desk/tflite-cpu-t1-int8/b8-steady")
    assert found.canary == ("tflite-cpu-t1-fp32", "b1-steady")
    assert not found.sustained


def test_a_workloads_name_is_told_only_where_it_is_of_the_kind() -> None:
    key = workload_key("network", "fbnet-224:0.1.2")
    assert named(key, "network") == "fbnet-224:0.1.2"
    assert named(key, "network:fbnet-224") == "0.1.2"
    assert named(key, "network:fbnet-22") is None
    assert named(key, "operator") is None
    assert (short_name(key), short_name("operator:conv_a")) == (key, "conv_a")


@pytest.mark.parametrize("runtime", RUNTIMES.own())
def test_a_runtime_is_read_back_from_its_backends_key(runtime: str) -> None:
    assert runtime_of(Backend(runtime, threads=4, precision="", provider="cpu").key) == runtime


def test_a_networks_name_is_read_back_whatever_its_encoding_holds() -> None:
    name = network_name("nas-bench-201-cifar10", "|nor_conv_3x3~0|+|none~0|:x")
    assert space_and_arch(name) == ("nas-bench-201-cifar10", "|nor_conv_3x3~0|+|none~0|:x")
    assert named(name, "nas-bench-201-cifar10") == "|nor_conv_3x3~0|+|none~0|:x"
    assert named(name, "nas-bench-201") is None


def test_a_files_path_stands_for_its_name_and_for_nothing_else_of_the_key() -> None:
    key = workload_key("file", file_name("a.onnx", "01" * 32) + "[x=1x3]")
    assert bare_name(key) == "a.onnx@010101010101[x=1x3]"
    assert with_path(key, "nets/a.onnx") == "file:nets/a.onnx@010101010101[x=1x3]"
    assert with_path(key, "nets/b.onnx") == key
