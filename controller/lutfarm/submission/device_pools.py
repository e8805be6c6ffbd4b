"""Pools of equal devices: which devices a job's `profile:` stands for, and who of them measures what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lutfarm.devices.same_hardware import twins_of
from lutfarm.records.device_state import NO_WORK, DeviceRecord
from lutfarm_agents.device import Device
from lutfarm_jobs.errors import SpecError, WrongState
from lutfarm_jobs.job_file.devices import PoolChoice
from lutfarm_jobs.spec import JobSpec


def devices_of(
    choice: PoolChoice,
    registered: Mapping[str, Device],
    records: Mapping[str, DeviceRecord],
    machines: Mapping[str, str],
    *,
    where: str,
) -> dict[str, Device]:
    """The devices of a pool's profile that work may be given to, by name.

    One that is busy or cooling is waited for; the job finds out about one that is lost.  `machines`: by name, what each last
    said it is.  Raises WrongState that says in which state they are; SpecError where two are one machine, or there is none.
    """
    mine = {name: device for name, device in registered.items() if device.profile == choice.profile}
    usable = {name: device for name, device in mine.items() if records[name].state not in NO_WORK}
    for name in usable:
        if twins := twins_of(name, usable.values(), machines):
            raise SpecError(
                f"{where}: {name} and {twins[0]} are the same hardware under two names, and no two devices of {choice.profile}; "
                f"lutfarm device retire {twins[0]} takes one out"
            )
    if usable:
        return usable
    if mine:
        states = ", ".join(
            f"{name} is {records[name].state}" + (f" ({records[name].reason})" if records[name].reason else "") for name in mine
        )
        raise WrongState(
            f"{where}: no device of the profile {choice.profile} may be given work: {states}; see lutfarm device check"
        )
    known = ", ".join(sorted({device.profile for device in registered.values()})) or "none"
    raise SpecError(f"{where}: no device of the profile {choice.profile} is registered; profiles that have one: {known}")


def share_choices(spec: JobSpec) -> dict[int, PoolChoice]:
    """The pools of a job whose devices share the work, by their position in `devices`."""
    return {
        position: wanted
        for position, wanted in enumerate(spec.devices)
        if isinstance(wanted, PoolChoice) and wanted.replicate == "share"
    }


def refuse_overlap(chosen: Mapping[int, Sequence[str]], shared: Mapping[int, PoolChoice]) -> None:
    """Raises SpecError where a device that shares work is asked for elsewhere, too: it would measure everything and not."""
    for position in shared:
        for other, names in chosen.items():
            both = sorted(set(names) & set(chosen[position]))
            if other != position and both:
                raise SpecError(
                    f"devices[{position}]: {both[0]} shares the work of its pool and is asked for by devices[{other}], too; "
                    "leave one out"
                )
