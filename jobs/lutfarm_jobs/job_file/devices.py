"""Which devices a job wants: by name, by label, or all of a kind."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from lutfarm_jobs.job_file.fields import Count, Name, Strict

LEAST_ANCHORS = 3  # of a device that shares work: with fewer it can't be corrected


class DeviceChoice(Strict):
    """Devices by label."""

    label: dict[str, str] = Field(min_length=1)


class PoolChoice(Strict):
    """Every ready device of one profile: each measures everything, or they share the work."""

    profile: Name
    replicate: Literal["all", "share"] = "all"
    anchors: Count | None = Field(
        default=None, ge=LEAST_ANCHORS, le=1000, description="share: measured on all devices, for each backend; default 8"
    )
    max_device_spread: float | None = Field(
        default=None,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="share: devices that differ by more are not merged; default 0.10",
    )

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.replicate == "all" and (self.anchors is not None or self.max_device_spread is not None):
            raise ValueError("anchors and max_device_spread are for replicate: share; with all every device measures everything")
        return self

    @property
    def anchor_count(self) -> int:
        """How many workloads of each backend all devices measure, of those that share."""
        return 8 if self.anchors is None else self.anchors

    @property
    def allowed_spread(self) -> float:
        """The slowest over the fastest device, minus 1, that may be merged, of those that share."""
        return 0.10 if self.max_device_spread is None else self.max_device_spread


def _device_kind(value: object) -> str:
    if isinstance(value, PoolChoice) or (isinstance(value, dict) and "profile" in value and "label" not in value):
        return "profile"
    return "label" if isinstance(value, dict | DeviceChoice) else "name"


DeviceName = Annotated[
    Annotated[Name, Tag("name")] | Annotated[DeviceChoice, Tag("label")] | Annotated[PoolChoice, Tag("profile")],
    Discriminator(_device_kind),
]
