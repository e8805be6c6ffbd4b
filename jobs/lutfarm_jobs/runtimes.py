"""The runtimes that a job can name, a line each: see docs/extending.md for one from another package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lutfarm_jobs.registry import Registry

ModelFormat = Literal["onnx", "tflite"]
NUMPY = "numpy"  # what the runner's backends share


@dataclass(frozen=True, slots=True)
class Fusion:
    """What a runtime does to a graph: whether it merges equal nodes, lets convolutions add; which kinds apply an activation."""

    merges: bool
    sums: bool
    activates: frozenset[str]


@dataclass(frozen=True, slots=True)
class Wheels:
    """What a bundle with a runtime holds of wheels: PACKAGE:FILE of pinned ones with hashes, and which of their files not."""

    requirements: str
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Runtime:
    """What has to be known of a runtime off the device; what is done there stands in its one file, or its tool does it."""

    model_format: ModelFormat
    backend: str = ""
    """The module that the runner gets as its backend, `open_backend(threads)` in it: Python 3.9, imported there alone."""
    tool: str = ""
    """Instead of a backend: MODULE:OBJECT of the lutfarm_agents.native_tools.report.Tool that calls a binary."""
    packages: tuple[str, ...] = ()
    """The distributions of which one holds it on a device, the preferred one first; a tool has none."""
    providers: tuple[str, ...] = ("cpu",)
    """The execution providers or delegates that a job may ask for."""
    operators_in_networks: Literal["", "profiled", "solved"] = ""
    """How operators are told from networks: by its profiler, from the networks' times, or not at all."""
    fusion: Fusion | None = None
    """What it computes of a graph, where that is known."""
    wheels: Wheels | None = None
    """Of a bundle; None: none can be made."""

    def __post_init__(self) -> None:
        if bool(self.backend) == bool(self.tool):
            raise ValueError("a runtime has a backend or a tool, not both and not neither")


CONVOLUTIONS = frozenset({"convolution", "scale_shift"})  # in blocked layouts both are
_ORT_FUSION = Fusion(merges=True, sums=True, activates=CONVOLUTIONS)
_ORT_WHEELS = Wheels(
    "lutfarm.bundle:requirements-onnxruntime.txt",
    (
        "onnxruntime/backend/*",
        "onnxruntime/datasets/*",
        "onnxruntime/quantization/*",
        "onnxruntime/tools/*",
        "onnxruntime/transformers/*",
        # The Python module holds the whole runtime; this one is for programs that link it.
        "onnxruntime/capi/libonnxruntime.so*",
    ),
)
_TFLITE_WHEELS = Wheels(
    "lutfarm.bundle:requirements-tflite.txt",
    ("ai_edge_litert/aot/*", "ai_edge_litert/tools/*", "ai_edge_litert/vendors/*", "ai_edge_litert/libLiteRt*Accelerator*"),
)

RUNTIMES = Registry(
    "lutfarm.runtimes",
    "runtime",
    Runtime,
    {
        "onnxruntime": Runtime(
            "onnx",
            backend="lutfarm_runner.backends.onnxruntime",
            packages=("onnxruntime",),
            operators_in_networks="profiled",
            fusion=_ORT_FUSION,
            wheels=_ORT_WHEELS,
        ),
        "tflite": Runtime(
            "tflite",
            backend="lutfarm_runner.backends.tflite",
            packages=("ai-edge-litert", "tflite-runtime"),
            operators_in_networks="solved",
            fusion=Fusion(merges=False, sums=False, activates=frozenset({"convolution", "add", "average_pool", "max_pool"})),
            wheels=_TFLITE_WHEELS,
        ),
        "tflite_benchmark_model": Runtime(
            "tflite",
            tool="lutfarm_agents.native_tools.benchmark_model:TOOL",
            providers=("cpu", "xnnpack", "gpu", "nnapi", "hexagon", "coreml", "qnn", "edgetpu"),
        ),
        "onnxruntime_perf_test": Runtime(
            "onnx",
            tool="lutfarm_agents.native_tools.perf_test:TOOL",
            providers=("cpu", "xnnpack", "nnapi", "qnn", "cuda", "tensorrt", "openvino", "dml", "acl", "armnn", "coreml"),
            fusion=_ORT_FUSION,
        ),
    },
)
"""By the name that a job has for it: a module's name, since the runner's backend is called so."""


def model_format(runtime: str) -> ModelFormat:
    """What a runtime reads.  Raises SpecError for one that is not known here."""
    return RUNTIMES[runtime].model_format


def is_tool(runtime: str) -> bool:
    """Whether it is a native tool, which makes up what it runs on; one that is not known here is none."""
    found = RUNTIMES.find(runtime)
    return found is not None and bool(found.tool)


def fed_runtimes() -> tuple[str, ...]:
    """Those that the runner feeds, all but the native tools."""
    return tuple(name for name, runtime in RUNTIMES.usable() if runtime.backend)


def tools() -> tuple[str, ...]:
    """The native tools."""
    return tuple(name for name, runtime in RUNTIMES.usable() if runtime.tool)


def told_from_networks(*ways: str) -> frozenset[str]:
    """The runtimes whose operators are told from networks in one of these ways."""
    return frozenset(name for name, runtime in RUNTIMES.usable() if runtime.operators_in_networks in ways)


def packages_of(runtime: str) -> tuple[str, ...]:
    """What a device has to have installed: one of these distributions; of what has none, its own name."""
    found = RUNTIMES.find(runtime)
    return (found.packages if found else ()) or (runtime,)


def all_packages() -> tuple[str, ...]:
    """The distributions whose versions a device says."""
    fed = ((name, runtime) for name, runtime in RUNTIMES.usable() if runtime.backend)
    return tuple(dict.fromkeys([*(package for name, runtime in fed for package in runtime.packages or (name,)), NUMPY]))
