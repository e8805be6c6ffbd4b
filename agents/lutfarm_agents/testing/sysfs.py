"""What real devices say of their cores and thermal zones, as values and as a tree of files, for whoever tests against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Core:
    """One core below /sys/devices/system/cpu; None where the kernel has no such file."""

    khz: int | None = None  # cpufreq/cpuinfo_max_freq; none while the core is off
    capacity: int | None = None  # cpu_capacity
    part: str = ""  # implementer/part, or Intel's core or atom
    on: bool = True


@dataclass(frozen=True, slots=True)
class Sysfs:
    """A device's cores, in order, and its thermal zones as (type, reading)."""

    machine: str
    cores: tuple[Core, ...]
    zones: tuple[tuple[str, str], ...] = ()

    @property
    def clocks(self) -> tuple[tuple[int, int | None], ...]:
        """(Core, highest clock in kHz)."""
        return tuple((cpu, core.khz if core.on else None) for cpu, core in enumerate(self.cores))

    @property
    def capacities(self) -> Mapping[int, int]:
        """By core, of those that have one."""
        return {cpu: core.capacity for cpu, core in enumerate(self.cores) if core.capacity is not None}

    @property
    def kinds(self) -> Mapping[int, str]:
        """By core, of those that say it."""
        return {cpu: core.part for cpu, core in enumerate(self.cores) if core.part}

    @property
    def off(self) -> tuple[int, ...]:
        """Cores that are switched off."""
        return tuple(cpu for cpu, core in enumerate(self.cores) if not core.on)

    def write(self, folder: Path) -> None:
        """As files below `folder`, which stands for /sys."""
        cpus = folder / "devices/system/cpu"
        for cpu, core in enumerate(self.cores):
            here = cpus / f"cpu{cpu}"
            here.mkdir(parents=True)
            if core.khz is not None and core.on:
                (here / "cpufreq").mkdir()
                (here / "cpufreq/cpuinfo_max_freq").write_text(f"{core.khz}\n")
            if core.capacity is not None:
                (here / "cpu_capacity").write_text(f"{core.capacity}\n")
            if cpu:  # the first core can't be switched off, and has no such file
                (here / "online").write_text(f"{int(core.on)}\n")
        (cpus / "present").write_text(f"0-{len(self.cores) - 1}\n")
        (cpus / "online").write_text(",".join(str(cpu) for cpu, core in enumerate(self.cores) if core.on) + "\n")
        for number, (kind, reading) in enumerate(self.zones):
            here = folder / f"class/thermal/thermal_zone{number}"
            here.mkdir(parents=True)
            (here / "type").write_text(f"{kind}\n")
            (here / "temp").write_text(f"{reading}\n")


def _cores(*groups: tuple[int, Core]) -> tuple[Core, ...]:
    return tuple(core for count, core in groups for _ in range(count))


A55, A76, A53, A73 = "0x41/0xd05", "0x41/0xd0b", "0x41/0xd03", "0x41/0xd09"
REAL: Mapping[str, Sysfs] = {
    # Three clock domains, millidegrees, zones by cluster's name.
    "pixel-6": Sysfs(
        "aarch64",
        _cores((4, Core(1_803_000, 160)), (2, Core(2_253_000, 498)), (2, Core(2_802_000, 1024))),
        (
            ("BIG", "41000"),
            ("MID", "40000"),
            ("LITTLE", "39000"),
            ("G3D", "38000"),
            ("battery", "30100"),
            ("neutral_therm", "36500"),
        ),
    ),
    # One phone, three units: tenths (tsens), degrees and millidegrees; two sensors that are parked at -40 and 25000.
    "msm8953": Sysfs(
        "aarch64",
        _cores((8, Core(2_016_000, None, A53))),
        (
            ("bms", "25000"),
            ("pa_therm1", "-40"),
            ("tsens_tz_sensor5", "309"),
            ("tsens_tz_sensor8", "322"),
            ("xo_therm", "31"),
            ("tsens_tz_sensor15", "309"),
            ("pm8953_tz", "32636"),
            ("pa_therm0", "30"),
            ("battery", "25000"),
            ("chg_temp", "24612"),
        ),
    ),
    # A tablet whose board sensor was never wired, and whose processor's zone says 0 now and then.
    "fire-hd": Sysfs(
        "armv7l",
        _cores((4, Core(2_000_000))),
        (("mtktsbattery", "29000"), ("mtktscpu", "0"), ("mtktspmic", "38000"), ("mtkts_bts0", "36000"), ("mtkts_bts1", "125000")),
    ),
    # Equal clocks, unequal cores.
    "helio-p60": Sysfs("aarch64", _cores((4, Core(2_000_000, None, A53)), (4, Core(2_000_000, None, A73)))),
    "rk3588": Sysfs(
        "aarch64",
        _cores((4, Core(1_800_000, 530, A55)), (4, Core(2_400_000, 1024, A76))),
        (("soc-thermal", "42538"), ("bigcore0-thermal", "41615"), ("littlecore-thermal", "42538"), ("gpu-thermal", "41615")),
    ),
    "jh7110": Sysfs("riscv64", _cores((4, Core(1_500_000))), (("cpu-thermal", "48000"),)),
    # One kind of core, ranked by how well each came out of the wafer.
    "ryzen-preferred": Sysfs(
        "x86_64",
        tuple(Core(khz) for khz in (5_132_000, 5_083_000, 5_232_000, 5_182_000, 5_232_000, 5_033_000, 4_984_000, 4_934_000)),
        (("acpitz", "16800"),),
    ),
    # Two kinds, of which two favoured cores of one kind are faster than their like.
    "intel-hybrid": Sysfs(
        "x86_64",
        _cores((4, Core(5_400_000, 1009, "core")), (4, Core(5_600_000, 1024, "core")), (8, Core(4_200_000, 623, "atom"))),
        (("acpitz", "27800"), ("INT3400 Thermal", "20000"), ("x86_pkg_temp", "52000"), ("iwlwifi_1", "61000")),
    ),
    "big-cores-off": Sysfs("aarch64", _cores((4, Core(1_800_000)), (4, Core(on=False)))),
}
"""By name: as people published them, shortened."""
