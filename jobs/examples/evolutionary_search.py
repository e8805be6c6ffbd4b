"""An evolutionary search that asks the device itself about its best candidates.

Each generation is ranked by a table's predictions, which cost nothing; the few that look best are measured whole, and what was
measured is believed rather than what was predicted.  The accuracy is a stand-in: put your own in its place.

    lutfarm device register this-machine --local
    python jobs/examples/evolutionary_search.py --device this-machine --generations 3

It is the same with a served farm: set LUTFARM_SERVER.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import lutfarm
from lutfarm_jobs.expand import load_space

SPACE = Path(__file__).parent / "spaces" / "my-space.yaml"
Arch = tuple[int, ...]


def asked(name: str, device: str, **workload: object) -> dict[str, object]:
    """A job of this space on one device."""
    return {
        "name": name,
        "workloads": [{"space": str(SPACE), **workload}],
        "devices": [device],
        "backends": [{"runtime": "onnxruntime"}],
        "sampling": {"rounds": 4, "passes": 8},
    }


def accuracy(arch: Arch) -> float:
    """A stand-in: more work is better, with diminishing returns."""
    return 0.7 + 0.1 * arch.count(0) / (1 + arch.count(0)) - 0.02 * arch[0]


def child(parents: Sequence[Arch], choices: Sequence[int], dice: random.Random) -> Arch:
    """Of two, one layer drawn anew now and then."""
    one, other = dice.sample(list(parents), 2) if len(parents) > 1 else (parents[0], parents[0])
    mixed = [dice.choice(pair) for pair in zip(one, other, strict=True)]
    return tuple(dice.randrange(count) if dice.random() < 0.3 else gene for gene, count in zip(mixed, choices, strict=True))


def measured_ns(farm: lutfarm.Farm, device: str, archs: Sequence[str], number: int) -> dict[str, float]:
    """Whole networks on the device itself; what failed there is left out."""
    if not archs:
        return {}
    job = farm.submit(asked(f"search-{number}", device, operators="none", archs=list(archs)))
    job.wait(progress=True)
    known = {entry.workload.rpartition(":")[2]: entry.estimate for entry in job.table().entries}
    return {arch: estimate for arch, estimate in known.items() if estimate is not None}


def main() -> None:
    """Print the best of each generation."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", required=True)
    options.add_argument("--generations", type=int, default=3)
    options.add_argument("--most-us", type=float, default=float("inf"), help="no network that takes longer is taken")
    chosen = options.parse_args()
    dice, known = random.Random(0), dict[str, float]()
    with lutfarm.Farm() as farm:
        operators = farm.submit(asked("search-operators", chosen.device))
        operators.wait(progress=True)
        table = operators.table()
        space = load_space(SPACE.name, SPACE.parent)
        choices = [len(layer.choices) for layer in space.layers]
        population = [tuple(arch) for arch in space.random(0, 8)]
        for number in range(chosen.generations):
            names = {arch: space.format(arch) for arch in set(population)}
            told = farm.predict(table, [*names.values()], space=str(SPACE))
            predicted = {arch: one.estimate for arch, one in zip(names, told, strict=True)}
            takes_ns = {arch: known.get(names[arch], predicted[arch]) for arch in names}
            fit = [arch for arch in names if takes_ns[arch] <= chosen.most_us * 1e3] or list(names)
            best = sorted(fit, key=accuracy, reverse=True)[:3]
            known |= measured_ns(farm, chosen.device, [names[arch] for arch in best if names[arch] not in known], number)
            for arch in best:
                real = known.get(names[arch])
                seen = f"measured {real / 1e3:.1f} us" if real is not None else "not measured"
                print(f"{number}: {names[arch]}: accuracy {accuracy(arch):.3f}, predicted {predicted[arch] / 1e3:.1f} us, {seen}")
            population = [*best, *(child(best, choices, dice) for _ in range(5))]


if __name__ == "__main__":
    main()
