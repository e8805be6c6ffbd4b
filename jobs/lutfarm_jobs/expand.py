"""From a job to measurements.  `expand` is pure; `resolve` does the reading that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lutfarm_jobs import operators, spaces
from lutfarm_jobs.asked import Wanted, check_precisions, with_all_paths
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.graphs.graph import Graph
from lutfarm_jobs.graphs.graph_bytes import graph_bytes
from lutfarm_jobs.job_file.workloads import BALANCED_NETWORKS, ModelsWorkload, OperatorsWorkload, SpaceWorkload
from lutfarm_jobs.measurement import Measurement, Workload
from lutfarm_jobs.measurement_key import network_name
from lutfarm_jobs.operators.base import Operator
from lutfarm_jobs.operators.sandwich import fits, pairs
from lutfarm_jobs.runtimes import RUNTIMES, fed_runtimes, is_tool, model_format
from lutfarm_jobs.sources import ModelFile, Sources
from lutfarm_jobs.spaces.balanced import balanced
from lutfarm_jobs.spaces.base import Space
from lutfarm_jobs.spec import JobSpec

if TYPE_CHECKING:
    pass

MOST_MEASUREMENTS = 1_000_000
MOST_MODEL_BYTES = 2_000_000_000  # no .onnx and no .tflite file holds more than 2 GiB


def resolve(spec: JobSpec, folder: Path) -> Sources:
    """Load the spaces and read the model files of a job that lies in `folder`.

    Raises SpecError; for model files that can't be used only where nothing else is to be measured.
    """
    spaces: dict[str, Space] = {}
    models: dict[int, tuple[ModelFile, ...]] = {}
    definitions: dict[str, Mapping[str, Any]] = {}
    for position, workload in enumerate(spec.workloads):
        if isinstance(workload, SpaceWorkload):
            try:
                definition = workload.definition or read_definition(workload.space, folder)
                spaces[workload.space] = space_of(workload.space, definition, folder)
            except SpecError as error:
                raise SpecError(f"workloads[{position}].space: {error}") from error
            if definition is not None:
                definitions[workload.space] = definition
        elif isinstance(workload, ModelsWorkload):
            from lutfarm_jobs.models.read_models import model_files  # twenty modules that most jobs do not need

            models[position] = model_files(workload, folder, where=f"workloads[{position}]")
    refused = [model.refused for files in models.values() for model in files if model.refused]
    if refused and len(models) == len(spec.workloads) and len(refused) == sum(map(len, models.values())):
        raise SpecError(refused[0] + (f" (and {len(refused) - 1} more model files that can't be used)" if refused[1:] else ""))
    return Sources(spaces, models, definitions)


def with_definitions(spec: JobSpec, sources: Sources) -> JobSpec:
    """The same job with what the files of its spaces say: it no longer needs them, and with others it would be another."""
    workloads = [
        w.model_copy(update={"definition": dict(sources.definitions[w.space])})
        if isinstance(w, SpaceWorkload) and w.space in sources.definitions
        else w
        for w in spec.workloads
    ]
    return spec.model_copy(update={"workloads": tuple(workloads)})


def load_space(text: str, folder: Path) -> Space:
    """A space by its name, or by the path of its YAML file relative to `folder`."""
    return space_of(text, read_definition(text, folder), folder)


def read_definition(text: str, folder: Path) -> Mapping[str, Any] | None:
    """What the file says, where a space is named by one; None for a known space's name."""
    return spaces.read_file(folder / text) if _is_file(text) else None


def space_of(text: str, definition: Mapping[str, Any] | None, folder: Path = Path()) -> Space:
    """A space from what its file said, or by its name; errors name the file as it lies in `folder`."""
    if definition is None:
        return spaces.load(text)
    return spaces.space_of(definition, source=str(folder / text) if _is_file(text) else text)


def _is_file(text: str) -> bool:
    return text.endswith((".yaml", ".yml"))


def expand(spec: JobSpec, sources: Sources, devices: Sequence[str]) -> tuple[Measurement, ...]:
    """Every measurement that the job asks for on `devices`, each once, zero entries left out.

    The order is device by device, backend by backend, workload by workload as in the file.
    Raises SpecError for an operator key that is none, or where a model fits no backend.
    """
    wanted = with_all_paths(tuple(_workloads(spec, sources)))
    check_precisions(spec, wanted)
    plan: dict[str, Measurement] = {}
    for device in devices:
        for choice in spec.backends:
            for one in wanted:
                if one.fits(choice):
                    measurement = Measurement(
                        one.workload,
                        device,
                        replace(choice.value, precision=one.precision),
                        replace(spec.conditions.value, batch_size=one.batch_size),
                    )
                    plan.setdefault(measurement.key, measurement)
    if len(plan) > MOST_MEASUREMENTS:
        raise SpecError(f"the job asks for {len(plan)} measurements; {MOST_MEASUREMENTS} is the most")
    if not plan:
        raise SpecError("the job asks for nothing that is to be measured: every operator is nothing by structure")
    return tuple(plan.values())


def nothings(spec: JobSpec, sources: Sources) -> tuple[str, ...]:
    """Keys of the operators that the job names and that are nothing by structure: zero entries, never measured."""
    keys: dict[str, None] = {}
    for position, choice in enumerate(spec.workloads):
        named: Iterable[Operator] = ()
        if isinstance(choice, SpaceWorkload) and choice.operators == "all":
            named = sources.spaces[choice.space].operators()
        elif isinstance(choice, OperatorsWorkload):
            where = f"workloads[{position}].operators"
            named = (_parse(key, where=f"{where}[{index}]") for index, key in enumerate(choice.operators))
        keys |= dict.fromkeys(operator.key for operator in named if operator.is_nothing)
    return tuple(keys)


