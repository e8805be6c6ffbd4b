"""What shows that a slice was slowed?  Each kind of evidence that a stored slice holds, by its AUC; labels as in canary.py.

`level`: for slices whose wall time an iteration is more than 1.15 times the quiet level; `median, no switch`: for slices that
nobody took the core from, by their median iteration, as a single long one moves no estimate.  The canary is the fastest of three
iterations before a slice, and after it.  The notes say of the slices that the canary alone would let pass how many had a context
switch, and how many of these, and of the others, were slowed by their median.
"""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Callable, Mapping, Sequence

import _device
import numpy as np
from _table import Report, options
from _tables import mix, spread_over
from canary import GATE, NONE, RUNTIMES, SLOWED, Seen, auc, canary_ns, middle_ns, rounds, seen

from lutfarm_jobs.run import Run, Slice

Pair = tuple[Run, Slice]


def inside(piece: Slice, high: float, low: float) -> float:
    """How far two percentiles of a slice's iterations lie apart."""
    return float(np.percentile(piece.samples_ns, high) / np.percentile(piece.samples_ns, low))


def kinds(pairs: Sequence[Pair]) -> Mapping[str, Callable[[Run, Slice], float]]:
    """By name: how slowed a slice seems."""
    medians: dict[str, list[float]] = {}
    for run, piece in pairs:
        medians.setdefault(run.id, []).append(middle_ns(piece))
    fast_ns = {name: float(np.percentile(found, 10)) for name, found in medians.items()}
    return {
        "canary, the higher of the two": lambda _, piece: canary_ns(piece),
        "canary, mean of the two": lambda _, piece: statistics.fmean((piece.canary_before_ns, piece.canary_after_ns)),
        "involuntary context switches": lambda _, piece: piece.involuntary_switches,
        "time ready without a core": lambda _, piece: (piece.run_delay_ns or 0) / piece.wall_ns,
        "wall less CPU time": lambda _, piece: (piece.wall_ns - piece.cpu_ns) / piece.wall_ns,
        "slowest over median iteration": lambda _, piece: inside(piece, 100, 50),
        "75th over 25th percentile": lambda _, piece: inside(piece, 75, 25),
        "median over the process's own 10th percentile": lambda run, piece: middle_ns(piece) / fast_ns[run.id],
    }


def rows(runtime: str, pairs: Sequence[Pair], judged: Sequence[Seen]) -> list[tuple[object, ...]]:
    """One for each kind of evidence."""
    found: list[tuple[object, ...]] = []
    for name, score in kinds(pairs).items():
        scores = [score(run, piece) for run, piece in pairs]
        level = auc(
            [s for s, one in zip(scores, judged, strict=True) if one.slowed],
            [s for s, one in zip(scores, judged, strict=True) if not one.slowed],
        )
        alone = [(s, one.middle > SLOWED) for s, one in zip(scores, judged, strict=True) if not one.switched]
        middle = auc([s for s, slowed in alone if slowed], [s for s, slowed in alone if not slowed])
        found.append((runtime, name, len(pairs), *(None if one is None else round(one, 3) for one in (level, middle))))
    return found


def switches(runtime: str, judged: Sequence[Seen]) -> str:
    """Of the slices that the canary lets pass: how many of those with a switch are slowed, and of the others."""
    parts: list[str] = []
    for name, switched in (("with a switch", True), ("without", False)):
        some = [one for one in judged if one.canary <= GATE.gate_ratio and one.switched == switched]
        share = f"{100 * sum(one.middle > SLOWED for one in some) / len(some):.0f} % slowed" if some else "none slowed"
        parts.append(f"{len(some)} {name}, {share}")
    return f"{runtime}: slices with a calm canary: {'; '.join(parts)}"


def main() -> None:
    """Print one row a runtime and kind of evidence."""
    chosen = options(
        __doc__,
        ("--rounds", {"type": int, "help": "of each kind of neighbour (6; 2 with --quick)"}),
        ("--seed", {"type": int, "default": 3, "help": "of every order"}),
    )
    each = chosen.rounds or (2 if chosen.quick else 6)
    keys = spread_over(mix(), 10)
    report = Report(
        f"evidence of slowed slices beside real neighbours; {len(keys)} operators, {each} rounds",
        ("runtime", "evidence", "slices", "AUC, level", "AUC, median, no switch"),
    )
    with _device.scratch() as home, _device.opened(home) as agent:
        for runtime in RUNTIMES:
            made = rounds(agent, runtime, keys, home, each=each, order=random.Random(chosen.seed), canaries={"the farm's": None})
            by_kind = {kind: runs for (_, kind), runs in made.items()}
            judged = seen(by_kind)
            beside = [kind for kind in by_kind if kind != NONE]
            pairs = [(run, piece) for kind in beside for run in by_kind[kind] for piece in run.slices]
            flat = [one for kind in beside for one in judged[kind]]
            report.rows += rows(runtime, pairs, flat)
            report.notes.append(switches(runtime, flat))
    report.notes.append(f"load {os.getloadavg()[0]:.1f} at the end; seed {chosen.seed}")
    report.show(chosen)


if __name__ == "__main__":
    main()
