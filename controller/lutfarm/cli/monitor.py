"""`lutfarm status` and `lutfarm metrics`."""

from __future__ import annotations

import errno
import re
import socket
import time
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import Column, HomeOption, JsonOption, duration, plain, print_json, print_rows, say
from lutfarm.cli.which_farm import store_of
from lutfarm.monitoring.device_status import DeviceStatus, devices_status
from lutfarm.statistics.samples.swept import GATE_RATIO
from lutfarm_jobs.errors import SpecError

LISTEN = "127.0.0.1:9464"


def status(home: HomeOption = None, json: JsonOption = False) -> None:
    """What every device is doing: its state and why, temperature, last check, what runs, time left."""
    with exit_codes.exits(), store_of(home, to_read=True) as store:
        now_s = time.time()
        found = devices_status(store, now_s)
        if json:
            print_json([plain(each) for each in found])
        elif not found:
            say("no device is registered; for this machine: lutfarm device register this-machine --local")
        else:
            print_rows(
                ["device", "state", "C", "left", "runs", "canary", "seen", "checked", "waits", Column("reason", "prose")],
                [_row(each, now_s) for each in found],
            )


def _row(each: DeviceStatus, now_s: float) -> list[object]:
    left = "" if each.seconds_left is None else duration(each.seconds_left)
    if each.rests_until_s is not None:
        left = f"{left}, rests {duration(max(0.0, each.rests_until_s - now_s))}".lstrip(", ")
    checked = "never" if each.checked_s is None else f"{_ago(each.checked_s, now_s)}, {'fit' if each.fit else 'not fit'}"
    return [
        each.device,
        each.state,
        "" if each.temperature_c is None else f"{each.temperature_c:.0f}",
        left,
        each.job_id or each.holder,
        _canary(each),
        "never" if each.seen_s is None else _ago(each.seen_s, now_s),
        checked,
        each.heat_waits or "",
        each.reason,
    ]


def _canary(each: DeviceStatus) -> str:
    """For example `1.01`, `1.40, settled`, `0.99, provisional`."""
    if each.canary_drift is None:
        return ""
    settled = each.canary_settled is not None and not 1 / GATE_RATIO <= each.canary_settled <= GATE_RATIO
    word = ", settled" if settled else ", provisional" if each.canary_provisional else ""
    return f"{each.canary_drift:.2f}{word}"


def _ago(at_s: float, now_s: float) -> str:
    return f"{duration(max(0.0, now_s - at_s))} ago"


def metrics(
    listen: Annotated[str, typer.Option(help="HOST:PORT to serve /metrics on.")] = LISTEN,
    once: Annotated[bool, typer.Option("--once", help="Print them and end.")] = False,
    home: HomeOption = None,
) -> None:
    """The farm's metrics for Prometheus, over HTTP until Ctrl-C."""
    with exit_codes.exits():
        from prometheus_client import CollectorRegistry, generate_latest, start_http_server

        from lutfarm.monitoring.prometheus import FarmCollector

        host, port = _address(listen)
    with exit_codes.exits(on_interrupt="metrics are no longer served"), store_of(home, to_read=True) as store:
        registry = CollectorRegistry()
        registry.register(FarmCollector(store))
        if once:
            typer.echo(generate_latest(registry).decode(), nl=False)
            return
        try:
            server, thread = start_http_server(port, host, registry)
        except OSError as error:
            raise SpecError(f"--listen {listen}: {_not_served(error)}") from error
        say(f"http://{listen}/metrics; Ctrl-C ends it")
        try:
            thread.join()
        finally:
            server.shutdown()
            server.server_close()


def _not_served(error: OSError) -> str:
    """What was seen and what to do."""
    said = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        return f"{said}; name this machine, or an address of it, such as {LISTEN}"
    to_do = {
        errno.EADDRINUSE: "is another lutfarm metrics running?  Name another port",
        errno.EADDRNOTAVAIL: f"this machine has no such address; name one of its own, such as {LISTEN}",
        errno.EACCES: "name a port from 1024 on",
    }
    return f"{said}; {to_do.get(error.errno or 0, f'name another address, such as {LISTEN}')}"


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not re.fullmatch(r"[A-Za-z0-9.\[\]:-]{1,255}", host) or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65_535:
        raise SpecError(f"--listen {text[:80]!r} is not HOST:PORT, such as {LISTEN}")
    return host.strip("[]"), int(port)
