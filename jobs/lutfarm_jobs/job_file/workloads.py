"""What a job measures: operators of a space, networks, operators by key, model files."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from lutfarm_jobs.feeds.choices import ValueChoice
from lutfarm_jobs.job_file.fields import Count, Dimension, RuntimeName, Strict

Composition = Literal["isolated", "sandwiched", "in_network"]
BALANCED_NETWORKS = 40  # measured for a table built in networks, unless the job says how many


class _Workload(Strict):
    runtimes: tuple[RuntimeName, ...] | None = Field(
        default=None, min_length=1, description="only on these runtimes; all of the job's if left out"
    )


class SpaceWorkload(_Workload):
    """The operators of a search space, some of them, or whole networks drawn from it."""

    space: str = Field(description="a known space's name, or the path of a space file")
    operators: Literal["all", "none"] = "all"
    composition: Composition = Field(
        default="isolated",
        description="sandwiched: between two 1x1 convolutions, less what those cost; in_network: inside random networks",
    )
    every: Count = Field(default=1, ge=1, le=10_000, description="take each n-th operator, for a selection")
    networks: Count = Field(default=0, ge=0, le=10_000, description="how many random networks to measure whole")
    seed: Count = Field(default=0, ge=0, le=2**32 - 1)
    archs: tuple[Annotated[str, Field(max_length=10_000)], ...] = Field(
        default=(), max_length=10_000, description="these networks, whole, in the space's own encoding"
    )
    definition: dict[str, Any] | None = Field(
        default=None, description="set by lutfarm: what the space file said, so that the job outlives it"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.operators == "none" and self.networks == 0 and not self.archs:
            raise ValueError("asks for nothing: set operators: all, networks: to more than 0, or name archs:")
        return self


class OperatorsWorkload(_Workload):
    """Operators by their canonical keys."""

    operators: tuple[str, ...] = Field(min_length=1, max_length=100_000)


class ModelsWorkload(_Workload):
    """Model files by path or glob, .onnx or .tflite, relative to the job file."""

    models: tuple[str, ...] = Field(min_length=1, max_length=10_000)
    inputs: dict[str, tuple[Dimension, ...]] = Field(default_factory=dict, description="shapes of dynamic inputs, by input name")
    values: dict[str, ValueChoice] = Field(
        default_factory=dict, description="what inputs hold, by input name: numbers, lists, words, ranges or files"
    )
    test_data: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="ONNX's own test data for all inputs: a folder, relative to each model file's",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.values and self.test_data is not None:
            raise ValueError("values and test_data both say what the inputs hold; give one of them")
        return self


def _workload_kind(value: object) -> str | None:
    for kind, model in (("space", SpaceWorkload), ("operators", OperatorsWorkload), ("models", ModelsWorkload)):
        if isinstance(value, model):
            return kind
    if isinstance(value, dict):
        return next((kind for kind in ("space", "models", "operators") if kind in value), None)
    return None


# One kind is picked by the field that only it has, so that an error speaks of that kind alone.
WorkloadChoice = Annotated[
    Annotated[SpaceWorkload, Tag("space")]
    | Annotated[OperatorsWorkload, Tag("operators")]
    | Annotated[ModelsWorkload, Tag("models")],
    Discriminator(
        _workload_kind,
        custom_error_type="workload_kind",
        custom_error_message="a workload needs one of: space, operators, models",
    ),
]
