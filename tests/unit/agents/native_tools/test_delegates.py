"""A number counts where the printed evidence says that the asked delegate or provider ran: outputs of many releases."""

from __future__ import annotations

import pytest

from lutfarm_agents.native_tools import benchmark_model, perf_test
from lutfarm_jobs.errors import ProtocolMismatch, WorkloadFailed
from lutfarm_jobs.measurement import Backend
from lutfarm_jobs.run import ToolSummary

COUNTS = "count=50 first=10150 curr=10080 min=10010 max=10300 avg=10100 std=60 p5=10020 median=10090 p95=10200\n"
TIMINGS = "Inference timings in us: Init: 12300, First inference: 10150, Warmup (avg): 10100, Inference (avg): 10100\n"
RESULT = "INFO: " + COUNTS + "\nINFO: " + TIMINGS


def replacing(taken: int, total: int, name: str, partitions: int = 1, of: str = "subgraph 0") -> str:
    return f"Replacing {taken} out of {total} node(s) with delegate ({name}) node, yielding {partitions} partitions for {of}.\n"


WHOLE_GRAPH = "the whole graph"
TF_2_1 = (
    """STARTING!
Min num runs: [50]
#threads used for CPU inference: [1]
External delegate path : []
Use gpu : [1]
Use xnnpack : [0]
Loaded model /data/local/tmp/mnv3_seg_float.tflite
Applied GPU delegate, and the model graph will be completely executed w/ the delegate.
The input model file size (MB): 3.79893
Initialized session in 1451.51ms.
"""
    + COUNTS
    + TIMINGS
)
TF_2_3 = (
    """STARTING!
Use gpu: [1]
Loaded model m.tflite
INFO: Initialized TensorFlow Lite runtime.
INFO: Created TensorFlow Lite delegate for GPU.
INFO: Initialized OpenCL-based API.
INFO: Created 1 GPU delegate kernels.
Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.
Initialized session in 870.1ms.
"""
    + COUNTS
    + TIMINGS
)
TF_2_6 = (
    """STARTING!
Use gpu: [1]
INFO: Created TensorFlow Lite delegate for GPU.
GPU delegate created.
INFO: Replacing 293 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions.
INFO: Initialized OpenCL-based API.
INFO: Created 1 GPU delegate kernels.
Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.
"""
    + COUNTS
    + TIMINGS
)
TF_2_9_PARTLY = (
    """INFO: STARTING!
ERROR: Following operations are not supported by GPU delegate:
ERROR: UNPACK: Operation is not supported.
ERROR: 294 operations will run on the GPU, and the remaining 31 operations will run on the CPU.
INFO: Created 2 GPU delegate kernels.
INFO: Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate w/ 2 delegate kernels.
"""
    + RESULT
)
TF_2_14_TWO = (
    """INFO: Created TensorFlow Lite delegate for GPU.
INFO: Created TensorFlow Lite delegate for NNAPI.
INFO: Going to apply 2 delegates one after another.
VERBOSE: Replacing 49 out of 49 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions for subgraph 0.
INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.
INFO: Though NNAPI delegate is explicitly applied, the model graph will not be executed by the delegate.
"""
    + RESULT
)
NNAPI_PARTLY = (
    "VERBOSE: "
    + replacing(5, 64, "TfLiteNnapiDelegate", 5, WHOLE_GRAPH)
    + "VERBOSE: "
    + replacing(59, 62, "TfLiteXNNPackDelegate", 5, WHOLE_GRAPH)
    + RESULT
)
NNAPI_NOTHING = (
    """INFO: Created TensorFlow Lite delegate for NNAPI.
INFO: Though NNAPI delegate is explicitly applied, the model graph will not be executed by the delegate.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: Replacing 64 out of 66 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 3 partitions for subgraph 0.
"""
    + RESULT
)
XNNPACK_WHOLE = (
    """INFO: XNNPACK delegate created.
INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.
"""
    + RESULT
)
XNNPACK_NOTHING = (
    """INFO: XNNPACK delegate created.
INFO: Though XNNPACK delegate is explicitly applied, the model graph will not be executed by the delegate.
"""
    + RESULT
)
XNNPACK_LAZY = (
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nVERBOSE: "
    + replacing(58, 58, "TfLiteXNNPackDelegate", 1, WHOLE_GRAPH)
    + RESULT
)
TWO_SUBGRAPHS = (
    replacing(10, 12, "TfLiteXNNPackDelegate", 3)
    + replacing(4, 4, "TfLiteXNNPackDelegate", 1, "subgraph 1")
    + replacing(12, 12, "TfLiteXNNPackDelegate")
    + RESULT
)
RESTORED = (
    """INFO: Created TensorFlow Lite delegate for GPU.
INFO: Replacing 31 out of 31 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions.
ERROR: TfLiteGpuDelegate Prepare: delegate is not initialized
ERROR: Node number 31 (TfLiteGpuDelegateV2) failed to prepare.
ERROR: Restored original execution plan after delegate application failure.
"""
    + RESULT
)
QNN = (
    """INFO: EXTERNAL delegate created.
INFO: Replacing 17 out of 21 node(s) with delegate (TfLiteQnnDelegate) node, yielding 9 partitions for subgraph 0.
INFO: Explicitly applied EXTERNAL delegate, and the model graph will be partially executed by the delegate w/ 5 delegate kernels.
"""
    + RESULT
)
EDGE_TPU = (
    """INFO: EXTERNAL delegate created.
INFO: Replacing 1 out of 1 node(s) with delegate (EdgeTpuDelegateForCustomOp) node, yielding 1 partitions.
INFO: Explicitly applied EXTERNAL delegate, and the model graph will be completely executed by the delegate.
"""
    + RESULT
)
HEXAGON = (
    """INFO: Created TensorFlow Lite delegate for Hexagon.
INFO: Hexagon delegate: 64 nodes delegated out of 66 nodes with 1 partitions.
INFO: Replacing 64 out of 66 node(s) with delegate (TfLiteHexagonDelegate) node, yielding 2 partitions.
"""
    + RESULT
)
HEXAGON_COUNTS = (
    """INFO: Hexagon delegate: 64 nodes delegated out of 66 nodes with 1 partitions.
INFO: Explicitly applied Hexagon delegate, and the model graph will be partially executed by the delegate w/ 1 delegate kernels.
"""
    + RESULT
)
COREML_COUNTS = (
    """INFO: CoreML delegate: 2 nodes delegated out of 500 nodes, with 1 partitions.
INFO: Explicitly applied COREML delegate, and the model graph will be partially executed by the delegate w/ 1 delegate kernels.
"""
    + RESULT
)
COREML = (
    """INFO: COREML delegate created.
INFO: Explicitly applied COREML delegate, and the model graph will be completely executed by the delegate.
"""
    + RESULT
)
LITERT = """INFO: [environment.cc:30] Creating LiteRT environment with options
INFO: Replacing 366 out of 366 node(s) with delegate (LITERT_CL) node, yielding 1 partitions for subgraph 0 (main).
========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:92] Signature name:       serving_default
INFO: [benchmark_litert_model.h:94] Model initialization: 744.73 ms
INFO: [benchmark_litert_model.h:96] Warmup (first):       41.04 ms
INFO: [benchmark_litert_model.h:98] Warmup (avg):         17.04 ms (1 runs)
INFO: [benchmark_litert_model.h:100] Inference (avg):      10.1 ms (50 runs)
INFO: [benchmark_litert_model.h:104] Inference (min):      10.01 ms
INFO: [benchmark_litert_model.h:106] Inference (max):      10.3 ms
INFO: [benchmark_litert_model.h:108] Inference (std):      9.92
"""


