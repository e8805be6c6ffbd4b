"""Which Python starts the runner on a device that is being registered: its own, a named one, or a bundle's."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from lutfarm.bundle.inventory import shelved
from lutfarm.home import Home, find_home
from lutfarm_agents.device import Hello
from lutfarm_agents.fingerprint import runtime_version
from lutfarm_agents.provisioning.bundle_layout import ARCHES, Bundle, arch_of
from lutfarm_jobs.errors import NotReady, SpecError
from lutfarm_jobs.runtimes import RUNTIMES, packages_of

NO_PYTHON = "none"  # instead of an interpreter: nothing of ours is to run there


def choose(
    device: str, *, python: str, bundle: str, tools: bool, machine: str, pythons: Sequence[str], home: Home
) -> dict[str, str]:
    """The part of the device's address that says it: `python`, `bundle`, or nothing where native tools will do.

    `python`, `bundle`: what a person asked for.  `machine`, `pythons`: what the device says.  Raises SpecError, NotReady.
    """
    if python == NO_PYTHON:
        return _tools_alone(tools=tools, bundle=bundle)
    if python:
        return {"python": python}
    if "/" in bundle:
        return {"bundle": str(Path(bundle).expanduser().absolute())}
    if not bundle and pythons:
        return {"python": pythons[0]}
    if found := fitting(machine, home, bundle):
        return {"bundle": str(found.path)}
    if tools and not bundle:
        return {}
    seen = f"there is no bundle for {bundle} in {home.bundles}" if bundle else "there is no Python on it"
    made = _made(machine, bundle or RUNTIMES.own()[0], home)
    raise NotReady(f"{device}: {seen}; {made}, or name a native tool with --tool")


def fitting(machine: str, home: Home, runtime: str = "") -> Bundle | None:
    """The newest bundle of a home for a machine, as `uname -m` names it; of one runtime, or of any."""
    arch = arch_of(machine)
    found = [b for b in shelved(home.bundles) if arch and b.arch == arch.name and runtime in ("", b.runtime)]
    return max(found, key=lambda each: each.path.stat().st_mtime, default=None)


def lacks(hello: Hello, runtimes: Sequence[str]) -> str:
    """That its Python has none of these runtimes, in words; empty where it has one, or where there is no Python."""
    if not hello.python or any(runtime_version(hello, runtime) for runtime in runtimes):
        return ""
    wanted = ", ".join(" or ".join(packages_of(runtime)) for runtime in runtimes)
    return f"its {hello.python} has none of the runtimes of its kind ({wanted})"


def next_step(hello: Hello, runtimes: Sequence[str], home: Home, *, local: bool) -> str:
    """What brings a runtime onto a device whose Python has none."""
    install = f"pip install {packages_of(runtimes[0])[0]} there, or name another interpreter with --python"
    return install if local else f"{install}; or {_made(hello.machine, runtimes[0], home)} with --bundle {runtimes[0]}"


def _made(machine: str, runtime: str, home: Home) -> str:
    arch = arch_of(machine)
    if arch is None:
        known = ", ".join(each.machine for each in ARCHES.values())
        return f"no bundle can be made for {machine}, only for {known}: name an interpreter with --python"
    place = "" if home == find_home() else f" --home {shlex.quote(str(home.path))}"
    return f"make a bundle and register it again: lutfarm bundle build --arch {arch.name} --runtime {runtime}{place}"


def _tools_alone(*, tools: bool, bundle: str) -> dict[str, str]:
    if not tools:
        raise SpecError(f"--python {NO_PYTHON}: without Python only native tools measure; name one with --tool RUNTIME=PATH")
    if bundle:
        raise SpecError(f"--python {NO_PYTHON} and --bundle contradict each other: leave one of them out")
    return {}
