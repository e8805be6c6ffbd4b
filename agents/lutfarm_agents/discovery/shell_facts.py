"""What a device tells of itself through its shell, before anything of ours runs there.  Believed only where it checks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lutfarm_agents.discovery.shell_hello import cpu_list
from lutfarm_agents.transports.interface import Transport
from lutfarm_jobs.errors import NotReady

FACTS_S = 20.0
TEXT_LIMIT = 200

# Each section is cut on the device, so that none can crowd out the others.
SCRIPT = r"""section() { echo; echo "==lutfarm $1"; }
section machine; uname -m
section kernel; uname -sr
section os; head -c 4000 /etc/os-release 2>/dev/null
section model; head -c 400 /proc/device-tree/model 2>/dev/null | tr '\000' '\n'
section compatible; head -c 2000 /proc/device-tree/compatible 2>/dev/null | tr '\000' '\n'
section cpuinfo; head -c 60000 /proc/cpuinfo 2>/dev/null
section cores
for core in /sys/devices/system/cpu/cpu[0-9]*; do
    if [ -d "$core" ]; then
        khz= capacity= on= part=
        read -r khz 2>/dev/null <"$core/cpufreq/cpuinfo_max_freq"
        read -r capacity 2>/dev/null <"$core/cpu_capacity"
        read -r on 2>/dev/null <"$core/online"
        read -r part 2>/dev/null <"$core/regs/identification/midr_el1"
        echo "${core##*/cpu} ${khz:--} ${capacity:--} ${on:-1} ${part:--}"
    fi
done
section types
for type in core atom lowpower; do
    list=
    read -r list 2>/dev/null <"/sys/devices/cpu_$type/cpus"
    [ -z "$list" ] || echo "$type $list"
