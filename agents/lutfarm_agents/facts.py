"""What a device tells of itself through its shell, before anything of ours runs there.  Believed only where it checks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lutfarm_agents.transports.base import Transport
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
        frequency=
        read -r frequency 2>/dev/null <"$core/cpufreq/cpuinfo_max_freq"
        echo "${core##*/cpu} $frequency"
    fi
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

    machine: str = ""                              # uname -m
    kernel: str = ""
    os: str = ""
    device_tree: tuple[str, ...] = ()              # model, then the compatible strings
    cpu_parts: tuple[str, ...] = ()                # for example 0x41/0xd0b, of each core
    cores: tuple[tuple[int, int | None], ...] = () # cpu, its highest frequency in kHz
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
    memory = re.search(r"^MemTotal:\s+(\d{1,12}) kB", sections.get("memory", ""), re.MULTILINE)
    return ShellFacts(
        machine=_match(r"[\w.-]{1,30}", sections.get("machine", "")),
        kernel=_clean(sections.get("kernel", "")),
        os=_clean(_android(properties) or release.get("PRETTY_NAME", "")),
        device_tree=tuple(
            cleaned for part in ("model", "compatible") for line in sections.get(part, "").splitlines()
            if (cleaned := _clean(line))
        )[:20],
        cpu_parts=_cpu_parts(sections.get("cpuinfo", "")),
        cores=_cores(sections.get("cores", "")),
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


def _cores(text: str) -> tuple[tuple[int, int | None], ...]:
    found: Sequence[tuple[str, str]] = re.findall(r"^(\d{1,4}) ?(\d{0,9})$", text, re.MULTILINE)
    return tuple(sorted((int(cpu), int(khz) if khz else None) for cpu, khz in found))[:1024]


def _match(pattern: str, text: str) -> str:
    line = text.strip("\n")
    return line if re.fullmatch(pattern, line) else ""


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()[:TEXT_LIMIT]
