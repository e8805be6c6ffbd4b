"""What a calibration may say of itself: a table's file may come from anywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lutfarm.lut.schema.calibration_record import Observed, calibration_of
from lutfarm_jobs.errors import SpecError


@pytest.mark.parametrize(("field", "value"), [("log_error", -0.1), ("log_error", float("nan")), ("measured", 0.0)])
def test_a_network_that_cannot_have_been_measured_is_named_with_what_is_wrong(field: str, value: float) -> None:
    observed = [Observed((number,), {"conv_a": 1}, 1e6) for number in range(3)]
    known = calibration_of(observed, space="tiny", device="desk", backend="onnxruntime-cpu-t1-fp32")
    wrong = replace(known.networks[1], **{field: value})
    with pytest.raises(SpecError, match=rf"networks\[1\]\.{field}"):
        replace(known, networks=(known.networks[0], wrong, known.networks[2]))
