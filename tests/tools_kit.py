"""A stand-in for a native tool that needs no Python: a shell script that prints what benchmark_model prints."""

from __future__ import annotations

from tests.rig.machine import Machine

RUNTIME = "tflite_benchmark_model"
SCRIPT = """#!/bin/sh
for word; do
    case $word in
    --graph=*) graph=${word#--graph=} ;;
    --num_runs=*) runs=${word#--num_runs=} ;;
    esac
done
[ -s "$graph" ] || { echo "no model: $graph"; exit 9; }
if [ -e "$0.slow" ]; then echo begun >"$0.begun"; sleep 300 & wait; fi
if [ -e "$0.fails" ]; then echo 'no such operator: CUSTOM'; exit 1; fi
echo "INFO: count=1 curr=900"
echo "INFO: count=$runs first=880 curr=850 min=840 max=900 avg=8.5e+02 std=9 p5=841 median=849 p95=890"
echo "INFO: Inference timings in us: Init: 5579, First inference: 901, Warmup (avg): 900, Inference (avg): 850"
"""


class FakeTool:
    """Such a tool on a machine of the rig; `remote` is where it lies there."""

    def __init__(self, machine: Machine, remote: str) -> None:
        self.machine = machine
        self.remote = remote
        self._write("", SCRIPT)
        machine.path(remote).chmod(0o755)

    def becomes(self, how: str) -> None:
        """`slow` (it hangs), `fails`, or `well`."""
        for name in ("slow", "fails", "begun"):
            self.machine.path(f"{self.remote}.{name}").unlink(missing_ok=True)
        if how != "well":
            self._write(f".{how}", "")

    def runs(self) -> bool:
        """Whether it hangs, having begun."""
        return self.machine.path(f"{self.remote}.begun").exists()

    def processes(self) -> list[int]:
        """Of this tool, on its machine."""
        found = [p for p in self.machine.processes() if self.remote in " ".join(p.cmdline())]
        return [p.pid for p in found if "lutfarm" not in p.cmdline()[0]]

    def _write(self, suffix: str, text: str) -> None:
        self.machine.path(self.remote + suffix).write_text(text)
