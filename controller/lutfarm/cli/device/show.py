"""`lutfarm device list|show`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import Column, HomeOption, JsonOption, latency, plain, print_json, print_rows, say
from lutfarm.cli.which_farm import store_of
from lutfarm.records.device_state import DeviceRecord
from lutfarm_jobs.errors import SpecError

if TYPE_CHECKING:
    from lutfarm.canary.history import Canary

MOMENT = "%Y-%m-%d %H:%M:%S"


def list_(home: HomeOption = None, json: JsonOption = False) -> None:
    """All registered devices."""
    with exit_codes.exits(), store_of(home, to_read=True) as store:
        now_s = time.time()
        devices = [(device, store.device_record(device.name, now_s)) for device in store.devices()]
        if json:
            print_json([plain(d) | _standing(r) | {"since_s": r.since_s, "checked_s": r.checked_s} for d, r in devices])
        elif not devices:
            say("no device is registered; for this machine: lutfarm device register this-machine --local")
        else:
            print_rows(
                [
                    *("name", "state"),
                    *(Column(name, "shared") for name in ("profile", "transport", "host")),
                    *(Column(name, "prose") for name in ("labels", "reason")),
                ],
                [
                    [
                        d.name,
                        r.state,
                        d.profile,
                        d.transport,
                        d.host,
                        " ".join(f"{key}={value}" for key, value in d.labels.items()),
                        r.reason,
                    ]
                    for d, r in devices
                ],
            )


def _standing(record: DeviceRecord) -> dict[str, str]:
    return {"state": record.state, "reason": record.reason}


def show(name: str, home: HomeOption = None, json: JsonOption = False) -> None:
    """One device, what it last said of itself, and how its canary's reference came about."""
    # Statistics take half a second to import, which `device list` need not wait for.
    from lutfarm.canary.history import canaries

    with exit_codes.exits(), store_of(home, to_read=True) as store:
        device = store.device(name)
        if device is None:
            raise SpecError(f"no device is registered as {name[:80]!r}; see lutfarm device list")
        last = store.hello(name)
        standing = _standing(store.device_record(name, time.time()))
        found = canaries(store, name)
        facts = {
            "device": plain(device) | standing,
            "hello": plain(last[0]) if last else None,
            "seen_s": last[1] if last else None,
            "history": plain(store.device_history(name)),
            "heat_waits": store.heat_waits(name),
            "canaries": [_canary_facts(each) for each in found],
        }
        if json:
            print_json(facts)
            return
        rows = [*_fields(plain(device) | standing), *(_fields(plain(last[0])) if last else ())]
        rows.append(("heat_waits", str(facts["heat_waits"])))
        print_rows(["field", Column("value", "prose")], rows)
        for each in found:
            _show_canary(each)


def _fields(facts: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Each by itself, those inside another as `address.python`; what says nothing is left out."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _fields(cast(Mapping[str, Any], value), f"{within}{name}.")
        elif isinstance(value, list):
            items = cast(list[Any], value)
            if items:
                yield f"{within}{name}", ", ".join(str(item) for item in items)
        elif value is not None and value != "":
            yield f"{within}{name}", str(value)


def _canary_facts(found: Canary) -> dict[str, object]:
    """One canary as JSON's own types."""
    return {
        "backend": found.backend_key,
        "conditions": found.conditions_key,
        "last_ratio": found.last_ratio,
        "recent": plain(found.recent),
        "epochs": plain(found.epochs),
    }


def _show_canary(found: Canary) -> None:
    """Its epochs, oldest first, and where it is now."""
    print_rows(
        [
            *("since (UTC)", "reference", "rounds", "state"),
            Column("canary", "shared"),
            Column("conditions", "shared"),
            *(Column(name, "prose") for name in ("why", "what was seen")),
        ],
        [
            [
                time.strftime(MOMENT, time.gmtime(epoch.since_s)),
                latency(epoch.reference_ns),
                epoch.rounds,
                "provisional" if epoch.provisional else "established",
                found.backend_key,
                found.conditions_key,
                epoch.why,
                epoch.detail,
            ]
            for epoch in found.epochs
        ],
    )
    if found.last_ratio is not None:
        near = f"; its last {found.recent.rounds} all at {found.recent.ratio:.2f} or further" if found.recent else ""
        say(f"the last round's level is {found.last_ratio:.2f} times the reference{near}")