done
section memory; head -c 2000 /proc/meminfo 2>/dev/null
section home; (cd && pwd -P)
section pythons; for name in python3 python; do command -v "$name"; done
section properties; if command -v getprop >/dev/null; then getprop | head -c 100000; fi
exit 0
"""


@dataclass(frozen=True, slots=True)
class ShellFacts:
    """Checked and cut; empty or None where the device does not say."""

    machine: str = ""  # uname -m
    kernel: str = ""
    os: str = ""
    device_tree: tuple[str, ...] = ()  # model, then the compatible strings
    cpu_parts: tuple[str, ...] = ()  # for example 0x41/0xd0b, of each core
    cores: tuple[tuple[int, int | None], ...] = ()  # cpu, its highest frequency in kHz
    capacities: Mapping[int, int] = field(default_factory=dict[int, int])
    kinds: Mapping[int, str] = field(default_factory=dict[int, str])  # cpu -> core or atom, or its part
    off: tuple[int, ...] = ()  # switched off
    memory_bytes: int | None = None
    home: str = ""
    pythons: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict[str, str])


def gather(transport: Transport, name: str) -> ShellFacts:
    """Ask the device.  Raises LinkError; NotReady where its shell does not understand."""
    done = transport.run(["sh", "-c", SCRIPT], timeout_s=FACTS_S)
    facts = parse(done.stdout.decode("utf-8", "replace"))
    if not facts.machine:
        raise NotReady(f"{name}: its shell does not answer as a POSIX shell: {_clean(done.stderr or 'it said nothing')}")
    return facts


def parse(text: str) -> ShellFacts:
    """From what SCRIPT prints.  What does not check is left out."""
    sections = _sections(text)
    release = dict(re.findall(r'^([A-Z_]{1,40})="?([^"\n]{0,200})"?$', sections.get("os", ""), re.MULTILINE))
    properties = dict(re.findall(r"^\[([\w.-]{1,100})\]: \[([^\n]{0,200})\]$", sections.get("properties", ""), re.MULTILINE))
    cores = _cores(sections.get("cores", ""))
    memory = re.search(r"^MemTotal:\s+(\d{1,12}) kB", sections.get("memory", ""), re.MULTILINE)
    return ShellFacts(
        machine=_match(r"[\w.-]{1,30}", sections.get("machine", "")),
        kernel=_clean(sections.get("kernel", "")),
        os=_clean(_android(properties) or release.get("PRETTY_NAME", "")),
        device_tree=tuple(
            cleaned
            for part in ("model", "compatible")
            for line in sections.get(part, "").splitlines()
            if (cleaned := _clean(line))
        )[:20],
        cpu_parts=_cpu_parts(sections.get("cpuinfo", "")),
        cores=tuple((each.cpu, each.khz) for each in cores),
        capacities={each.cpu: each.capacity for each in cores if each.capacity is not None},
        kinds=_kinds(sections, cores),
        off=tuple(each.cpu for each in cores if each.off),
        memory_bytes=int(memory[1]) * 1024 if memory else None,
        home=_match(r"/[^\x00-\x1f]{0,300}", sections.get("home", "")),
        pythons=tuple(re.findall(r"^(/[^\x00-\x1f]{1,300})$", sections.get("pythons", ""), re.MULTILINE))[:2],
        properties={key: _clean(value) for key, value in properties.items()},
    )


def _sections(text: str) -> Mapping[str, str]:
    parts = re.split(r"^==lutfarm (\w{1,20})$", text, flags=re.MULTILINE)
    return {name: body.strip("\n") for name, body in zip(parts[1::2], parts[2::2], strict=False)}


def _android(properties: Mapping[str, str]) -> str:
    version = properties.get("ro.build.version.release", "")
    return f"Android {version}" if version else ""


def _cpu_parts(text: str) -> tuple[str, ...]:
    implementers = re.findall(r"^CPU implementer\s*:\s*(0x[0-9a-fA-F]{1,4})\s*$", text, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*(0x[0-9a-fA-F]{1,4})\s*$", text, re.MULTILINE)
    return tuple(f"{maker}/{part}" for maker, part in zip(implementers, parts, strict=False))[:1024]


@dataclass(frozen=True, slots=True)
class _Core:
    cpu: int
    khz: int | None
    capacity: int | None
    off: bool
    part: str


def _cores(text: str) -> list[_Core]:
    found: Sequence[tuple[str, str, str, str, str]] = re.findall(
        r"^(\d{1,4}) (\d{1,9}|-) (\d{1,7}|-) ([01]) (0x[0-9a-f]{1,16}|-)$", text, re.MULTILINE
    )
    cores = [
        _Core(int(cpu), None if khz == "-" else int(khz), None if size == "-" else int(size), on == "0", _part(midr))
        for cpu, khz, size, on, midr in found
    ]
    return sorted(cores, key=lambda each: each.cpu)[:1024]


def _part(midr: str) -> str:
    """For example 0x41/0xd0b, of the register that says it."""
    value = 0 if midr == "-" else int(midr, 16)
    return f"{value >> 24 & 0xFF:#x}/{value >> 4 & 0xFFF:#x}" if value else ""


def _kinds(sections: Mapping[str, str], cores: Sequence[_Core]) -> Mapping[int, str]:
    """By core: what Intel's kernels call it, else its part by its own register, else by /proc/cpuinfo."""
    types = re.findall(r"^(core|atom|lowpower) ([\d,-]{1,2000})$", sections.get("types", ""), re.MULTILINE)
    if types:
        return {cpu: name for name, cpus in types for cpu in cpu_list(cpus)}
    if any(each.part for each in cores):
        return {each.cpu: each.part for each in cores if each.part}
    found: dict[int, str] = {}
    for block in re.split(r"\n\s*\n", sections.get("cpuinfo", "")):
        number, parts = re.search(r"^processor\s*:\s*(\d{1,4})\s*$", block, re.MULTILINE), _cpu_parts(block)
        if number and parts:
            found[int(number[1])] = parts[0]
    return found


def _match(pattern: str, text: str) -> str:
    line = text.strip("\n")
    return line if re.fullmatch(pattern, line) else ""


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()[:TEXT_LIMIT]
