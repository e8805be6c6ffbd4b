"""What a measurement still wants, and units that come back to work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.schedule_kit import A, B, begin, changed

from lutfarm.scheduling.job_progress import MeasurementProgress
from lutfarm.scheduling.state import tried_again


@pytest.mark.parametrize(
    ("complete", "truncated", "wants"),
    [
        (0, 0, True),
        (2, 5, True),  # 3 rounds may be tried 8 times
        (2, 6, False),
        (0, 8, False),
        (3, 0, False),
    ],
)
def test_what_broke_off_is_tried_again_but_not_for_ever(complete: int, truncated: int, wants: bool) -> None:
    progress = MeasurementProgress(complete=complete, truncated=truncated)
    assert begin([A], {"desk"}, rounds=3, progress_of={A.key: progress}).wants(A.key) is wants


def test_a_device_that_is_given_back_is_as_if_it_had_not_been_taken_out() -> None:
    state = begin([A, B], {"desk"}, rounds=3)
    out = replace(state.units["desk"], out="maintenance", quarantined="its fan is loose")
    again = tried_again(changed(state, units={"desk": out}).farm, ["desk"])
    assert again == state.farm
