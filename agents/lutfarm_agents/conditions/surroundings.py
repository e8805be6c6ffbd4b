"""What a device measures under, in one place: how hot it is, what it takes, what its clocks do.

Set before a round, looked at before and after it, never while it samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lutfarm_agents.conditions.cpu_clocks import Clocks
from lutfarm_agents.conditions.power import Power, with_power
from lutfarm_agents.conditions.read_temperature import Climate, Reading, seen_by
from lutfarm_agents.transports.interface import Transport
from lutfarm_jobs.measurement import Conditions
from lutfarm_jobs.run import Environment
from lutfarm_profiles.profile import DeviceProfile


@dataclass(frozen=True, slots=True)
class Moment:
    """What was true at one moment, as far as the device's profile names where that can be read."""

    climate: Reading = Reading()
    power_w: float | None = None

    def beside(self, environment: Environment | None) -> Environment | None:
        """An environment that the device told of itself, with this."""
        return with_power(seen_by(environment, self.climate), self.power_w)


class Surroundings:
    """Of one device."""

    def __init__(self, transport: Transport, root: str, profile: DeviceProfile, name: str) -> None:
        self._climate = Climate(transport, profile.thermal)
        self._power = Power(transport, profile.power_sensor)
        self._clocks = Clocks(transport, root, profile, name)

    def set_for(self, conditions: Conditions, cpus: Sequence[int]) -> None:
        """As a round's conditions ask for.  Raises LinkError, NotReady."""
        if conditions.clocks == "fixed":
            self._clocks.fix(cpus)
        else:
            self._clocks.restore()

    def restore(self) -> None:
        """Put back what a round, of this session or of one that died, has set.  Raises LinkError, NotReady."""
        self._clocks.restore()

    def before(self) -> Moment:
        """Just before a round: what it takes comes last.  Raises LinkError."""
        climate = self._climate.read()
        return Moment(climate, self._power.read_w())

    def after(self) -> Moment:
        """Just after a round: what it takes comes first, as that falls at once.  Raises LinkError."""
        power_w = self._power.read_w()
        return Moment(self._climate.read(), power_w)

    def at_rest(self) -> Moment:
        """How hot it is while nothing is measured.  Raises LinkError."""
        return Moment(self._climate.read())

    def throttled(self, before: Moment, after: Moment) -> bool:
        """Whether the device slowed itself between two looks, as far as it says."""
        return self._climate.throttled(before.climate, after.climate)
