"""Whether a device has the cores that its profile's clusters name.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from lutfarm_jobs.errors import RegistrationStale, SpecError
from lutfarm_profiles.profile import DeviceProfile

WAY_OUT = "register it again with --profile {generic}, or with a profile of its own (docs/profiles.md)"


def lacking(profile: DeviceProfile, there: Sequence[int], *, cluster: str | None = None) -> tuple[int, ...]:
    """The cores of a cluster, by default the measured one, that are not among those `there`."""
    wanted = cluster or profile.measured_cluster
    cpus = next((each.cpus for each in profile.clusters if each.name == wanted), "all")
    return () if isinstance(cpus, str) else tuple(sorted(set(cpus) - set(there)))


def seen(profile: DeviceProfile, there: Sequence[int], *, cluster: str | None = None) -> str:
    """The cluster, its cores, and the cores that the device has, in words."""
    wanted = cluster or profile.measured_cluster
    cpus = next((each.cpus for each in profile.clusters if each.name == wanted), "all")
    return f"{profile.name}'s cluster {wanted} is {_words(cpus)}, and the device has {_words(sorted(there))}"


def way_out(profile: DeviceProfile) -> str:
    """What to do where a device lacks the cores of its profile."""
    return WAY_OUT.format(generic="generic-android" if profile.transport == "adb" else "generic-linux")


def unseen(off: Sequence[int]) -> str:
    """What is not known of cores that are switched off, in words."""
    return f"{_words(off)} {'is' if len(off) == 1 else 'are'} off or say no clock: whether they are the fastest is not known"


def switch_on(off: Sequence[int]) -> str:
    """What to do about it."""
    return (
        f"switch them on (echo 1 >/sys/devices/system/cpu/cpu{off[0]}/online as root; no power saving, a charger), then check "
        "it again: what is measured until then is of the cores that are on, and says so in its fingerprint"
    )


def cores_for(
    profile: DeviceProfile, there: Sequence[int], *, threads: int, device: str, cluster: str | None = None
) -> Sequence[int]:
    """The last cores of a cluster, by default the measured one, as many as the threads.

    Raises RegistrationStale where the device has none of the cluster's cores, SpecError where it has fewer than threads.
    """
    cpus = profile.measured_cpus(there, cluster=cluster)
    if not cpus:
        raise RegistrationStale(
            f"{device}: {seen(profile, there, cluster=cluster)}: there is none to measure on; {way_out(profile)}"
        )
    if threads > len(cpus):
        raise SpecError(
            f"{device}: {threads} threads are asked for, and there are {len(cpus)} cores for them: "
            f"{seen(profile, there, cluster=cluster)}; ask for fewer threads, or for another cluster"
        )
    return cpus[-threads:]


def _words(cpus: Sequence[int] | str) -> str:
    if isinstance(cpus, str):
        return "all cores"
    if not cpus:
        return "none that it names"
    return f"{'core' if len(cpus) == 1 else 'cores'} {', '.join(map(str, cpus))}"
