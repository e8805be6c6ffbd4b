"""Whether a native tool lies where a person said: asked of the device's shell, before it is registered."""

from __future__ import annotations

from collections.abc import Mapping

from lutfarm_agents.transports.interface import Transport

PATHS_S = 20.0

# A link to a folder is a folder.  A folder on the way that may not be entered looks like one that is not there.
SCRIPT = """if [ -d "$1" ]; then echo folder
elif [ ! -e "$1" ]; then echo missing
elif [ ! -f "$1" ]; then echo special
elif [ ! -x "$1" ]; then echo closed
else echo tool
fi"""

WRONG: Mapping[str, str] = {
    "folder": "is a folder there; name the binary in it",
    "missing": "is not there; push the binary first, and name where it lies on the device",
    "special": "is no file there; name the binary",
    "closed": "may not be executed there; chmod +x it",
}


def wrong_path(transport: Transport, path: str) -> str | None:
    """What is wrong with a tool's path and what to do; empty where nothing is, None where the device does not say.

    Raises LinkError.
    """
    said = transport.run(["sh", "-c", SCRIPT, "sh", path], timeout_s=PATHS_S).stdout.decode("utf-8", "replace").strip()
    return "" if said == "tool" else WRONG.get(said)
