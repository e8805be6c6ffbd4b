"""From the stored runs of a job to its table."""

from __future__ import annotations

from lutfarm.lut import LatencyTable
from lutfarm.store.base import Store
from lutfarm_jobs.errors import SpecError
