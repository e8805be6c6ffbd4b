"""The two sides of a comparison, and the job that measures them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.job_file.measuring import BackendChoice
from lutfarm_jobs.job_file.workloads import ModelsWorkload
from lutfarm_jobs.measurement import Backend, Measurement
from lutfarm_jobs.spec import Compared, ComparedSide, JobSpec
from lutfarm_jobs.spec_problems import describe

ROUNDS = 12  # of a comparison that says nothing of them
SETTINGS = ("device", "runtime", "threads", "precision", "provider")


def parse_side(text: str, *, option: str) -> dict[str, str]:
    """From `runtime=onnxruntime,threads=1`.  Raises SpecError."""
    settings: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in SETTINGS or not value or name in settings:
            raise SpecError(f"{option} {text[:80]!r}: {part[:40]!r} is not NAME=VALUE, each once, of {', '.join(SETTINGS)}")
        settings[name] = value
    if not settings:
        raise SpecError(f"{option} says nothing; for example {option} threads=2, or device=desk,runtime=tflite")
    return settings


def spec_of(job: JobSpec, a: Mapping[str, str], b: Mapping[str, str], *, rounds: int, target: float | None) -> JobSpec:
    """The job that compares: the workloads of `job`, each side with what `job` says where the side says nothing.

    Its id does not depend on rounds and target, nor on what else ends it: the same sides again go on.  Raises SpecError.
    """
    sides = Compared(a=_side(job, a, option="--a"), b=_side(job, b, option="--b"))
    if sides.a == sides.b:
        raise SpecError("--a and --b are the same side; for noise alone, register the same interpreter as two devices")
    content = job.model_dump(mode="json") | {
        "name": f"{job.name[:60]}-compare",
        "devices": list(dict.fromkeys((sides.a.device, sides.b.device))),
        "backends": [one.model_dump(mode="json") for one in dict.fromkeys((sides.a.backend, sides.b.backend))],
        "sampling": job.sampling.model_dump(mode="json")
        | {"target_relative_interval": target or job.sampling.target_relative_interval, "rounds": rounds},
        "fresh": True,  # another sitting's runs are in no pair
        "compares": sides.model_dump(mode="json"),
        "validates": None,
    }
    try:
        return JobSpec.model_validate(content)
    except ValidationError as error:
        raise SpecError(describe(error)) from error


def _side(job: JobSpec, said: Mapping[str, str], *, option: str) -> ComparedSide:
    device = said.get("device") or (job.devices[0] if len(job.devices) == 1 else None)
    if not isinstance(device, str):
        raise SpecError(f"{option} needs device=NAME: the job has not one device by its name")
    settings = {name: value for name, value in said.items() if name != "device"}
    if "runtime" not in said and len({one.runtime for one in job.backends}) > 1:
        raise SpecError(f"{option} needs runtime=NAME: the job has several")
    bases = [one.model_dump() for one in job.backends if one.runtime == said.get("runtime", one.runtime)]
    changed = {name: _number(name, value, option) for name, value in settings.items()}
    try:
        # Backends that differ only in what the side says are one.
        backends = list(dict.fromkeys(BackendChoice.model_validate(base | changed) for base in bases or [{}]))
        if len(backends) > 1:
            raise SpecError(f"{option} may be {' or '.join(one.value.key for one in backends)}: say threads= or provider=")
        return ComparedSide(device=device, backend=backends[0])
    except ValidationError as error:
        raise SpecError(f"{option}: {describe(error)}") from error


def _number(name: str, value: str, option: str) -> str | int:
    if name != "threads":
        return value
    if not value.isascii() or not value.isdigit() or len(value) > 6:
        raise SpecError(f"{option}: threads={value[:40]!r} is no whole number")
    return int(value)


def names_of(spec: JobSpec) -> tuple[str, str]:
    """What the sides are called."""
    sides = _sides(spec)
    files = any(isinstance(workload, ModelsWorkload) for workload in spec.workloads)
    return _name(sides.a, files=files), _name(sides.b, files=files)


def _name(side: ComparedSide, *, files: bool) -> str:
    """Without a precision where model files bring their own and the side says none."""
    backend = side.backend.value
    return f"{side.device} with {backend.process_key if files and side.backend.precision is None else backend.key}"


def _sides(spec: JobSpec) -> Compared:
    if spec.compares is None:
        raise ValueError(f"{spec.name} compares nothing")
    return spec.compares


def _runs(choice: BackendChoice, backend: Backend) -> bool:
    """Whether a side measured under a backend, whose precision is that of what it ran."""
    return choice.value.process_key == backend.process_key and choice.precision in (None, backend.precision)


@dataclass(frozen=True, slots=True)
class WorkloadPairs:
    """`keys`: of A and B of each workload that runs on both sides; `one_sided`: by workload, why the others have no pair."""

    keys: tuple[tuple[str, str], ...]
    one_sided: Mapping[str, str]


def plan_pairs(spec: JobSpec, plan: Sequence[Measurement]) -> WorkloadPairs:
    """Which workloads run on both sides.  Raises SpecError where none does."""
    sides = _sides(spec)
    by_side: list[dict[str, str]] = [
        {m.workload.key: m.key for m in plan if m.device == side.device and _runs(side.backend, m.backend)}
        for side in (sides.a, sides.b)
    ]
    of_a, of_b = by_side
    both = tuple((key, of_b[workload]) for workload, key in of_a.items() if workload in of_b)
    if not both:
        raise SpecError("no workload of the job runs on both sides; a model file is of one runtime's format only")
    return WorkloadPairs(
        both,
        {
            workload: f"only {side} runs it"
            for side, one, other in (("A", of_a, of_b), ("B", of_b, of_a))
            for workload in one
            if workload not in other
        },
    )
