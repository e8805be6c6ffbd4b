"""Which profile fits a device that says certain facts of itself: pure, but for reading the profiles where none are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lutfarm_jobs.errors import SpecError
from lutfarm_profiles.clusters import OTHER, core_clusters
from lutfarm_profiles.cores import lacking, seen
from lutfarm_profiles.loader import load_all
from lutfarm_profiles.profile import CoreCluster, DeviceProfile
from lutfarm_profiles.reported_facts import DeviceFacts, clean_facts, tree_compatible, tree_model

__all__ = ["DeviceFacts", "Proposal", "core_clusters", "filled", "propose"]

_ANDROID = "generic-android"
_LINUX = "generic-linux"
# No device says these of itself, so a generic profile has none of them unless a person writes them down.
_NEVER_DETECTED = ("thermal", "battery", "frequency", "power_sensor")


@dataclass(frozen=True, slots=True)
class Proposal:
    """The profile that fits, and what is known of the device whatever its kind; None and () where nothing is."""

    profile: str
    generic: bool
    """Nothing more particular than the operating system and the instruction set was recognised."""
    undetected: tuple[str, ...]
    """For a generic profile: the fields that neither the device nor the profile says, for a person to fill in."""
    vendor: str | None
    model: str | None
    soc: str | None
    os: str | None
    memory_bytes: int | None
    clusters: tuple[CoreCluster, ...]
    """Equal cores, the slowest first, then those of which nothing is known."""
    passed_over: str = ""
    """The profile that would fit, but for the cores of its measured cluster, and why; empty where there is none."""

    @property
    def unseen(self) -> tuple[int, ...]:
        """Cores of which nothing is known, while others say what they are: switched off, most likely."""
        cpus = next((cluster.cpus for cluster in self.clusters if cluster.name == OTHER), ())
        return () if isinstance(cpus, str) else tuple(cpus)


def propose(facts: DeviceFacts, profiles: Sequence[DeviceProfile] | None = None) -> Proposal:
    """The profile that fits best, a generic one where none fits; `profiles` None: all that load_all finds.

    A profile that says more properties fits better; then the one whose device tree string is the more specific in the device's
    own order; then the one that says the machine.  Facts are never trusted: what can't be true is as if it were not there.
    One whose measured cluster names cores that the device lacks is passed over: whatever this is, it is not of that kind.
    Raises SpecError naming both where two profiles fit equally well.
    """
    profiles = load_all() if profiles is None else profiles
    known = clean_facts(facts)
    like = _best(known, profiles)
    passed_over = _without_cores(known, like) if like else ""
    profile = like if like and not passed_over else _generic(known, profiles)
    generic = not profile.detect.is_particular
    proposal = Proposal(
        profile=profile.name,
        generic=generic,
        undetected=(),
        vendor=profile.vendor or _vendor(known),
        model=profile.model or _model(known),
        soc=profile.soc or _soc(known),
        os=known.os or known.properties.get("ro.build.version.release"),
        memory_bytes=known.memory_bytes,
        clusters=core_clusters(known.cores, capacities=known.capacities, kinds=known.kinds, off=known.off, machine=known.machine),
        passed_over=passed_over,
    )
    if not generic:
        return proposal
    missing = [name for name in ("vendor", "model", "soc", "os", "memory_bytes", "clusters") if not getattr(proposal, name)]
    missing += [name for name in _NEVER_DETECTED if getattr(profile, name) is None]
    if not known.machine:
        missing.insert(0, "machine")
    return replace(proposal, undetected=tuple(missing))


def filled(profile: DeviceProfile, proposal: Proposal) -> DeviceProfile:
    """A generic profile with what was detected: its maker, model and SoC, its clusters, the fastest that is known measured."""
    changes: dict[str, object] = {name: getattr(proposal, name) for name in ("vendor", "model", "soc")}
    fast = [cluster for cluster in proposal.clusters if cluster.name != OTHER]
    if fast:
        changes |= {"clusters": [cluster.model_dump() for cluster in proposal.clusters], "measured_cluster": fast[-1].name}
    return DeviceProfile.model_validate({**profile.model_dump(), **changes})


def _best(facts: DeviceFacts, profiles: Sequence[DeviceProfile]) -> DeviceProfile | None:
    scored = [(score, profile) for profile in profiles if (score := _score(facts, profile)) is not None]
    if not scored:
        return None
    highest = max(score for score, _ in scored)
    best = [profile for score, profile in scored if score == highest]
    if len(best) > 1:
        both = " and ".join(sorted(profile.name for profile in best)[:2])
        raise SpecError(
            f"the device profiles {both} fit this device equally well; choose one with --profile, "
            "or make the detect part of one more particular"
        )
    return best[0]


def _without_cores(facts: DeviceFacts, profile: DeviceProfile) -> str:
    there = [cpu for cpu, _ in facts.cores]
    return f"it looks like {profile.name}, but {seen(profile, there)}" if there and lacking(profile, there) else ""


def _score(facts: DeviceFacts, profile: DeviceProfile) -> tuple[int, int, int] | None:
    """How particular the match is, None where the profile does not fit or never says by what it is recognised."""
    wanted = profile.detect
    if not wanted.is_particular:
        return None
    if any(facts.properties.get(name) not in values for name, values in wanted.properties.items()):
        return None
    if wanted.machine and facts.machine not in wanted.machine:
        return None
    position = next((index for index, entry in enumerate(facts.device_tree) if entry in wanted.device_tree), None)
    if wanted.device_tree and position is None:
        return None
    return len(wanted.properties), 0 if position is None else len(facts.device_tree) - position, len(wanted.machine) > 0


def _generic(facts: DeviceFacts, profiles: Sequence[DeviceProfile]) -> DeviceProfile:
    by_name = {profile.name: profile for profile in profiles}
    android = facts.transport == "adb" or "ro.build.version.sdk" in facts.properties
    fitting = [p.name for p in profiles if p.name.startswith(f"{_LINUX}-") and facts.machine in p.detect.machine]
    for name in ([_ANDROID] if android else sorted(fitting)) + [_LINUX]:
        if name in by_name:
            return by_name[name]
    raise SpecError(f"no device profile fits this device, and {_LINUX!r} is missing among them; choose one with --profile")


def _vendor(facts: DeviceFacts) -> str | None:
    compatible = tree_compatible(facts.device_tree)
    return facts.properties.get("ro.product.manufacturer") or (compatible[0].split(",", 1)[0] if compatible else None)


def _model(facts: DeviceFacts) -> str | None:
    return facts.properties.get("ro.product.model") or tree_model(facts.device_tree)


def _soc(facts: DeviceFacts) -> str | None:
    soc_name = " ".join(filter(None, (facts.properties.get(f"ro.soc.{part}") for part in ("manufacturer", "model"))))
    compatible = tree_compatible(facts.device_tree)
    return soc_name[:200] or facts.properties.get("ro.board.platform") or (compatible[-1] if compatible else None)
