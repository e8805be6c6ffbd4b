"""Which inputs of a model decide what it computes: values followed through its graph.  Pure; both formats come down to this.

A step is one node.  A value flows from every input of a step to every output, but for steps that look at shapes alone.  Where it
reaches a port that control flow, a size, an axis or an amount of work hangs on, the input that it came from *decides*.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lutfarm_jobs.models.bounds import Malformed

MIXING = frozenset({"Concat", "ConcatTraining", "Where", "Max", "Min"})  # elements of several inputs come out as they are
MOST_STEPS = 1_000_000  # flattened nodes, and visits of them


@dataclass(frozen=True, slots=True)
class Step:
    """One node whose subgraphs were taken apart.

    `inputs` and `outputs` are tensors, -1 where a node leaves one out.  `deciding`: the positions of the inputs on whose values
    depends what runs.  `cut`: outputs depend on no input's values.  `passing`: outputs are inputs as they are.  `chance`: a
    random generator.  `kind` is the operator's name, for people and for roles.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    deciding: frozenset[int] = frozenset()
    cut: bool = False
    passing: bool = False
    chance: bool = False
    axis: int = 0  # of its attributes, as far as a role hangs on them
    layout: int = 0


@dataclass(slots=True)
class Flat:
    """A whole model, taken apart: its tensors are numbered as they are met."""

    steps: list[Step] = field(default_factory=list[Step])
    inputs: list[int] = field(default_factory=list[int])  # of the main graph, in order
    outputs: list[int] = field(default_factory=list[int])
    shapes: dict[int, tuple[int | None, ...]] = field(default_factory=dict[int, tuple[int | None, ...]])  # that the file says
    tensors: int = 0

    def tensor(self) -> int:
        """A new one."""
        self.tensors += 1
        return self.tensors - 1

    def add(self, step: Step) -> None:
        """Raises Malformed where there are too many."""
        if len(self.steps) >= MOST_STEPS:
            raise Malformed(f"it has more than {MOST_STEPS} nodes")
        self.steps.append(step)

    def flow(self, source: int, target: int) -> None:
        """A value is the other one, as it is."""
        if source >= 0 and target >= 0:
            self.add(Step("", (source,), (target,), passing=True))

    def decides(self, tensor: int, kind: str) -> None:
        """What runs depends on a value."""
        if tensor >= 0:
            self.add(Step(kind, (tensor,), (), deciding=frozenset({0})))


@dataclass(frozen=True, slots=True)
class Reach:
    """By the input's position, the kinds of nodes that its values decide; whether anything is computed."""

    decided: Mapping[int, tuple[str, ...]]
    computes: bool


def reach(flat: Flat, *, shapes_vary: bool) -> Reach:
    """Follow every input.  `shapes_vary`: some shape is not in the file, so that what is made of shapes is computed, too.

    Raises Malformed where that takes too long.
    """
    chance, computed = 1 << len(flat.inputs), 2 << len(flat.inputs)
    sources = [0] * flat.tensors
    readers = readers_of(flat)
    for position, tensor in enumerate(flat.inputs):
        sources[tensor] |= 1 << position
    waiting = deque(range(len(flat.steps)))
    queued = bytearray(b"\1") * len(flat.steps)
    visits = 0
    while waiting:
        index = waiting.popleft()
        queued[index] = 0
        visits += 1
        if visits > 4 * MOST_STEPS:
            raise Malformed("its values run in too many circles")
        step = flat.steps[index]
        came = 0
        for tensor in step.inputs:
            came |= sources[tensor] if tensor >= 0 else 0
        if step.cut:
            came = chance if shapes_vary else 0
        if step.chance:
            came |= chance
        if came and not step.passing:
            came |= computed
        for tensor in step.outputs:
            if tensor >= 0 and sources[tensor] | came != sources[tensor]:
                sources[tensor] |= came
                for reader in readers.get(tensor, ()):
                    if not queued[reader]:
                        queued[reader] = 1
                        waiting.append(reader)
    decided: dict[int, dict[str, None]] = {}
    for step in flat.steps:
        for position in step.deciding:
            if position < len(step.inputs) and step.inputs[position] >= 0:
                for source in _bits(sources[step.inputs[position]] & (chance - 1)):
                    decided.setdefault(source, {})[step.kind] = None
    return Reach(
        {source: tuple(kinds) for source, kinds in decided.items()}, any(sources[tensor] & computed for tensor in flat.outputs)
    )


def readers_of(flat: Flat) -> Mapping[int, Sequence[int]]:
    """By tensor, the positions of the steps that read it."""
    readers: dict[int, list[int]] = {}
    for index, step in enumerate(flat.steps):
        for tensor in step.inputs:
            if tensor >= 0:
                readers.setdefault(tensor, []).append(index)
    return readers


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def first_uses(
    flat: Flat, readers: Mapping[int, Sequence[int]], tensor: int, passing: frozenset[str], *, most: int = 1000
) -> Iterator[tuple[Step, int]]:
    """The steps and the positions in them at which a tensor arrives, as it is or through steps that only pass its elements on."""
    seen, waiting = {tensor}, deque([tensor])
    while waiting and most > 0:
        here = waiting.popleft()
        for index in readers.get(here, ()):
            most -= 1
            step = flat.steps[index]
            for position in (position for position, name in enumerate(step.inputs) if name == here):
                if (step.passing or step.kind in passing) and (position == 0 or step.kind in MIXING):
                    new = [output for output in step.outputs if output >= 0 and output not in seen]
                    seen.update(new)
                    waiting.extend(new)
                else:
                    yield step, position
