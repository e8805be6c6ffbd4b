"""What every test has in common."""

from __future__ import annotations

import os

from hypothesis import settings

# An example that takes longer on a busy machine is no failure: timings are benchmarks, not tests.  Where CI is set the
# examples are the same in every run, so that a change is judged by itself.
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("untimed")
