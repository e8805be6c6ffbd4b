"""Runs, entries and a tiny space for the tests of statistics and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lutfarm.lut import Entry, Manifest, Network, Validation, compare
from lutfarm.lut.schema.figures import share
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.graphs.graph import Graph, Tensor
from lutfarm_jobs.measurement import Backend, Measurement, Workload
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.run import Environment, Failure, Run, Slice
from lutfarm_jobs.spaces.base import Choice, Layer

UNIT = "desk"
ORT = Backend("onnxruntime")
TFLITE = Backend("tflite")
REFERENCE_NS = 1000


def measurement(name: str = "conv_a", *, device: str = UNIT, backend: Backend = ORT) -> Measurement:
    return Measurement(Workload("operator", name), device, backend)


def piece(
    *samples_ns: int,
    quiet: bool = True,
    gated: bool = True,
    canary_ns: int = REFERENCE_NS,
    switches: int = 0,
    cpu_ns: int | None = None,
) -> Slice:
    wall_ns = sum(samples_ns)
    cpu_ns = wall_ns if cpu_ns is None else cpu_ns
    return Slice(0, samples_ns, canary_ns, canary_ns, quiet, gated, switches, 0, wall_ns, cpu_ns)


def run(
    *slices: Slice,
    number: int = 0,
    key: str | None = None,
    status: str = "complete",
    started_s: float | None = None,
    reference_ns: int | None = REFERENCE_NS,
    provisional: bool = False,
    rejected: int = 0,
    fingerprint: Mapping[str, str] | None = None,
    frequencies_khz: tuple[int | None, int | None] = (None, None),
    temperatures_c: tuple[float | None, float | None] = (None, None),
    failure: Failure | None = None,
    load_ns: int | None = None,
    first_inference_ns: int | None = None,
    peak_memory_bytes: int | None = None,
) -> Run:
    start = 1000.0 + 10 * number if started_s is None else started_s
    moments = [
        Environment(start, frequency_khz=khz, temperature_c=celsius)
        for khz, celsius in zip(frequencies_khz, temperatures_c, strict=True)
    ]
    return Run(
        id=f"{number:032x}",
        key=key or measurement().key,
        device=UNIT,
        round_id=f"round{number}",
        round_index=number,
        status="failed" if failure else status,  # type: ignore[arg-type]
        started_s=start,
        ended_s=start + 5,
        fingerprint=fingerprint or {"os": "Linux 6.1"},
        slices=tuple(replace(one, pass_index=at) for at, one in enumerate(slices)),  # a visit each
        failure=failure,
        load_ns=load_ns,
        first_inference_ns=first_inference_ns,
        peak_memory_bytes=peak_memory_bytes,
        canary_reference_ns=reference_ns,
        reference_provisional=provisional,
        slices_rejected=rejected,
        before=moments[0],
        after=moments[1],
    )


def entry(
    name: str,
    estimate_ns: float = 100.0,
    *,
    half: float = 0.02,
    device: str = UNIT,
    backend: Backend = ORT,
    common_share: float | None = 0.0,
    statistic: str = "p25_quiet",
    flags: tuple[str, ...] = ("converged",),
) -> Entry:
    of = measurement(name, device=device, backend=backend)
    return Entry(
        key=of.key,
        workload=of.workload.key,
        device=device,
        backend=backend.key,
        kind="measured",
        statistic=statistic,
        estimate=estimate_ns,
        low=estimate_ns * (1 - half),
        high=estimate_ns * (1 + half),
        scope="sitting",
        rounds=5,
        common_share=common_share,
        flags=flags,
    )


def failed(name: str, code: str = "OutOfMemory", detail: str = "asked for 40 GB") -> Entry:
    of = measurement(name)
    return Entry(
        key=of.key,
        workload=of.workload.key,
        device=UNIT,
        backend=ORT.key,
        kind="failed",
        failure_code=code,
        failure_detail=detail,
    )


def manifest(**changes: Any) -> Manifest:
    return replace(Manifest("j-0123456789", "j", 1.8e9, "0.1.0"), **changes)


def validation(predicted_ns: Sequence[float], measured_ns: Sequence[float], **changes: Any) -> Validation:
    """Of networks that go by their numbers; all intervals 10 % either way."""
    networks = tuple(
        Network(str(at), "validation", guess, guess * 0.9, guess * 1.1, true, true * 0.9, true * 1.1)
        for at, (guess, true) in enumerate(zip(predicted_ns, measured_ns, strict=True))
    )
    fields: dict[str, Any] = {
        "device": UNIT,
        "backend": ORT.key,
        "space": "tiny",
        "figures": compare(predicted_ns, measured_ns),
        "coverage": share([network.covered for network in networks]),
        "confidence": 0.95,
        "ceiling": compare(measured_ns, [ns * 1.01 for ns in measured_ns]),
        "calibrated": None,
        "anchor_shift": None,
        "networks": networks,
        "study_id": "j-networks-0-0123456789",
        "seed": 0,
        "measured_s": 1.8e9,
        "scope": "sitting",
    }
    return Validation(**fields | changes)


@dataclass(frozen=True)
class Op:
    """An operator that has nothing but a name."""

    key: str
    is_nothing: bool = False
    input_shape: tuple[int, int, int, int] = (1, 1, 1, 1)
    multiply_accumulates: int = 1

    def append(self, graph: Graph, source: Tensor) -> Tensor:
        raise NotImplementedError


A, B, C, D = (Op(name) for name in "ABCD")
NOTHING = Op("nothing", is_nothing=True)


@dataclass(eq=False)
class TinySpace:
    """Layers of choices by their operators; `twist` operators come on top where all choices are 0."""

    choices: Sequence[Sequence[Mapping[Operator, int]]] = (({A: 1}, {B: 1}), ({A: 1}, {B: 2, C: 1}, {NOTHING: 1}))
    always: Mapping[Operator, int] = field(default_factory=lambda: {D: 1})
    twist: Mapping[Operator, int] = field(default_factory=dict)
    name: str = "tiny"
    composed: int = 0

    @property
    def additive(self) -> bool:
        return not self.twist

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(
            Layer(f"layer{at}", tuple(Choice(f"c{n}", tuple(parts.items())) for n, parts in enumerate(choices)))
            for at, choices in enumerate(self.choices)
        )

    @property
    def fixed(self) -> tuple[tuple[Operator, int], ...]:
        return tuple(self.always.items())

    def under(self, runtime: str) -> TinySpace:
        return self

    def extras(self) -> tuple[Operator, ...]:
        return ()

    def composition(self, arch: Sequence[int]) -> Mapping[Operator, int]:
        self.composed += 1
        if len(arch) != len(self.choices):
            raise SpecError(f"tiny: {len(self.choices)} layers, not {len(arch)}")
        found: Counter[Operator] = Counter(dict(self.always))
        for choices, index in zip(self.choices, arch, strict=True):
            found.update(dict(choices[index]))
        if not any(arch):
            found.update(dict(self.twist))
        return found
