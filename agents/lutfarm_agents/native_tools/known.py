"""Which native tool a runtime's name stands for."""

from __future__ import annotations

from lutfarm_agents.native_tools.report import Tool
from lutfarm_jobs.errors import PluginRefused, SpecError
from lutfarm_jobs.registry import referenced
from lutfarm_jobs.runtimes import RUNTIMES


def tool_of(runtime: str) -> Tool:
    """How a native tool is called and read, by the runtime's name in a job.  Raises SpecError, PluginRefused."""
    reference = RUNTIMES[runtime].tool
    if not reference:
        raise SpecError(f"{runtime} is no native tool")
    who = f"the tool {runtime}, which {RUNTIMES.source(runtime)} adds,"
    found = referenced(reference, who)
    if not isinstance(found, Tool):
        raise PluginRefused(f"{who} is a {type(found).__name__} at {reference}, not a Tool")
    return found
