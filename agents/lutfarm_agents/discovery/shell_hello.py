"""The hello of a device without Python: what its shell finds in /proc and /sys.  Nothing is believed before it is checked."""

from __future__ import annotations

import hashlib
import re
import time

from lutfarm_agents.device import Hello
from lutfarm_agents.sanitize import clean
from lutfarm_agents.transports.interface import Transport
from lutfarm_agents.wire.fields import LARGEST_BYTES
from lutfarm_jobs.errors import NotReady
from lutfarm_jobs.run import Environment
from lutfarm_runner.binary import arm_floats
from lutfarm_runner.machine.environment import cpu_list
from lutfarm_runner.machine.zones import hottest as hottest_of

# $1 lutfarm's folder there  $2 a core, or empty for the last one.  One fact a line: a name, a blank, the value.
# Some shells read byte by byte, which a file below /proc/sys may not stand: it ends after the first one.
SCRIPT = r"""root=$1 core=$2
fact() { value=; IFS= read -r value 2>/dev/null <"$2"; [ -z "$value" ] || echo "$1 $value"; }
echo "machine $(uname -m)"
echo "system $(uname -s) $(uname -r)"
echo "boot $(head -n 1 /proc/sys/kernel/random/boot_id)"
echo "bits $(getconf LONG_BIT 2>/dev/null)"
echo "elf $(od -An -tx1 -N52 /proc/self/exe 2>/dev/null | tr -d ' \n')"
echo "abi $(getprop ro.product.cpu.abi 2>/dev/null)"
fact smt /sys/devices/system/cpu/smt/control
fact present /sys/devices/system/cpu/present
fact online /sys/devices/system/cpu/online
fact load /proc/loadavg
grep -E '^(MemTotal|MemAvailable):' /proc/meminfo
grep '^Cpus_allowed_list:' /proc/self/status
head -c 60000 /proc/cpuinfo | grep -E '^(model name|Hardware|Model)[[:space:]]*:' | head -n 4
fact tree /sys/firmware/devicetree/base/model
while read -r key value; do [ "$key" != Cpus_allowed_list: ] || last=${value##*[,-]}; done </proc/self/status
core=${core:-${last:-0}}
fact governor "/sys/devices/system/cpu/cpu$core/cpufreq/scaling_governor"
fact frequency "/sys/devices/system/cpu/cpu$core/cpufreq/scaling_cur_freq"
for zone in /sys/class/thermal/thermal_zone*; do
    temp= kind=
    read -r temp 2>/dev/null <"$zone/temp" && read -r kind 2>/dev/null <"$zone/type"
    [ -z "$temp" ] || echo "zone $temp $kind"
done
for supply in /sys/class/power_supply/*; do
    type= scope= capacity= status=
    read -r type 2>/dev/null <"$supply/type"
    read -r scope 2>/dev/null <"$supply/scope"
    read -r capacity 2>/dev/null <"$supply/capacity"
    read -r status 2>/dev/null <"$supply/status"
    [ "$type" != Battery ] || [ "$scope" = Device ] || echo "battery $capacity $status"
done
while [ -n "$root" ] && [ ! -e "$root" ]; do root=${root%/*}; done
df -Pk "${root:-/}" 2>/dev/null | while read -r _ _ _ free _; do echo "free $free"; done
exit 0
"""


def greet(transport: Transport, root: str, name: str) -> Hello:
    """What the device says of itself; no clock, since nothing of ours measures there.  Raises LinkError, NotReady."""
    text = _ask(transport, root, None)
    machine = _found(r"^machine ([\w.-]{1,30})$", text)
    cpus = _cpus(_found(r"^Cpus_allowed_list:\s*([\d,-]{1,2000})$", text))
    boot = _found(r"^boot ([0-9a-f-]{36})$", text)
    if not machine or not cpus:
        raise NotReady(f"{name}: its shell does not say what machine it is and which cores it has: {clean(text, 200)!r}")
    memory = _found(r"^MemTotal:\s+(\d{1,12}) kB$", text)
    bits, abi = built_for(text, machine)
    model = _found(r"^(?:model name|Hardware|Model)\s*:\s*(.{1,200})$", text) or _found(r"^tree (.{1,200})$", text) or machine
    return Hello(
        python="",
        machine=machine,
        system=clean(_found(r"^system (.{1,200})$", text), 200),
        cpu_model=clean(model, 200),
        cpus=cpus,
        memory_bytes=int(memory) * 1024 if memory else 0,
        # As the runner makes it, so that a device with a runner and one without are seen to be one machine.
        machine_id=hashlib.sha256(f"lutfarm {boot}".encode()).hexdigest()[:32] if boot else "",
        runner_sha256="",
        clock_resolution_ns=None,
        timer_pair_ns=None,
        runtimes={},
        governor=_governor(text) or "",
        environment=parse(text, time.time()),
        cpus_off=cpus_off(text),
        word_bits=bits,
        abi=abi,
    )


