"""When a table was made, and its networks measured: a time that no calendar has is refused where it comes in."""

from __future__ import annotations

import pytest
from tests.lut_kit import manifest, validation

from lutfarm.lut.schema.validation_record import LATEST_S
from lutfarm_jobs.errors import SpecError


@pytest.mark.parametrize("time_s", [-1.0, 1.8e12, 1e17, 1e300, float("inf"), float("nan")])  # the second is in milliseconds
def test_a_time_that_can_not_be_printed_is_refused_by_its_name(time_s: float) -> None:
    with pytest.raises(SpecError, match=r"created_s is .*, no Unix time from 0 to 253402300799"):
        manifest(created_s=time_s)
    with pytest.raises(SpecError, match=r"validation of 'desk' .*: measured_s is .*, no Unix time from 0 to 253402300799"):
        validation([1e6, 2e6], [1e6, 2e6], measured_s=time_s)


@pytest.mark.parametrize("time_s", [0.0, 1.8e9, LATEST_S])
def test_every_other_time_is_kept(time_s: float) -> None:
    assert manifest(created_s=time_s).created_s == time_s
    assert validation([1e6, 2e6], [1e6, 2e6], measured_s=time_s).measured_s == time_s