def tflite(provider: str, text: str) -> ToolSummary:
    return benchmark_model.parse(text, Backend("tflite_benchmark_model", provider=provider)).summary


def ort(provider: str, text: str) -> ToolSummary:
    return perf_test.parse(text, Backend("onnxruntime_perf_test", provider=provider)).summary


@pytest.mark.parametrize(
    ("provider", "text", "taken", "total", "partly"),
    [
        ("gpu", TF_2_1, None, None, False),
        ("gpu", TF_2_3, None, None, False),
        ("gpu", TF_2_6, 293, 293, False),
        ("gpu", TF_2_9_PARTLY, 294, 325, True),
        ("gpu", TF_2_14_TWO, 49, 49, False),
        ("gpu", LITERT, 366, 366, False),
        ("nnapi", NNAPI_PARTLY, 5, 64, True),
        ("xnnpack", XNNPACK_WHOLE, None, None, False),
        ("xnnpack", XNNPACK_LAZY, 58, 58, False),
        ("xnnpack", NNAPI_NOTHING, 64, 66, True),
        ("xnnpack", TWO_SUBGRAPHS, 16, 16, False),
        ("qnn", QNN, 17, 21, True),
        ("edgetpu", EDGE_TPU, 1, 1, False),
        ("hexagon", HEXAGON, 64, 66, True),
        ("coreml", COREML, None, None, False),
        ("hexagon", HEXAGON_COUNTS, 64, 66, True),
        ("coreml", COREML_COUNTS, 2, 500, True),
        ("cpu", RESULT, None, None, False),
        ("cpu", XNNPACK_NOTHING, None, None, False),
    ],
)
def test_a_delegate_that_ran_is_counted(provider: str, text: str, taken: int | None, total: int | None, partly: bool) -> None:
    found = tflite(provider, text)
    assert (found.nodes_delegated, found.nodes_total, found.partly_delegated) == (taken, total, partly)
    assert (found.estimate_ns, found.count, found.min_ns, found.max_ns) == (10_100_000, 50, 10_010_000, 10_300_000)


