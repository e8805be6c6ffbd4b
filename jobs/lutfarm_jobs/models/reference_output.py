"""What a generated model must put out: a sample of the reference output, for the probe to compare with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from lutfarm_jobs.graphs.evaluate import Floats, evaluate, input_values
from lutfarm_jobs.graphs.graph import Graph
from lutfarm_jobs.graphs.weights import draw
from lutfarm_jobs.measurement import Workload
from lutfarm_jobs.models.build_model import graph_digest, graph_of
from lutfarm_jobs.models.files import cached
from lutfarm_jobs.round import Expected
from lutfarm_jobs.runtimes import ModelFormat

if TYPE_CHECKING:  # spaces are made of this package's graphs
    from lutfarm_jobs.spaces.base import Space

MOST_POSITIONS = 1024


def expected(
    workload: Workload, fmt: ModelFormat, cache_dir: Path, *, input_seed: int = 0, spaces: Mapping[str, Space] | None = None
) -> Expected | None:
    """The reference output of an operator or network at up to 1,024 positions, from the cache if it is there.

    None for model files: nobody knows what they should put out.
    """
    if workload.kind == "file":
        return None
    return expected_of_graph(graph_of(workload, spaces=spaces), fmt, cache_dir, input_seed=input_seed)


def expected_of_graph(graph: Graph, fmt: ModelFormat, cache_dir: Path, *, input_seed: int = 0) -> Expected:
    """The same for a graph."""
    path = cache_dir / "expected" / f"{graph_digest(graph, fmt)}-{input_seed}.json"
    reference = _load(path)
    if reference is None:
        drawn = draw(graph)
        values = input_values(graph.input_shape, seed=input_seed)
        output = drawn.output if input_seed == 0 else evaluate(graph, values, drawn.weights)[-1]
        reference = sample(output, fmt)
        with cached(path) as file:
            file.write(_dump(reference))
    return reference


def sample(output: Floats, fmt: ModelFormat) -> Expected:
    """Values at seeded positions of an NCHW output, counted in the layout that the format has."""
    laid_out = output.transpose(0, 2, 3, 1) if fmt == "tflite" else output
    flat = laid_out.reshape(-1)
    order = np.random.RandomState(0).permutation(flat.size)
    positions = np.sort(order[:MOST_POSITIONS])
    return Expected(
        positions=tuple(int(position) for position in positions),
        values=tuple(float(value) for value in flat[positions]),
        largest=float(np.abs(flat).max()),
    )


def _dump(value: Expected) -> bytes:
    """One line of JSON behind its own SHA-256."""
    content = json.dumps([value.positions, value.values, value.largest]).encode()
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def _load(path: Path) -> Expected | None:
    """What `_dump` wrote; None where there is no such file, or it is damaged."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    positions, values, largest = cast(tuple[list[int], list[float], float], json.loads(content))
    return Expected(tuple(positions), tuple(values), largest)
