"""Command lines of native tools, and what they print in all known versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutfarm_agents.native_tools import benchmark_model, perf_test
from lutfarm_agents.native_tools.known import tool_of
from lutfarm_jobs.errors import FarmError, ProtocolMismatch, SpecError, WorkloadFailed
from lutfarm_jobs.measurement import Backend
from lutfarm_jobs.runtimes import RUNTIMES, tools

CPU = Backend("tflite_benchmark_model", threads=2)
GPU = Backend("tflite_benchmark_model", provider="gpu")
ORT = Backend("onnxruntime_perf_test", threads=4)
NNAPI = Backend("onnxruntime_perf_test", provider="nnapi")

OLD = """STARTING!
Min num runs: [50]
Loaded model /data/local/tmp/m.tflite
Initialized session in 5.579ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=1 curr=1357602

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=1249964 curr=1240143 min=1238588 max=1252566 avg=1.24027e+06 std=2565

Inference timings in us: Init: 5579, First inference: 1357602, Warmup (avg): 1.3576e+06, Inference (avg): 1.24027e+06
"""
NEW = """INFO: STARTING!
INFO: Loaded model m.tflite
INFO: count=12 first=44123 curr=40001 min=39900 max=44123 avg=40410.2 std=1180 p5=39911 median=40020 p95=43001
INFO: Running benchmark for at least 50 iterations
INFO: count=50 first=40210 curr=40120 min=39880 max=41900 avg=40180.5 std=300 p5=39900 median=40111 p95=40900
INFO: Inference timings in us: Init: 11222, First inference: 51000, Warmup (avg): 40410.2, Inference (avg): 40180.5
"""
VERBOSE = """iteration:0,time_cost:0.00125
iteration:1,time_cost:1.23e-03
iteration:2,time_cost:0.00121
Session creation time cost: 0.0123 s
"""
ROWS = "m.onnx,0.00125,123456,99,0\nm.onnx,0.00123,123456,99.5,1\nm.onnx,0.00121,123456,100,2\n"


def test_benchmark_models_command_line() -> None:
    words = benchmark_model.argv("/d/bm", "/d/a b.tflite", CPU, 50)
    assert words[0] == "/d/bm"
    assert "--graph=/d/a b.tflite" in words
    assert "--num_threads=2" in words
    assert "--num_runs=50" in words
    assert "--use_gpu=true" in benchmark_model.argv("/d/bm", "/d/m", GPU, 50)
    with pytest.raises(SpecError, match="it has cpu"):
        benchmark_model.argv("/d/bm", "/d/m", Backend("tflite_benchmark_model", provider="$(id)"), 50)


def test_perf_tests_command_line() -> None:
    words = perf_test.argv("/d/pt", "/d/m.onnx", ORT, 20)
    assert words[-1] == "/d/m.onnx"
    assert words[words.index("-e") + 1] == "cpu"
    assert words[words.index("-x") + 1] == "4"
    assert words[words.index("-r") + 1] == "20"
    with pytest.raises(SpecError, match="it has cpu"):
        perf_test.argv("/d/pt", "/d/m", Backend("onnxruntime_perf_test", provider="x"), 20)


@pytest.mark.parametrize(
    ("text", "estimate_ns", "count", "median_ns", "load_ns"),
    [
        (OLD, 1_240_270_000, 50, None, 5_579_000),
        (NEW, 40_180_500, 50, 40_111_000, 11_222_000),
        ("\x1b[32m" + NEW + "\x1b[0m", 40_180_500, 50, 40_111_000, 11_222_000),
        ("count=1 curr=1357602\n", 1_357_602_000, 1, None, None),
    ],
)
def test_benchmark_models_output(text: str, estimate_ns: int, count: int, median_ns: int | None, load_ns: int | None) -> None:
    found = benchmark_model.parse(text, CPU)
    summary = found.summary
    assert (summary.statistic, summary.estimate_ns, summary.count) == ("tool_mean", estimate_ns, count)
    assert (summary.median_ns, found.load_ns) == (median_ns, load_ns)
    assert not found.samples_ns


@pytest.mark.parametrize("text", [VERBOSE, ROWS])
def test_perf_tests_output(text: str) -> None:
    found = perf_test.parse(text, ORT)
    assert found.samples_ns == (1_250_000, 1_230_000, 1_210_000)
    assert (found.summary.statistic, found.summary.estimate_ns, found.summary.count) == ("tool_median", 1_230_000, 3)


def test_a_provider_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(WorkloadFailed, match="nnapi did not run"):
        perf_test.parse("NNAPI execution provider is not supported in this build.\n" + VERBOSE, NNAPI)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>404</html>",
        "count=50 avg=nan min=nan max=nan",
        "count=50 avg=-5 min=1 max=2",
        "count=50 avg=1e30 min=1 max=2",
        "count=50 avg=0 min=0 max=0",
        "count=50 first=1",
        "count= avg=1 min=1 max=1",
        "avg=5 min=5 max=5",
        "count=5 std=1 avg=1 min=1",
    ],
)
def test_nonsense_of_benchmark_model_is_refused(text: str) -> None:
    with pytest.raises(ProtocolMismatch):
        benchmark_model.parse(text, CPU)


@pytest.mark.parametrize(
    "text", ["", "iteration:0,time_cost:nan", "iteration:0,time_cost:-1", "iteration:0,time_cost:1e9", "time_cost:5", "a,b,c,d,e"]
)
def test_nonsense_of_perf_test_is_refused(text: str) -> None:
    with pytest.raises(ProtocolMismatch):
        perf_test.parse(text, ORT)


@pytest.mark.parametrize("runtime", sorted(tools()))
@given(text=st.text(max_size=300) | st.text(alphabet="count=avgminx0123456789.e+- \n:,", max_size=300))
def test_whatever_is_printed_it_is_a_result_or_said_to_be_none(runtime: str, text: str) -> None:
    backend = Backend(runtime)  # type: ignore[arg-type]
    try:
        found = tool_of(runtime).parse(text, backend)
    except FarmError as error:
        assert len(error.detail) < 1000
        return
    assert 0 < found.summary.estimate_ns <= 3_600 * 10**9


def test_every_provider_that_a_job_may_name_has_its_flags():
    for provider in RUNTIMES["tflite_benchmark_model"].providers:
        words = benchmark_model.argv("b", "m", Backend("tflite_benchmark_model", provider=provider), 1)
        assert words[-1] != "--warmup_min_secs=0.5"
    assert set(benchmark_model.DELEGATES) == set(RUNTIMES["tflite_benchmark_model"].providers)


def test_what_is_no_tool_is_refused_as_one():
    with pytest.raises(SpecError, match="onnxruntime is no native tool"):
        tool_of("onnxruntime")
