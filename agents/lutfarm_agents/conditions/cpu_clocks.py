"""Fixes a device's clocks and puts back what was there: at the end, and after a crash at the next opening.

What was there is written down on the device first, in a file that lasts until all of it is back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lutfarm_agents.transports.interface import Transport
from lutfarm_jobs.errors import NotReady
from lutfarm_profiles.profile import DeviceProfile

KEPT = ("scaling_governor", "scaling_min_freq", "scaling_max_freq")

# $1 the note, then cores: what is there now, a line each, whole or not at all.
REMEMBER = """note=$1
shift
if [ -e "$note" ]; then cat "$note" >"$note.part"; else : >"$note.part"; fi
for core; do
    grep -q "^$core " "$note.part" && continue     # what was there before the first change counts
    for name in scaling_governor scaling_min_freq scaling_max_freq; do
        value=
        read -r value 2>/dev/null <"/sys/devices/system/cpu/cpu$core/cpufreq/$name" || continue
        echo "$core $name $value"
    done >>"$note.part"
done
mv "$note.part" "$note"
"""

# $1 core  $2 name  $3 value
WRITE = 'echo "$3" >"/sys/devices/system/cpu/cpu$1/cpufreq/$2"'
SHOW = '[ ! -e "$1" ] || head -c 100000 "$1"'
SEEN = 'read -r value <"/sys/devices/system/cpu/cpu$1/cpufreq/$2" && echo "$value"'


@dataclass(frozen=True, slots=True)
class Setting:
    """One file of cpufreq."""

    core: int
    name: str
    value: str


class Clocks:
    """The clocks of one device."""

    def __init__(self, transport: Transport, root: str, profile: DeviceProfile, name: str) -> None:
        self._transport = transport
        self._note = f"{root}/clocks"
        self._profile = profile
        self._name = name
        self._fixed: set[int] = set()

    def fix(self, cpus: Sequence[int]) -> None:
        """Fix the clocks of these cores as the profile says.  Raises NotReady where it says nothing, or they don't obey."""
        frequency = self._profile.frequency
        if frequency is None:
            raise NotReady(
                f"{self._name}: the job asks for fixed clocks and the profile {self._profile.name} does not say how; "
                "add `frequency` to a profile of your own, or ask for clocks: free"
            )
        if set(cpus) <= self._fixed:
            return
        self._sh(REMEMBER, self._note, *map(str, cpus), what="what its clocks were can't be written down")
        for command in frequency.fix:
            self._command(command)
        for setting in self._wanted(cpus):
            self._write(setting)
            shown = self._transport.run(["sh", "-c", SEEN, "sh", str(setting.core), setting.name])
            seen = shown.stdout.decode("utf-8", "replace").strip()
            if seen != setting.value:
                raise NotReady(
                    f"{self._name}: {setting.name} of core {setting.core} stays {seen[:40]!r} where {setting.value!r} was set; "
                    "is another program in charge of its clocks?"
                )
        self._fixed |= set(cpus)

    def restore(self) -> int:
        """Put back what was there, if a note says that something was changed; how many settings.  Raises LinkError, NotReady."""
        text = self._transport.run(["sh", "-c", SHOW, "sh", self._note]).stdout.decode("utf-8", "replace")
        found = self._transport.exists(self._note)
        if not found:
            self._fixed.clear()
            return 0
        settings = parse(text)
        for command in self._profile.frequency.restore if self._profile.frequency else ():
            self._command(command)
        # A minimum above the present maximum is refused: governors and maxima first.
        for setting in sorted(settings, key=lambda each: KEPT.index(each.name) == 1):
            self._write(setting)
        self._transport.run(["rm", "-f", "--", self._note])
        self._fixed.clear()
        return len(settings)

    def _wanted(self, cpus: Sequence[int]) -> list[Setting]:
        frequency = self._profile.frequency
        if frequency is None:
            return []
        found = [Setting(cpu, "scaling_governor", frequency.governor) for cpu in cpus if frequency.governor]
        for cluster in self._profile.clusters:
            if khz := frequency.khz.get(cluster.name):
                for cpu in cpus:
                    if cluster.cpus == "all" or cpu in cluster.cpus:
                        found += [Setting(cpu, "scaling_max_freq", str(khz)), Setting(cpu, "scaling_min_freq", str(khz))]
        return found

    def _write(self, setting: Setting) -> None:
        what = f"{setting.name} of core {setting.core} can't be set"
        self._sh(WRITE, str(setting.core), setting.name, setting.value, what=what)

    def _command(self, command: Sequence[str]) -> None:
        done = self._transport.run(list(command))
        if done.code != 0:
            said = done.stderr.strip()[-200:]
            raise NotReady(f"{self._name}: the profile's command {command[0][:80]} ended with {done.code}: {said}")

    def _sh(self, script: str, *words: str, what: str) -> None:
        done = self._transport.run(["sh", "-c", script, "sh", *words])
        if done.code != 0:
            raise NotReady(f"{self._name}: {what}: {done.stderr.strip()[-200:]}; clocks need root on most devices")


def parse(text: str) -> list[Setting]:
    """The settings of a note; lines that are none are left out."""
    pattern = rf"^(\d{{1,4}}) ({'|'.join(KEPT)}) ([A-Za-z0-9_-]{{1,40}})$"
    return [Setting(int(core), name, value) for core, name, value in re.findall(pattern, text, re.MULTILINE)]