def _workloads(spec: JobSpec, sources: Sources) -> Iterable[Wanted]:
    """Each workload with the runtimes that it is for."""
    every = frozenset(backend.runtime for backend in spec.backends)
    for position, choice in enumerate(spec.workloads):
        runtimes = frozenset(choice.runtimes) if choice.runtimes else every
        if isinstance(choice, SpaceWorkload):
            space = sources.spaces[choice.space]
            for operator in (*space.operators(), *space.extras()):
                _check_size(operator, where=f"workloads[{position}].space")
            yield from (Wanted(workload, runtimes) for workload in _operators(choice, space))
            for runtime in sorted(runtimes):
                yield from (Wanted(workload, frozenset({runtime})) for workload in _apart(choice, space, runtime))
            own = choice.space in sources.definitions  # a known one's networks are of ordinary size
            for workload in _networks(choice, space, where=f"workloads[{position}]", check_size=own):
                yield Wanted(workload, runtimes)
        elif isinstance(choice, OperatorsWorkload):
            for index, key in enumerate(choice.operators):
                where = f"workloads[{position}].operators[{index}]"
                operator = _parse(key, where=where)
                if not operator.is_nothing:
                    _check_size(operator, where=where)
                    yield Wanted(Workload("operator", operator.key), runtimes)
        else:
            for model in sources.models[position]:
                yield Wanted(model.workload, _fitting(model, runtimes), model.precision, model.batch_size)


def _parse(key: str, *, where: str) -> Operator:
    try:
        return operators.parse(key)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error


def _check_size(operator: Operator, *, where: str) -> None:
    """It is built, and its weights drawn, on the machine that orders it: that must not be what a job can fill."""
    if not operator.is_nothing:
        _check_graph(operators.graph_of(operator), operator.key, where=where)


def _check_graph(graph: Graph, name: str, *, where: str) -> None:
    if (size_bytes := graph_bytes(graph)) > MOST_MODEL_BYTES:
        raise SpecError(
            f"{where}: {name} takes {size_bytes:,} bytes for its input, weights and outputs; {MOST_MODEL_BYTES:,} is the most"
        )


def _operators(choice: SpaceWorkload, space: Space) -> Iterable[Workload]:
    """The operators of a space, in the way in which the table is built."""
    real = [operator for operator in (*space.operators(), *space.extras()) if not operator.is_nothing][:: choice.every]
    return _built(choice, real) if choice.operators == "all" else ()


def _apart(choice: SpaceWorkload, space: Space, runtime: str) -> Iterable[Workload]:
    """What networks consist of on this runtime alone; a selection of operators goes without."""
    known = {*space.operators(), *space.extras()}
    extras = [operator for operator in space.under(runtime).extras() if operator not in known]
    return _built(choice, extras) if choice.operators == "all" and choice.every == 1 else ()


def _built(choice: SpaceWorkload, real: Sequence[Operator]) -> Iterable[Workload]:
    if choice.composition == "isolated":
        yield from (Workload("operator", operator.key) for operator in real)
    if choice.composition == "sandwiched":
        inside = [operator for operator in real if fits(operator)]
        yield from (Workload("operator", operator.key) for operator in real if operator not in inside)
        yield from (Workload("sandwich", operator.key) for operator in inside)
        yield from (Workload("stubs", name) for name in dict.fromkeys(name for one in inside for name in pairs(one)))


def _networks(choice: SpaceWorkload, space: Space, *, where: str, check_size: bool) -> Iterable[Workload]:
    """Whole networks: those that operators are told from, random ones, and those that the job names."""
    chosen: list[Sequence[int]] = []
    if choice.operators == "all" and choice.composition == "in_network":
        chosen += balanced(space, choice.seed, choice.networks or BALANCED_NETWORKS)
    elif choice.networks:
        chosen += space.random(choice.seed, choice.networks)
    for index, text in enumerate(choice.archs):
        try:
            chosen.append(space.parse(text))
        except SpecError as error:
            raise SpecError(f"{where}.archs[{index}]: {error}") from error
    for arch in chosen:
        name = network_name(space.name, space.format(arch))
        if check_size:
            _check_graph(space.network(arch), name, where=f"{where}.space")
        yield Workload("network", name)


def _fitting(model: ModelFile, runtimes: frozenset[str]) -> frozenset[str]:
    fitting = frozenset(runtime for runtime in runtimes if model_format(runtime) == model.format)
    given = next((feed.name for feed in model.feeds if feed.given), None)
    if given is not None and (tools := sorted(filter(is_tool, fitting))):
        fed = [name for name in fed_runtimes() if model_format(name) == model.format]
        ours = ", ".join(sorted(fitting.intersection(fed))) or fed[0]
        raise SpecError(
            f"{model.path}: values.{given}: {tools[0]} makes up its inputs by itself and takes none from a job; "
            f"give runtimes: [{ours}] beside models"
        )
    if not fitting:
        runtime = next(name for name in RUNTIMES.own() if model_format(name) == model.format)
        raise SpecError(f"{model.path}: no backend of this job runs .{model.format}; add `- runtime: {runtime}`")
    return fitting
