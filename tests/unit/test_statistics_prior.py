"""What entries know of each other's spread, and whether the interval that follows covers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.lut_kit import make_run

from lutfarm.statistics import Prior, Sample, moderated_interval, priors_of, sample
from lutfarm.statistics.interval import DEFAULT_SPREAD, PRIOR_DF