@pytest.mark.parametrize(
    ("provider", "text", "said"),
    [
        ("nnapi", NNAPI_NOTHING, "nnapi took none of the model's nodes, and tflitexnnpackdelegate took 64 of 66 nodes"),
        ("nnapi", TF_2_14_TWO, "nnapi took none"),
        ("xnnpack", XNNPACK_NOTHING, "xnnpack took none"),
        (
            "hexagon",
            "INFO: Hexagon delegate: 0 nodes delegated out of 66 nodes with 0 partitions.\n" + RESULT,
            "model's 66 nodes",
        ),
        ("cpu", COREML_COUNTS, "own kernels were asked for, and the delegate coreml took 2 of 500"),
        ("cpu", COUNTS + "ERROR: Benchmarking failed.\n", "ended with 'Benchmarking failed'"),
        ("cpu", COUNTS + "ERROR: Failed to invoke!\n", "ended with 'Failed to invoke!'"),
        ("gpu", RESTORED, "gpu took none"),
        (
            "gpu",
            "ERROR: No operations will run on the GPU, and all 31 operations will run on the CPU.\n" + RESULT,
            "the model's 31",
        ),
        ("gpu", RESULT, r"nothing .* says that the delegate gpu ran. Looked for: 'Explicitly applied GPU .*count=50 first=10150"),
        ("gpu", NNAPI_PARTLY, "says that the delegate gpu ran; tflitennapidelegate took 5 of 64 nodes; tflitexnnpack"),
        ("xnnpack", "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n" + RESULT, "Looked for.*XNNPACK delegate for CPU"),
        (
            "gpu",
            "WARN: GPU acceleration is unsupported on this platform.\n" + RESULT,
            "did not run: .*unsupported on this platform",
        ),
        ("gpu", "WARNING: unrecognized commandline flag: --use_gpu=true\n" + RESULT, "unrecognized commandline flag: --use_gpu"),
        (
            "nnapi",
            "INFO: NNAPI accelerators available: [nnapi-reference]\n" + NNAPI_PARTLY,
            "accelerator there but nnapi-reference",
        ),
        ("cpu", XNNPACK_LAZY, "own kernels were asked for, and the delegate tflitexnnpackdelegate took 58 of 58"),
        ("cpu", XNNPACK_WHOLE, "the delegate xnnpack took the whole graph"),
        ("cpu", "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n" + RESULT, "take a build"),
    ],
)
def test_a_delegate_that_did_not_run_is_a_failure(provider: str, text: str, said: str) -> None:
    with pytest.raises(WorkloadFailed, match=said):
        tflite(provider, text)


