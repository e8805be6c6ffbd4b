"""What a demonstration has time for.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from lutfarm.execution.host_load import Load
from lutfarm.lut.verdict import LEAST_CALIBRATION
from lutfarm.validation.study import ANCHORS

OPERATORS_SHARE = 0.55  # of the time for measuring; networks take the rest
CLOSING_S = 9.0  # to end Ray, make the table and draw the report, where nothing else runs
MOST_CLOSING = 0.2  # of the whole time
PASSES = 12
NETWORK_S = 4.0  # to build, probe and measure one network in 7 processes of 12 passes each
RETRIED = 1.5  # times longer, where iterations that were disturbed are repeated
NETWORKS, CALIBRATE, FEWEST = 12, 8, 3  # to validate with, to calibrate on; with fewer there is nothing to see


@dataclass(frozen=True, slots=True)
class Clock:
    """When a demonstration that may take so long has to be where, as Unix times; `load`: what else runs here.

    `pace`: how many times longer its own rounds took than on a quiet machine; None before there are any.
    """

    began_s: float
    minutes: float
    load: Load
    pace: float | None = None

    @property
    def closing_s(self) -> float:
        """From then on nothing is measured."""
        whole_s = 60 * self.minutes
        return self.began_s + whole_s - min(MOST_CLOSING * whole_s, CLOSING_S * self.load.slowdown)

    def operators_until_s(self, now_s: float) -> float:
        """When whole networks get their turn; where there will be no time for any, operators have it all."""
        until_s = now_s + OPERATORS_SHARE * max(0.0, self.closing_s - now_s)
        return until_s if self.networks(until_s)[0] >= FEWEST else max(now_s, self.closing_s)

    def networks(self, now_s: float) -> tuple[int, int]:
        """How many there is time for: to validate with, to calibrate on.

        Fewer than five calibrate nothing, so there are five or none.
        """
        room = max(0, min(NETWORKS + CALIBRATE, int((self.closing_s - now_s) / self._network_s) - ANCHORS))
        networks = min(NETWORKS, max(FEWEST, round(room * NETWORKS / (NETWORKS + CALIBRATE))))
        calibrate = min(CALIBRATE, room - networks)
        return (networks, calibrate) if calibrate >= LEAST_CALIBRATION else (min(room, NETWORKS), 0)

    @property
    def _network_s(self) -> float:
        """By what was measured, where something was: the load average counts this demonstration's own processes too."""
        if self.pace is not None:
            return NETWORK_S * max(1.0, self.pace)
        return NETWORK_S * self.load.slowdown * (RETRIED if self.load.loaded else 1.0)

    def no_time(self, now_s: float) -> str:
        """Why there is none for whole networks, in words."""
        return (
            f"{max(0.0, self.closing_s - now_s):.0f} s are left; {FEWEST} networks and {ANCHORS} anchors take about "
            f"{(FEWEST + ANCHORS) * self._network_s:.0f} s on this machine as it is now; give --minutes more"
        )
