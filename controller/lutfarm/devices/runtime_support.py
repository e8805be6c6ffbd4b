"""Whether a device has what a backend needs."""

from __future__ import annotations

from lutfarm_agents.device import Device, Hello
from lutfarm_agents.fingerprint import runtime_version
from lutfarm_jobs.runtimes import NUMPY, all_packages, is_tool, packages_of


def runtime_lacking(device: Device, hello: Hello | None, runtime: str) -> str:
    """Why a runtime can't measure on a device, and what to do; empty where it can, or where nobody knows.

    `hello`: what the device said last.  A tool is there where the registration names it.
    """
    named = ", ".join(device.address.tools)
    if device.tools_only:
        return (
            ""
            if device.address.tools.get(runtime)
            else (
                f"{device.name} is registered for native tools only ({named}), so {runtime} can't measure there; "
                "leave one of them out, or register it with a Python, a bundle or that tool"
            )
        )
    if is_tool(runtime):
        return (
            ""
            if device.address.tools.get(runtime)
            else (
                f"no {runtime} is named for {device.name} (its tools: {named or 'none'}); leave one of them out, "
                f"or push the binary there and register it again with --tool {runtime}=/path/on/the/device"
            )
        )
    if hello is None or not hello.python or runtime_version(hello, runtime):
        return ""
    packages = {*all_packages()} - {NUMPY}
    has = ", ".join(f"{name} {version}" for name, version in hello.runtimes.items() if name in packages)
    wanted = " or ".join(packages_of(runtime))
    other = "" if device.address.here else f" or --bundle {runtime}"
    return (
        f"{device.name}: its {hello.python} has no {wanted} (it has {has or 'no runtime'}), so {runtime} can't measure there; "
        f"leave one of them out, register it again with --python{other}, or install it there: "
        f"lutfarm device check {device.name} then sees it"
    )
