"""Tables with what stored studies of whole networks say of them, or why they say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lut_kit import piece, run
from tests.store_kit import DESK

from lutfarm.lut import load, save
from lutfarm.records.job import Job
from lutfarm.results.job_table import table_of
from lutfarm.results.validated_table import outcome, validated_table
from lutfarm.store import Store, open_store
from lutfarm.validation import plan_study
from lutfarm.validation.study import studies_of
from lutfarm_jobs import operators
from lutfarm_jobs.errors import RunsDisagree
from lutfarm_jobs.expand import expand, resolve, with_definitions
from lutfarm_jobs.measurement import Measurement
from lutfarm_jobs.round import Lease
from lutfarm_jobs.spaces.base import Space
from lutfarm_jobs.spec import JobSpec, Study, parse_job

KERNELS = {name: f"conv_H16_W16_Cin8_Cout8_k{kernel}_s1_g1_relu" for name, kernel in (("a", 1), ("b", 3), ("c", 5))}
TINY = {
    "name": "tiny",
    "head": ["conv_H16_W16_Cin3_Cout8_k3_s1_g1_relu"],
    "tail": ["gap_H16_W16_C8", "fc_H1_W1_Cin8_Cout10_none"],
    "layers": [
        {"name": f"l{at}", "choices": [{"name": name, "operator": key} for name, key in KERNELS.items()]} for at in range(3)
    ],
}
OLD, NEW = {"runtime": "onnxruntime 1.31.0"}, {"runtime": "onnxruntime 1.32.0"}
PLACE = ("desk", "onnxruntime-cpu-t1-fp32")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = open_store(tmp_path)
    opened.put_device(DESK)
    return opened


def opened(store: Store, spec: JobSpec, at_s: float) -> tuple[Job, Space, Sequence[Measurement]]:
    sources = resolve(spec, Path())
    spec = with_definitions(spec, sources)
    plan = list(expand(spec, sources, ["desk"]))
    job = Job(spec.id, spec.name, spec.model_dump_json(), at_s)
    store.open_job(job, plan)
    (space,) = sources.spaces.values()
    return job, space, plan


def measured(
    store: Store, job: Job, plan: Sequence[Measurement], space: Space, prints: Sequence[dict[str, str]], at_s: float
) -> None:
    """Three processes; the runs are of these fingerprints in turn."""
    lease = store.acquire("desk", owner="x 1 1.00", holder="x", now_s=at_s, ttl_s=1e9)
    assert isinstance(lease, Lease)
    runs = []
    for at, m in enumerate(plan):
        whole = m.workload.kind == "network"
        counts = (
            space.composition(space.parse(m.workload.name.rpartition(":")[2])) if whole else {operators.parse(m.workload.name): 1}
        )
        ns = sum(1000 + o.multiply_accumulates // 10 for o, n in counts.items() for _ in range(n))
        for process in range(3):
            one = run(
                *(piece(ns + process, gated=not whole) for _ in range(4)),
                key=m.key,
                started_s=at_s + process,
                number=int(at_s) + 1000 * at + process,
                fingerprint=prints[at % len(prints)],
            )
            runs.append(replace(one, round_id=f"{job.id}-{process}"))
    store.commit(runs, lease, job.id)
    store.release(lease)


def study(store: Store, job: Job, space: Space, prints: Sequence[dict[str, str]], *, seed: int, at_s: float) -> str:
    wanted = Study(job=job.id, networks=4, calibrate=5, seed=seed)
    known = studies_of(store, job.id)
    spec = plan_study(job, table_of(store, job.id), space, wanted, studies=known, definition=TINY)
    made, _, plan = opened(store, spec, at_s)
    measured(store, made, plan, space, prints, at_s)
    return made.id


@pytest.fixture
def job(store: Store) -> tuple[Job, Space]:
    spec = parse_job(
        {
            "name": "t",
            "workloads": [{"space": "tiny", "definition": TINY}],
            "devices": ["desk"],
            "backends": [{"runtime": "onnxruntime"}],
        },
        source="test",
    )
    made, space, plan = opened(store, spec, 100.0)
    measured(store, made, plan, space, [NEW], 100.0)
    return made, space


def test_a_study_that_was_measured_again_in_part_is_told_with_the_table_and_stops_nothing(
    store: Store, job: tuple[Job, Space], tmp_path: Path
) -> None:
    study(store, *job, [OLD, NEW], seed=0, at_s=10_000.0)
    table = validated_table(store, job[0].id)
    assert (table.manifest.validations, table.manifest.calibrations) == ((), ())
    (why,) = table.manifest.refusals
    assert (why.place, why.space) == (PLACE, job[1].name)
    assert "runtime: 'onnxruntime 1.3" in why.reason
    assert all(value["runtime"] in why.reason for value in (OLD, NEW))
    assert "not validated against networks of" in table.describe()
    assert why.reason in table.describe()
    save(table, tmp_path / "t.json")
    assert load(tmp_path / "t.json") == table
    (only,) = studies_of(store, job[0].id)
    with pytest.raises(RunsDisagree, match="runtime"):
        outcome(store, only, table)


def test_networks_of_another_runtime_than_the_table_are_told_as_such(store: Store, job: tuple[Job, Space]) -> None:
    study(store, *job, [OLD], seed=0, at_s=10_000.0)
    (why,) = validated_table(store, job[0].id).manifest.refusals
    assert "(the table) and 'onnxruntime 1.31.0' (its networks)" in why.reason


def test_another_study_that_can_be_read_counts_and_says_why_nothing_is_known_of_drift(
    store: Store, job: tuple[Job, Space]
) -> None:
    study(store, *job, [OLD, NEW], seed=0, at_s=10_000.0)
    later = study(store, *job, [NEW], seed=1, at_s=20_000.0)
    manifest = validated_table(store, job[0].id).manifest
    (found,) = manifest.validations
    assert (found.study_id, found.anchor_shift, manifest.refusals) == (later, None, ())
    assert "runtime" in found.anchor_refusal
    assert [(one.device, one.backend) for one in manifest.calibrations] == [PLACE]
