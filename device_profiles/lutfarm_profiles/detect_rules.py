"""By what a kind of device is recognised."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from lutfarm_profiles.field_types import PropertyName, Strict, Text, one_or_many

Choices = Annotated[tuple[Text, ...], BeforeValidator(one_or_many), Field(min_length=1, max_length=50)]


class Detect(Strict):
    """All that is said must hold; a kind that says nothing is never recognised, only chosen by name."""

    properties: dict[PropertyName, Choices] = Field(default_factory=dict)
    """Android: the names of properties, each with the exact value or values that this kind has; all must fit."""
    device_tree: Annotated[tuple[Text, ...], BeforeValidator(one_or_many)] = ()
    """One of these must be the device tree's model or one of its compatible strings, exactly."""
    machine: Annotated[tuple[Text, ...], BeforeValidator(one_or_many)] = ()
    """What `uname -m` says: one of these."""

    @property
    def is_particular(self) -> bool:
        """Whether it says more than the instruction set, so that it names a kind and not a whole family."""
        return bool(self.properties or self.device_tree)
