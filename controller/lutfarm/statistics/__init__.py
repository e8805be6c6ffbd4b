"""From raw samples to estimates with honest intervals.  Pure; docs/measurement.md says why each rule is what it is."""

from lutfarm.statistics.canary import CanaryReference, canary_reference
from lutfarm.statistics.canary_epochs import Epoch, epochs, judging
from lutfarm.statistics.interval import Interval, moderated_interval, prior_spread, relative_half_width
from lutfarm.statistics.prior import Prior, priors_of
from lutfarm.statistics.process import process_estimate_ns
from lutfarm.statistics.sample import Sample, sample
from lutfarm.statistics.shared import common_share
from lutfarm.statistics.summary import Summary, Target, summarize

__all__ = [
    "CanaryReference",
    "Epoch",
    "Interval",
    "Prior",
    "Sample",
    "Summary",
    "Target",
    "canary_reference",
    "common_share",
    "epochs",
    "judging",
    "moderated_interval",
    "prior_spread",
    "priors_of",
    "process_estimate_ns",
    "relative_half_width",
    "sample",
    "summarize",
]