def built_for(text: str, machine: str) -> tuple[int, str]:
    """Word size (0: not said) and ABI of the shell's own program: where it is a 32-bit one, so are the tools beside it."""
    header = bytes.fromhex(_found(r"^elf ((?:[0-9a-f]{2}){52})$", text))
    abi = _found(r"^abi ([\w.-]{1,40})$", text)
    bits = {1: 32, 2: 64}.get(header[4], 0) if header[:4] == b"\x7fELF" else 0
    bits = bits or int(_found(r"^bits (32|64)$", text) or 0) or (64 if "64" in abi else 32 if abi else 0)
    return bits, " ".join(filter(None, (abi or machine, arm_floats(header))))


def cpus_off(text: str) -> tuple[int, ...]:
    """Cores that are there and switched off; not the siblings of a machine whose SMT is off."""
    if _found(r"^smt (\w{1,20})$", text) in ("off", "forceoff"):
        return ()
    present, online = (_cpus(_found(rf"^{name} ([\d,-]{{1,2000}})$", text)) for name in ("present", "online"))
    return tuple(sorted(set(present) - set(online))) if online else ()


def look(transport: Transport, root: str, cpu: int) -> Environment:
    """What is true on the device now.  Not while a tool runs.  Raises LinkError."""
    return parse(_ask(transport, root, cpu), time.time())


def _ask(transport: Transport, root: str, cpu: int | None) -> str:
    done = transport.run(["sh", "-c", SCRIPT, "sh", root, "" if cpu is None else str(cpu)])
    return done.stdout.decode("utf-8", "replace").replace("\0", "")


def parse(text: str, time_s: float) -> Environment:
    """From what SCRIPT prints; what does not check is None.  The time is the host's: the device's clock may be anywhen."""
    hottest = hottest_of(zones(text))
    load = _found(r"^load (\d{1,6}\.\d{1,4}) ", text)
    frequency = _found(r"^frequency (\d{1,9})$", text)
    available = _found(r"^MemAvailable:\s+(\d{1,12}) kB$", text)
    free = re.findall(r"^free (\d{1,15})$", text, re.MULTILINE)
    known = {"Charging": True, "Full": True, "Discharging": False, "Not charging": False}
    batteries = [
        (int(percent), known.get(status))
        for percent, status in re.findall(r"^battery (\d{1,3}) ([A-Za-z ]{0,30})$", text, re.MULTILINE)
        if int(percent) <= 100
    ]
    emptiest = min(batteries, key=lambda each: each[0]) if batteries else (None, None)
    return Environment(
        time_s=time_s,
        governor=_governor(text),
        frequency_khz=int(frequency) if frequency else None,
        temperature_c=hottest.celsius if hottest else None,
        temperature_zone=clean(hottest.zone, 100) if hottest else None,
        load_1min=float(load) if load else None,
        memory_available_bytes=int(available) * 1024 if available else None,
        battery_percent=emptiest[0],
        battery_charging=emptiest[1],
        free_bytes=min(int(free[-1]) * 1024, LARGEST_BYTES) if free else None,
    )


def zones(text: str) -> list[tuple[str, int]]:
    """Type and reading of each thermal zone, from lines `zone 38000 cpu-thermal`."""
    found: list[tuple[str, str]] = re.findall(r"^zone (-?\d{1,7})(?: (.{0,100}))?$", text, re.MULTILINE)
    return [(kind.strip(), int(raw)) for raw, kind in found]


def _cpus(text: str) -> tuple[int, ...]:
    return tuple(sorted(set(cpu_list(text))))


def _governor(text: str) -> str | None:
    return _found(r"^governor ([\w-]{1,40})$", text) or None


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else ""
