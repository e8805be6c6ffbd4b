"""The text keys of workloads, backends, conditions and measurements: made and read here alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lutfarm_jobs.errors import SpecError

BUILT_PRECISION, BUILT_BATCH = "fp32", 1  # of what lutfarm makes itself: operators


@dataclass(frozen=True, slots=True)
class MeasurementKey:
    """`latency/operator:conv_H56_.../desk/onnxruntime-cpu-t1-fp32/b1-steady`, in its parts.

    Only a workload's key may hold a slash of its own.
    """

    quantity: str
    workload: str  # see Workload.key
    device: str
    backend: str
    conditions: str

    @classmethod
    def parse(cls, text: str) -> MeasurementKey:
        """Raises SpecError for what is no key."""
        head, *tail = text.rsplit("/", 3)
        quantity, slash, workload = head.partition("/")
        if len(tail) != 3 or not slash:
            raise SpecError(f"{text[:120]!r} is no measurement's key: quantity/workload/unit/backend/conditions")
        return cls(quantity, workload, *tail)

    def __str__(self) -> str:
        return "/".join((self.quantity, self.workload, self.device, self.backend, self.conditions))

    @property
    def process(self) -> tuple[str, str]:
        """What its process runs under: the backend without precision, the conditions without batch.

        Precision and batch are of what is run; the process, its cores and clocks are the same whatever it is.
        """
        return "-".join(self.backend.split("-")[:3]), re.sub(r"^b[0-9]+-", "", self.conditions)

    @property
    def canary(self) -> tuple[str, str]:
        """The keys of backend and conditions of the canary beside it: that is made by lutfarm always."""
        process, conditions = self.process
        return f"{process}-{BUILT_PRECISION}", f"b{BUILT_BATCH}-{conditions}"

    @property
    def sustained(self) -> bool:
        """Whether it is measured under minutes of load."""
        return "-sustained" in self.conditions


def process_key(runtime: str, provider: str, threads: int) -> str:
    """For example `onnxruntime-cpu-t1`."""
    return f"{runtime}-{provider}-t{threads}"


def backend_key(process: str, precision: str) -> str:
    """For example `onnxruntime-cpu-t1-fp32`; without a precision that nobody told."""
    return f"{process}-{precision}" if precision else process


def runtime_of(backend: str) -> str:
    """The runtime of a backend's key."""
    return backend.partition("-")[0]


def conditions_key(batch_size: int | None, state: str, cluster: str, *, fixed: bool) -> str:
    """For example `b1-steady`, or `b1-sustained-cluster.big-fixed`; without a batch size that nobody told."""
    batch = "" if batch_size is None else f"b{batch_size}-"
    return f"{batch}{state}" + (f"-cluster.{cluster}" if cluster else "") + ("-fixed" if fixed else "")


def network_name(space: str, arch: str) -> str:
    """The name of a space's network as a workload, for example `fbnet-224:...`; `named` reads it."""
    return f"{space}:{arch}"


def space_and_arch(name: str) -> tuple[str, str]:
    """Of a network's name as a workload."""
    space, _, arch = name.partition(":")
    return space, arch


def file_name(name: str, sha256: str) -> str:
    """The name of a model file as a workload."""
    return f"{name}@{sha256[:12]}"


def with_path(key: str, path: str) -> str:
    """A file's key with its path in place of its name: two folders may hold one name."""
    name = path.rpartition("/")[2]
    return key.replace(f"file:{name}@", f"file:{path}@", 1)


def workload_key(kind: str, name: str) -> str:
    """For example `operator:conv_H56_...`, or `network:fbnet-224:...`."""
    return f"{kind}:{name}"


def named(key: str, kind: str) -> str | None:
    """A workload's name by its key, where it is of this kind; else None.  `network:fbnet-224` is a kind of its own, too."""
    prefix = f"{kind}:"
    return key.removeprefix(prefix) if key.startswith(prefix) else None


def bare_name(key: str) -> str:
    """A workload's name by its key, of whatever kind it is."""
    return key.partition(":")[2]


def short_name(key: str) -> str:
    """For people: an operator's name alone; networks, files and sandwiches say what they are."""
    return named(key, "operator") or key
