"""From a workload to a model file in a cache by content, built when it is first asked for.

The cache is a folder: `index/<what is wanted>.json` says which content that is, `blobs/<sha256>.<format>`
is the content.  Both are replaced in one step and checked on every use; what is damaged is built again, and
two processes that build at once write the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.file_hash import copy, intact_size, is_sha256
from lutfarm_jobs.graphs.graph import Graph
from lutfarm_jobs.measurement import MODELS_VERSION, InputShape, Workload
from lutfarm_jobs.measurement_key import space_and_arch
from lutfarm_jobs.models.files import cached, opened, suffix_of
from lutfarm_jobs.models.inspect import inspect_file
from lutfarm_jobs.round import Artifact
from lutfarm_jobs.runtimes import ModelFormat

if TYPE_CHECKING:  # both are made of what lies in this package
    from lutfarm_jobs.feeds.resolve import ValuesFile
    from lutfarm_jobs.spaces.base import Space

"""Part of what a cached model is found by; raise it when the same graph gives other bytes."""

_SUFFIXES: Mapping[ModelFormat, Literal[".onnx", ".tflite"]] = {"onnx": ".onnx", "tflite": ".tflite"}


@dataclass(frozen=True, slots=True)
class Built:
    """A model file in the cache.

    `inputs` is empty where the model's own are static, as they are in every generated model.  `input_layout`
    says how the runner lays out what it draws as NCHW.
    """

    artifact: Artifact
    path: Path
    inputs: tuple[InputShape, ...] = ()
    input_layout: Literal["as_is", "nhwc"] = "as_is"


def build(workload: Workload, fmt: ModelFormat, cache_dir: Path, *, spaces: Mapping[str, Space] | None = None) -> Built:
    """The model of an operator, a network or an imported file.

    `spaces` holds a user's own spaces by name.  Raises SpecError for a workload that names nothing known, and
    StoreUnwritable where the cache can't be written.
    """
    if workload.kind == "file":
        return _imported(workload, fmt, cache_dir)
    return built_graph(graph_of(workload, spaces=spaces), fmt, cache_dir)


def graph_of(workload: Workload, *, spaces: Mapping[str, Space] | None = None) -> Graph:
    """The layers of an operator or a network."""
    # Operators and spaces are made of graphs, which lie in this package.
    from lutfarm_jobs import operators
    from lutfarm_jobs import spaces as known_spaces
    from lutfarm_jobs.operators import sandwich

    if workload.kind == "operator":
        return operators.graph_of(operators.parse(workload.name))
    if workload.kind == "sandwich":
        return sandwich.sandwich(operators.parse(workload.name))
    if workload.kind == "stubs":
        return sandwich.stubs(workload.name)
    name, encoding = space_and_arch(workload.name)
    space = (spaces or {}).get(name) or known_spaces.load(name)
    return space.network(space.parse(encoding))


def built_graph(graph: Graph, fmt: ModelFormat, cache_dir: Path) -> Built:
    """The model of a graph, from the cache where it is there and intact."""
    index = cache_dir / "index" / f"{graph_digest(graph, fmt)}.json"
    sha256 = _indexed(index)
    size_bytes = intact_size(_blob(cache_dir, sha256, fmt), sha256) if sha256 else None
    if sha256 is None or size_bytes is None:
        content = _written(graph, fmt)
        sha256, size_bytes = hashlib.sha256(content).hexdigest(), len(content)
        with cached(_blob(cache_dir, sha256, fmt)) as file:
            file.write(content)
        with cached(index) as file:
            file.write(json.dumps({"sha256": sha256}).encode())
    artifact = Artifact(sha256, size_bytes, _SUFFIXES[fmt])
    layout = "nhwc" if fmt == "tflite" else "as_is"
    return Built(artifact, _blob(cache_dir, sha256, fmt), input_layout=layout)


def graph_digest(graph: Graph, fmt: ModelFormat) -> str:
    """Names everything that a model's bytes depend on; 64 hexadecimal digits."""
    everything = (MODELS_VERSION, fmt, graph.name, graph.input_shape, graph.seed, graph.nodes, graph.outputs)
    return hashlib.sha256(repr(everything).encode()).hexdigest()


def import_file(path: Path, cache_dir: Path, *, sha256: str | None = None) -> Built:
    """A copy of somebody's model file in the cache.

    Raises SpecError for a file that `inspect_file` refuses, or whose content is not what `sha256` says.
    """
    suffix = suffix_of(path)
    wanted = sha256 or inspect_file(path).sha256
    target = cache_dir / "blobs" / f"{wanted}{suffix}"
    if (size_bytes := intact_size(target, wanted)) is None:
        with opened(path) as source, cached(target) as file:
            copied_sha256, size_bytes = copy(source, file)
            if copied_sha256 != wanted:
                raise SpecError(f"{path}: changed since the job was read; run the job again")
    return Built(Artifact(wanted, size_bytes, suffix), target)


def keep_values(values: ValuesFile, cache_dir: Path) -> Built:
    """The file that holds values of a model's inputs, in the cache.  Raises SpecError where they changed."""
    target = cache_dir / "blobs" / values.artifact.file_name
    if intact_size(target, values.artifact.sha256) is None:
        content = values.content()
        with cached(target) as file:
            file.write(content)
    return Built(values.artifact, target)


def canary(fmt: ModelFormat, cache_dir: Path) -> Built:
    """The fixed reference operator that shows a machine's speed: the same work in both formats."""
    return built_graph(canary_graph(), fmt, cache_dir)


def canary_graph() -> Graph:
    """A 3x3 convolution, 32 to 32 channels on 20x20, with relu: 3.7 million multiply-accumulates, 140 kB.

    That takes 72 us in both runtimes on a 2020s server core: long against a timer pair, short against a
    slice, bound by arithmetic, and too large for the first-level cache.
    """
    graph = Graph("canary", (1, 32, 20, 20))
    return graph.finish(graph.convolution(graph.input, 32, kernel=3, activation="relu"))


def _written(graph: Graph, fmt: ModelFormat) -> bytes:
    # The writers import onnx (0.5 s) and the schema; a command that builds nothing must not wait for them.
    if fmt == "onnx":
        from lutfarm_jobs.models.onnx.writer import write_onnx

        return write_onnx(graph)
    from lutfarm_jobs.models.tflite.writer import write_tflite

    return write_tflite(graph)


def _imported(workload: Workload, fmt: ModelFormat, cache_dir: Path) -> Built:
    path = _blob(cache_dir, workload.sha256, fmt)
    if (size_bytes := intact_size(path, workload.sha256)) is None:
        raise SpecError(f"{workload.name}: its copy in {cache_dir} is gone or damaged; run its job again")
    return Built(Artifact(workload.sha256, size_bytes, _SUFFIXES[fmt]), path, inputs=workload.inputs)


def _blob(cache_dir: Path, sha256: str, fmt: ModelFormat) -> Path:
    return cache_dir / "blobs" / f"{sha256}{_SUFFIXES[fmt]}"


def _indexed(path: Path) -> str | None:
    """The SHA-256 that an index file says; None where there is none, or it is damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    sha256 = cast(Mapping[str, object], content).get("sha256") if isinstance(content, dict) else None
    return sha256 if isinstance(sha256, str) and is_sha256(sha256) else None
