"""Takes devices out of work and gives them back, labels and forgets them, as a person says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from lutfarm.devices.registry import registered
from lutfarm.records.device_state import DeviceEvent, DeviceRecord
from lutfarm.store.interface import DeviceStore
from lutfarm_agents import process_identity
from lutfarm_jobs.errors import SpecError


def hold(store: DeviceStore, name: str, reason: str, now_s: float) -> DeviceRecord:
    """For maintenance: a job ends its present order there and leaves it alone until it is released.

    `reason` is shown to everybody who asks for the device.  Raises SpecError for a device that is not registered or whose
    state does not allow it; so do the others.
    """
    return _step(store, name, DeviceEvent("held", reason), now_s)


def release(store: DeviceStore, name: str, now_s: float) -> DeviceRecord:
    """Back to work from maintenance or quarantine, unchecked."""
    return _step(store, name, DeviceEvent("released"), now_s)


def retire(store: DeviceStore, name: str, now_s: float) -> DeviceRecord:
    """Out for good; its results stay.  Only registering it again brings it back."""
    return _step(store, name, DeviceEvent("retired", f"by {process_identity.user()}"), now_s)


def label(store: DeviceStore, name: str, labels: Mapping[str, str], *, without: Collection[str] = ()) -> Mapping[str, str]:
    """Give a device these labels beside those it has, and take away others; those that it has then.

    Jobs choose by them whenever they are read.  Raises NotFound for one that is not registered, and SpecError for a label to
    take away that it has not.
    """
    (device,) = registered(store, [name])
    if unknown := sorted(set(without) - device.labels.keys()):
        raise SpecError(f"{name} has no label {unknown[0][:80]!r}; it has {', '.join(sorted(device.labels)) or 'none'}")
    kept = {key: value for key, value in device.labels.items() if key not in without}
    store.put_device(replace(device, labels={**kept, **labels}))
    return {**kept, **labels}


def _step(store: DeviceStore, name: str, event: DeviceEvent, now_s: float) -> DeviceRecord:
    registered(store, [name])
    return store.step_device(name, event, now_s)
