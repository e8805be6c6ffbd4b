"""`lutfarm lut validate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.output import HomeOption, JsonOption, interval, latency, plain, print_json, print_rows, say
from lutfarm.cli.run_progress import RunDisplay
from lutfarm.cli.signals import deferred
from lutfarm.execution.open_farm import open_farm
from lutfarm.execution.run_job import Outcome as RunOutcome
from lutfarm.home import Home, find_home
from lutfarm.lut import Figures, LatencyTable, Validation
from lutfarm.lut.schema.calibration_record import LEAST_NETWORKS, MOST_NETWORKS
from lutfarm.results import validated_table
from lutfarm.results.job_table import table_of
from lutfarm.store import Job, Store, open_store
from lutfarm.submission import submit
from lutfarm.validation import Outcome, find_study, plan_study, studies_of
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import read_definition, space_of
from lutfarm_jobs.spaces.base import Space
from lutfarm_jobs.spec import JobSpec, SpaceWorkload, Study


def validate(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Whose table: its id, the start of it, or its name.")],
    networks: Annotated[int, typer.Option("--networks", min=2, max=5000, help="How many networks to hold it against.")] = 20,
    calibrate: Annotated[int, typer.Option(
        "--calibrate", min=0, max=MOST_NETWORKS,
        help="Measure so many others too, five or more, and calibrate the table's predictions on them from then on.",
    )] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Other seeds draw other networks.")] = 0,
    space: Annotated[str | None, typer.Option(
        "--space", help="A space's name, or the path of its file; default: the job's only one."
    )] = None,
    pool: Annotated[str, typer.Option("--pool", help="ray, or local for debugging.")] = "ray",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Measure again what is stored as failed.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Measure networks that the table has never seen, and say how well it predicts them.

    The same command again measures nothing; from then on `lut export` carries the outcome, and the calibration.
    """
    with exit_codes.exits():
        if pool not in ("ray", "local"):
            raise typer.BadParameter(f"{pool!r} is neither ray nor local", param_hint="--pool")
        if 0 < calibrate < LEAST_NETWORKS:
            raise typer.BadParameter(
                f"{calibrate} are too few: fewer than {LEAST_NETWORKS} networks correct nothing. Give {LEAST_NETWORKS} or more, "
                "some above that where the machine may be busy, or leave it out",
                param_hint="--calibrate",
            )
        place = find_home(home)
        with open_store(place.path) as store:
            job, table, drawn_from, definition = _asked(store, job_id, space)
            wanted = Study(job=job.id, networks=networks, calibrate=calibrate, seed=seed)
            spec = study_spec(store, job, table, wanted, drawn_from, definition)
            ran = _measure(store, place, spec, kind=pool, retry_failed=retry_failed, quiet=json)
            found = next(one for one in studies_of(store, job.id) if one.id == ran.job_id)
            table = table_of(store, job.id)        # what was measured now tells more of the canary then: as it is exported
            outcome = validated_table.outcome(store, found, table)
        _print(outcome, as_json=json)
        for unit, backend in table.places:
            if not any(m.unit == unit and m.backend.key == backend for m in ran.state.plan.values()):
                say(f"{unit} with {backend}: not validated: it lacks operators that most networks need")
        if ran.missing or ran.left or outcome.refused:
            raise typer.Exit(exit_codes.INCOMPLETE)


Definition = Mapping[str, Any] | None


def _asked(store: Store, job_id: str, space: str | None) -> tuple[Job, LatencyTable, Space, Definition]:
    """The job, its table, and the space, with what its file says where it is a user's own."""
    known = store.job(job_id)
    if known is None:
        raise SpecError(f"no job is called {job_id[:80]!r}; see lutfarm job list")
    spec = JobSpec.model_validate_json(known[0].spec_json)
    if spec.validates is not None:
        raise SpecError(f"job {known[0].name} measured networks for the table of {spec.validates.job}; validate that one")
    definitions = {w.space: w.definition for w in spec.workloads if isinstance(w, SpaceWorkload)}
    if space is None and len(definitions) != 1:
        named = f"it has {', '.join(definitions)}" if definitions else "it names none"
        raise SpecError(f"job {known[0].name} has no one space to draw networks from ({named}); give --space")
    text = next(iter(definitions)) if space is None else space
    definition = definitions.get(text)             # the job's own copy, wherever its file is by now
    if definition is None and text.endswith((".yaml", ".yml")):
        if not (Path.cwd() / text).is_file():
            raise SpecError(f"the space file {text} is not at {Path.cwd() / text}; say with --space where it is")
        definition = read_definition(text, Path.cwd())
    return known[0], table_of(store, known[0].id), space_of(text, definition, Path.cwd()), definition


