"""From raw samples to estimates with honest intervals.  Pure; docs/measurement.md says why each rule is what it is."""

from lutfarm.statistics.estimates.prior import Prior, priors_of
from lutfarm.statistics.estimates.summary import Summary, Target, summarize
from lutfarm.statistics.intervals.common_shift import common_share
from lutfarm.statistics.intervals.interval import Interval, moderated_interval, prior_spread, relative_half_width
from lutfarm.statistics.samples.process import process_estimate_ns
from lutfarm.statistics.samples.sample import Sample, sample

__all__ = [
    "Interval",
    "Prior",
    "Sample",
    "Summary",
    "Target",
    "common_share",
    "moderated_interval",
    "prior_spread",
    "priors_of",
    "process_estimate_ns",
    "relative_half_width",
    "sample",
    "summarize",
]