def test_an_accelerator_beside_nnapis_reference_is_one() -> None:
    text = "INFO: NNAPI accelerators available: [qti-dsp,nnapi-reference]\n" + NNAPI_PARTLY
    assert tflite("nnapi", text).nodes_delegated == 5


def test_lines_that_no_version_prints_are_shown() -> None:
    assert tflite("gpu", TF_2_1).unknown_lines == ()
    assert tflite("gpu", TF_2_6).unknown_lines == ()
    assert tflite("cpu", "05-31 10:38:42.569 22206 22206 I tflite  : Loaded model m.tflite\n" + RESULT).unknown_lines == ()
    assert tflite("gpu", TF_2_9_PARTLY).unknown_lines == (
        "Following operations are not supported by GPU delegate:",
        "UNPACK: Operation is not supported.",
        "294 operations will run on the GPU, and the remaining 31 operations will run on the CPU.",
    )
    many = tflite("cpu", "".join(f"the NPU took pity {n} {'x' * 300}\n" * 2 for n in range(20)) + RESULT).unknown_lines
    assert len(many) == 9
    assert many[-1] == "and 12 more such lines"
    assert all(len(line) <= 200 for line in many)


def test_a_count_that_both_the_delegate_and_the_runtime_print_is_counted_once() -> None:
    assert tflite("hexagon", HEXAGON).unknown_lines == ()
    assert tflite("hexagon", HEXAGON_COUNTS).unknown_lines == ()


@pytest.mark.parametrize(("old", "new"), [("min=10010", "min=20010"), ("max=10300", "max=9300")])
def test_an_average_beyond_what_it_is_the_average_of_is_no_number(old: str, new: str) -> None:
    with pytest.raises(ProtocolMismatch, match="not between"):
        tflite("cpu", RESULT.replace(old, new))


def test_a_litert_benchmark_without_its_result_is_none() -> None:
    with pytest.raises(ProtocolMismatch, match="no min, max"):
        tflite("gpu", "".join(line for line in LITERT.splitlines(keepends=True) if "(m" not in line or "main" in line))


LOG = "2026-01-01 10:00:00.000 [V:onnxruntime:, session_state.cc:1148 VerifyEachNodeIsAssignedToAnEp] "
OLD_LOG = "2020-08-09 09:37:41.559607 [V:onnxruntime:, inference_session.cc:671 TransformGraph] "
TIMES = "Session creation time cost: 0.0123 s\niteration:1,time_cost:0.0101\niteration:2,time_cost:0.0102\n"
ALL_CPU = f"{LOG}Node placements\n{LOG} All nodes placed on [CPUExecutionProvider]. Number of nodes: 66\n{TIMES}"
ALL_OLD = f"{OLD_LOG}Node placements\n{OLD_LOG}All nodes have been placed on [NnapiExecutionProvider].\n{TIMES}"
LISTED = (
    f"{OLD_LOG}Node placements\n{OLD_LOG} Provider: [CPUExecutionProvider]: [Gather (g), Reshape (a, b)]\n"
    f"{OLD_LOG} Provider: [CUDAExecutionProvider]: [Conv (c), Relu (), Conv (d)]\n{TIMES}"
)
ON = f"{LOG} Node(s) placed on"
SOME = (
    f"{LOG}Node placements\n{ON} [XnnpackExecutionProvider]. Number of nodes: 2\n{LOG}  Conv (a)\n{LOG}  Conv (b)\n"
    f"{ON} [CPUExecutionProvider]. Number of nodes: 498\n{LOG}  All nodes placed on [X] (n)\n{TIMES}"
)
COMPILED = (
    "2026-01-01 10:00:00.000 [I:onnxruntime:, qnn_execution_provider.cc:1152 GetCapability] Number of partitions supported by "
    "QNN EP: 3, number of nodes in the graph: 60, number of nodes supported by QNN: 58\n"
    f"{LOG}Node placements\n{ON} [QNNExecutionProvider]. Number of nodes: 3\n{LOG}  QNN_1 (QNNExecutionProvider_1)\n"
    f"{ON} [CPUExecutionProvider]. Number of nodes: 2\n{TIMES}"
)
PLUGIN = COMPILED.replace("supported by QNN: 58", "supported by QNN: 3")
NNAPI_OLD = (
    "number of partitions supported by NNAPI: 2 number of nodes in the graph: 66 number of nodes supported by NNAPI: 60\n"
    f"{ON} [NnapiExecutionProvider]. Number of nodes: 2\n{ON} [CPUExecutionProvider]. Number of nodes: 6\n{TIMES}"
)