def study_spec(
    store: Store, job: Job, table: LatencyTable, wanted: Study, space: Space, definition: Definition = None
) -> JobSpec:
    """The job that measures the networks: the same that was asked for before, or a new one."""
    known = studies_of(store, job.id)
    same = find_study(known, wanted, space.name)
    if same is not None:
        return same.spec
    spec = plan_study(job, table, space, wanted, definition=definition, studies=known)
    drawn = wanted.networks + wanted.calibrate
    say(f"{drawn} networks drawn over the whole range of sizes, and anchors; job {spec.id}")
    return spec


def _measure(store: Store, place: Home, spec: JobSpec, *, kind: str, retry_failed: bool, quiet: bool) -> RunOutcome:
    submitted, sources = submit.submit(spec, Path("/"), store, retry_failed=retry_failed)
    with (
        deferred() as check,
        open_farm(submitted, sources, store, place, kind="local" if kind == "local" else "ray") as farm,
        RunDisplay(submitted.policies, check=check, brief=quiet) as display,
    ):
        check()
        return farm.run(submitted, display)


def _print(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        print_json(plain(outcome) | {"places": [plain(place) | _derived(place) for place in outcome.places]})
        return
    for place in outcome.places:
        print_rows(
            ["network", "for", "predicted", "interval", "measured", "interval ", "error", ""],
            [[n.arch, n.role, latency(n.predicted_ns), interval(n.predicted_low_ns, n.predicted_high_ns),
              latency(n.measured_ns) if n.measured_ns else n.failure, interval(n.measured_low_ns, n.measured_high_ns),
              f"{100 * (n.predicted_ns / n.measured_ns - 1):+.1f} %" if n.predicted_ns and n.measured_ns else "-",
              "busy machine" if n.busy else ""]
             for n in place.networks],
            title=f"{place.unit} with {place.backend_key}",
        )
        for line in words(place):
            say(line)
    for line in outcome.refused:
        say(f"refused: {line}")
    for one in outcome.uncalibrated:
        say(f"{one.unit} with {one.backend_key}: {one.describe()}")


def _derived(place: Validation) -> dict[str, Any]:
    """What is told from a place's networks whenever it is asked for."""
    return {
        "unusable": [network.arch for network in place.unusable],
        "busy_share": place.busy_share,
        "quiet_figures": plain(place.quiet_figures),
        "quiet_coverage": place.quiet_coverage,
        "quiet_calibrated_figures": plain(place.quiet_calibrated_figures),
    }


def words(place: Validation) -> list[str]:
    """One place's outcome in lines."""
    where = f"{place.unit} with {place.backend_key}"
    lines = [f"{where}: {_figures(place.figures)}; {_covered(place.coverage)}"]
    if told := place.busy_words():
        lines.append(f"{where}: {told}")
    lines.append(f"{where}: noise ceiling: {_figures(place.ceiling)}" if place.ceiling
                 else f"{where}: no noise ceiling: too few processes")
    if place.calibrated:
        after = place.calibrated
        lines.append(f"{where}: calibrated on {after.networks} others: {_figures(after.figures)}; {_covered(after.coverage)}")
        if place.busy_share and place.quiet_calibrated_figures:
            lines.append(f"{where}: calibrated, without what a busy machine measured: {_figures(place.quiet_calibrated_figures)}")
    if place.unusable:
        names = ", ".join(f"{n.arch} ({n.failure})" for n in place.unusable)
        lines.append(f"{where}: {len(place.unusable)} of {place.asked} networks are left out: {names}")
    if place.anchor_shift is not None:
        lines.append(f"{where}: the anchors took {100 * place.anchor_shift:+.1f} % beside the table's first sitting")
    if place.anchor_refusal:
        lines.append(f"{where}: how far it is from the table's first sitting can't be said: {place.anchor_refusal}")
    return lines


def _covered(coverage: float | None) -> str:
    return "no intervals" if coverage is None else f"{100 * coverage:.0f} % lie in the prediction's interval"


def _figures(found: Figures) -> str:
    tau = "-" if found.kendall_tau is None else f"{found.kendall_tau:.3f}"
    rho = "-" if found.spearman is None else f"{found.spearman:.3f}"
    return (
        f"{found.n} networks: MAPE {100 * found.mape:.2f} %, bias {100 * found.bias:+.2f} %, within 5 %: "
        f"{100 * found.within_5_percent:.0f} %, within 10 %: {100 * found.within_10_percent:.0f} %, Kendall tau {tau}, "
        f"Spearman {rho}"
    )
