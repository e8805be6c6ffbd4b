"""Says hello to one device, outside of any job."""

from __future__ import annotations

from contextlib import closing

from lutfarm.home import Home
from lutfarm_agents.device import Device, Hello
from lutfarm_agents.factory import agent_of


def greet(device: Device, home: Home) -> Hello:
    """What the device says of itself.  Takes no lock; raises LinkError or DeviceError."""
    with closing(agent_of(device, state_dir=home.agents)) as agent:
        return agent.hello()
