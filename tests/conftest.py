"""What every test has in common."""

from __future__ import annotations

from hypothesis import settings

# An example that takes longer on a busy machine is no failure: timings are benchmarks, not tests.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
