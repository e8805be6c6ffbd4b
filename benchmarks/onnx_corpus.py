"""The onnx package's own backend tests, all 2,027, as one job with their own inputs: what came of each.

To reach: exit 0, every model measured or a failure in the runtime's own words.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from _device import scratch
from _table import Report, options

sys.path.insert(0, str(Path(__file__).parents[1]))  # what writes the models is part of the tests

QUICK_EVERY = 24
JOB = """\
name: corpus
workloads:
  - models: ["*/*/model.onnx"]
    test_data: test_data_set_0
devices: [this-machine]
backends: [{runtime: onnxruntime}]
sampling: {rounds: 1, passes: 2, stop: rounds}
"""
PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|\S*/\S*|\d+|node with name.*|Status Message:.*")


def lutfarm(folder: Path, *words: str) -> str:
    """What a command prints; its folder is its home's too."""
    program = Path(sys.executable).with_name("lutfarm")
    home = {"LUTFARM_HOME": str(folder / "home")}
    done = subprocess.run([str(program), *words], cwd=folder, capture_output=True, text=True, env=os.environ | home)
    if done.returncode:
        raise SystemExit(f"lutfarm {' '.join(words)}: exit code {done.returncode}\n{done.stderr[-4000:]}")
    return done.stdout


def main() -> None:
    """Print one row for each kind of ending."""
    from tests import onnx_corpus

    chosen = options(__doc__)
    report = Report("the onnx package's backend tests as one job", ("what came of it", "models"))
    with scratch() as folder:
        count = onnx_corpus.write(folder, every=QUICK_EVERY if chosen.quick else 1)
        (folder / "job.yaml").write_text(JOB)
        lutfarm(folder, "device", "register", "this-machine", "--local")
        began_s = time.monotonic()
        said = json.loads(lutfarm(folder, "run", "job.yaml", "--executor", "local", "--json"))
        took_s = time.monotonic() - began_s
        lutfarm(folder, "lut", "export", "corpus", "--out", "t.json")
        entries = json.loads(lutfarm(folder, "lut", "show", "t.json", "--json"))["entries"]
    details = [f"{entry['failure_code']}: {entry['failure_detail']}" for entry in entries if entry["kind"] == "failed"]
    report.rows.append(("measured", said["complete"]))
    report.rows += [(f"measured, and flagged {flag}", len(seen)) for flag, seen in said["notes"].items()]
    kinds = Counter(" ".join(PARTICULARS.sub("..", detail).split())[:110] for detail in details)
    report.rows += [(f"failed: {kind}", number) for kind, number in kinds.most_common()]
    report.notes.append(f"{count} models, {said['measurements']} of them different; lutfarm run took {took_s:.0f} s")
    report.show(chosen)


if __name__ == "__main__":
    main()
