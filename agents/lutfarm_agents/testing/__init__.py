"""Fakes and simulated devices for whoever tests a farm or chooses a sampling plan."""

from lutfarm_agents.testing.fakes import HELLO, FakeAgent, Point, ReplayChannel, Script, ScriptedAgents, slices
from lutfarm_agents.testing.machine import Machine, SimulatedDevice, SimulatedProcess, VirtualRound, begin_round
from lutfarm_agents.testing.noise import (
    Autocorrelated,
    CanaryChange,
    ClockJumps,
    LogNormal,
    Noise,
    ProcessOffsets,
    Spikes,
    WarmUp,
    compose,
)
from lutfarm_agents.testing.simulated import SimulatedAgent, SimulatedAgents, SimulatedRunner, SimulatedTransport
from lutfarm_agents.testing.states import Contended, Drift, Neighbour, Thermal, TwoStates
from lutfarm_agents.testing.sysfs import REAL, Core, Sysfs

__all__ = [
    "HELLO",
    "REAL",
    "Autocorrelated",
    "CanaryChange",
    "ClockJumps",
    "Contended",
    "Core",
    "Drift",
    "FakeAgent",
    "LogNormal",
    "Machine",
    "Neighbour",
    "Noise",
    "Point",
    "ProcessOffsets",
    "ReplayChannel",
    "Script",
    "ScriptedAgents",
    "SimulatedAgent",
    "SimulatedAgents",
    "SimulatedDevice",
    "SimulatedProcess",
    "SimulatedRunner",
    "SimulatedTransport",
    "Spikes",
    "Sysfs",
    "Thermal",
    "TwoStates",
    "VirtualRound",
    "WarmUp",
    "begin_round",
    "compose",
    "slices",
]