@pytest.mark.parametrize(
    ("provider", "text", "taken", "total", "partly"),
    [
        ("cpu", ALL_CPU, 66, 66, False),
        ("cpu", TIMES, None, None, False),
        ("nnapi", ALL_OLD, None, None, False),
        ("cuda", LISTED, 3, 5, True),
        ("xnnpack", SOME, 2, 500, True),
        ("qnn", COMPILED, 58, 60, True),
        ("qnn", PLUGIN, 3, 5, True),
        ("nnapi", NNAPI_OLD, 60, 66, True),
        ("webgpu", ALL_CPU.replace("CPUEx", "WebGpuEx"), 66, 66, False),
    ],
)
def test_a_provider_that_ran_is_counted(provider: str, text: str, taken: int | None, total: int | None, partly: bool) -> None:
    found = ort(provider, text)
    assert (found.nodes_delegated, found.nodes_total, found.partly_delegated) == (taken, total, partly)
    assert (found.estimate_ns, found.count) == (10_150_000, 2)


@pytest.mark.parametrize(
    ("provider", "text", "said"),
    [
        ("nnapi", ALL_CPU, r"nnapi ran none of the model's nodes \(66 on cpuexecutionprovider\)"),
        ("nnapi", TIMES, r"Looked for: 'All nodes placed on \[...\]' .* Session creation time cost: 0.0123 s iteration:1"),
        ("cuda", SOME, "cuda ran none"),
        ("tensorrt", LISTED, r"tensorrt ran none of the model's nodes \(2 on cpuexecutionprovider, 3 on cudaexecutionprovider\)"),
        ("cpu", SOME, "nodes were placed on xnnpackexecutionprovider too"),
        ("cpu", ALL_OLD, r"cpu ran none .*\(all on nnapiexecutionprovider\)"),
        ("xnnpack", f"{LOG} Node(s) placed on [XnnpackExecutionProvider]. Number of nodes: 0\n{TIMES}", "xnnpack ran none"),
    ],
)
def test_a_provider_that_did_not_run_is_a_failure(provider: str, text: str, said: str) -> None:
    with pytest.raises(WorkloadFailed, match=said):
        ort(provider, text)


def test_the_last_session_counts() -> None:
    assert ort("cpu", SOME + ALL_CPU).nodes_delegated == 66


def test_warnings_and_errors_of_onnxruntime_are_shown() -> None:
    assert ort("cpu", ALL_CPU).unknown_lines == ()
    warning = "2026-01-01 10:00:00.000 [W:onnxruntime:, session_state.cc:1359 Verify] Some nodes were not assigned"
    assert ort("cpu", warning + "\n" + ALL_CPU).unknown_lines == (warning,)
