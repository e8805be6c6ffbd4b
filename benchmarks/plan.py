"""What `lutfarm plan` says of every example job against what `lutfarm run` takes, on this machine, from an empty home.

Each job comes twice: first as it is, then with `fresh: true`, when the store knows of rounds like it.  `models.yaml` gets a
folder of models beside it.  An example that can't be planned here is named, with the reason.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import onnx
from _device import scratch
from _table import Report, options
from onnx import TensorProto, helper

from lutfarm_jobs import operators
from lutfarm_jobs.models.tflite.writer import write_tflite

EXAMPLES = Path(__file__).parent.parent / "jobs" / "examples"
LEAST, MOST = 0.7, 1.5
CHANNELS = (8, 24, 64)


@dataclass(frozen=True, slots=True)
class Farm:
    """The command line on a home of its own."""

    home: Path

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command."""
        program = Path(sys.executable).with_name("lutfarm")
        environment = {**os.environ, "LUTFARM_HOME": str(self.home), "COLUMNS": "140"}
        return subprocess.run([str(program), *words], capture_output=True, text=True, env=environment)


def jobs_in(folder: Path) -> list[Path]:
    """The examples, copied beside what they name; smaller first, so that the larger ones meet a store that knows something."""
    for path in EXAMPLES.glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    (folder / "models").mkdir()
    for channels in CHANNELS:
        onnx.save(model(channels), folder / "models" / f"conv{channels}.onnx")
        graph = operators.graph_of(operators.parse(f"conv_H28_W28_Cin{channels}_Cout{channels}_k3_s1_g1_relu"))
        (folder / "models" / f"conv{channels}.tflite").write_bytes(write_tflite(graph))
    return sorted(folder.glob("*.yaml"), key=lambda path: ("space:" in path.read_text(), path.name))


def model(channels: int) -> onnx.ModelProto:
    """A convolution whose input leaves its size open."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [channels, 3, 3, 3], [0.01] * (channels * 27))
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        f"conv{channels}",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "height", "width"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, channels, "height", "width"])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def one(farm: Farm, path: Path, when: str, report: Report) -> None:
    """Ask, then run."""
    planned = farm("plan", str(path), "--json")
    if planned.returncode:
        report.notes.append(f"{path.name} does not run here: {planned.stderr.strip().splitlines()[-1][:200]}")
        return
    low_s, high_s = json.loads(planned.stdout)["wall_s"]
    began_s = time.monotonic()
    done = farm("run", str(path), "--json")
    took_s = time.monotonic() - began_s
    if done.returncode not in (0, 1):
        raise SystemExit(f"{path.name}: exit code {done.returncode}\n{done.stderr[-3000:]}")
    ratio = took_s / ((low_s + high_s) / 2)
    found = json.loads(done.stdout)
    report.rows.append(
        (
            path.stem,
            when,
            found["measurements"],
            found["runs"],
            low_s,
            high_s,
            round(took_s, 1),
            round(ratio, 2),
            "yes" if low_s <= took_s <= high_s else "no",
            "yes" if LEAST <= ratio <= MOST else "no",
        )
    )


def main() -> None:
    """Print one row for each job and time."""
    chosen = options(__doc__)
    report = Report(
        "said by plan, taken by run, wall time",
        ("job", "store", "measurements", "runs", "said from s", "to s", "took s", "took / middle", "in the range", "0.7-1.5"),
    )
    with scratch() as folder:
        farm = Farm(folder / "home")
        registered = farm("device", "register", "this-machine", "--local")
        if registered.returncode:
            raise SystemExit(registered.stderr)
        for path in jobs_in(folder):
            if chosen.quick and path.stem != "operators":
                continue
            one(farm, path, "knows nothing of it", report)
            path.write_text(re.sub(r"\A((?:#.*\n)*)", r"\1fresh: true\n", path.read_text()))
            one(farm, path, "knows it", report)
    if not report.rows:
        raise SystemExit("\n".join(report.notes))
    inside = sum(row[-2] == "yes" for row in report.rows)
    within = sum(row[-1] == "yes" for row in report.rows)
    report.notes.append(
        f"taken over the middle of what was said within {LEAST}-{MOST}: {within} of {len(report.rows)}; "
        f"in the range that was said: {inside}"
    )
    report.show(chosen)


if __name__ == "__main__":
    main()
