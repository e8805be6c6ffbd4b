"""`lutfarm lut validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lutfarm import assembly, studies
from lutfarm.cli import exits
from lutfarm.cli.output import HomeOption, JsonOption, interval, latency, plain, print_json, print_rows, say
from lutfarm.cli.progress import RunDisplay
from lutfarm.farm import Outcome as RunOutcome
from lutfarm.home import Home, find_home
from lutfarm.lut import LatencyTable, Validation
from lutfarm.networks import Outcome, PlaceOutcome, find_study, plan_study, studies_of
from lutfarm.networks.study import StudyJob
from lutfarm.store import Job, Store, open_store
from lutfarm.tables import table_of
from lutfarm_jobs.errors import SpecError
from lutfarm_jobs.expand import load_space
from lutfarm_jobs.spec import JobSpec, SpaceWorkload, Study


def validate(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Whose table: its id, the start of it, or its name.")],
    networks: Annotated[int, typer.Option("--networks", min=2, max=5000, help="How many networks to hold it against.")] = 20,
    calibrate: Annotated[int, typer.Option(
        "--calibrate", min=0, max=5000, help="Measure so many others too; say what calibrating on them gives."
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

    The same command again measures nothing; from then on `lut export` carries the outcome.
    """
    with exits.exits():
        if pool not in ("ray", "local"):
            raise typer.BadParameter(f"{pool!r} is neither ray nor local", param_hint="--pool")
        place = find_home(home)
        with open_store(place.path) as store:
            job, table, text = _asked(store, job_id, space)
            wanted = Study(job=job.id, networks=networks, calibrate=calibrate, seed=seed)
            spec = _spec(store, job, table, wanted, text)
            ran = _measure(store, place, spec, kind=pool, retry_failed=retry_failed, quiet=json)
            found = next(one for one in studies_of(store, job.id) if one.id == ran.job_id)
            outcome = studies.outcome(store, found, table)
        _print(outcome, found, as_json=json)
        for unit, backend in table.places:
            if not any(m.unit == unit and m.backend.key == backend for m in ran.state.plan.values()):
                say(f"{unit} with {backend}: not validated: it lacks operators that most networks need")
        if ran.missing or ran.left or outcome.refused:
            raise typer.Exit(exits.INCOMPLETE)


def _asked(store: Store, job_id: str, space: str | None) -> tuple[Job, LatencyTable, str]:
    """The job, its table, and the space as a job anywhere could name it."""
    known = store.job(job_id)
    if known is None:
        raise SpecError(f"no job is called {job_id[:80]!r}; see lutfarm job list")
    spec = JobSpec.model_validate_json(known[0].spec_json)
    if spec.validates is not None:
        raise SpecError(f"job {known[0].name} measured networks for the table of {spec.validates.job}; validate that one")
    texts = list(dict.fromkeys(w.space for w in spec.workloads if isinstance(w, SpaceWorkload)))
    if space is None and len(texts) != 1:
        named = f"it has {', '.join(texts)}" if texts else "it names none"
        raise SpecError(f"job {known[0].name} has no one space to draw networks from ({named}); give --space")
    text = texts[0] if space is None else space
    if text.endswith((".yaml", ".yml")):
        path = Path.cwd() / text
        if not path.is_file():
            raise SpecError(f"the space file {text} is not at {path}; say with --space where it is")
        text = str(path)
    return known[0], table_of(store, known[0].id), text


def _spec(store: Store, job: Job, table: LatencyTable, wanted: Study, text: str) -> JobSpec:
    known = studies_of(store, job.id)
    same = find_study(known, wanted, text)
    if same is not None:
        return same.spec
    spec = plan_study(job, table, load_space(text, Path("/")), wanted, space_text=text, studies=known)
    drawn = wanted.networks + wanted.calibrate
    say(f"{drawn} networks drawn over the whole range of sizes, and anchors; job {spec.id}")
    return spec


def _measure(store: Store, place: Home, spec: JobSpec, *, kind: str, retry_failed: bool, quiet: bool) -> RunOutcome:
    submitted, sources = assembly.submit(spec, Path("/"), store, retry_failed=retry_failed)
    with (
        assembly.farm(submitted, sources, store, place, kind="local" if kind == "local" else "ray") as farm,
        RunDisplay(submitted.terms, quiet=quiet) as display,
    ):
        return farm.run(submitted, display)


def _print(outcome: Outcome, study: StudyJob, *, as_json: bool) -> None:
    if as_json:
        print_json(plain(outcome) | {"places": [
            plain(place) | {"unusable": [network.arch for network in place.unusable]} for place in outcome.places
        ]})
        return
    for place in outcome.places:
        print_rows(
            ["network", "for", "predicted", "interval", "measured", "interval ", "error"],
            [[n.arch, n.role, latency(n.predicted_ns), interval(n.predicted_low_ns, n.predicted_high_ns),
              latency(n.measured_ns) if n.measured_ns else n.failure, interval(n.measured_low_ns, n.measured_high_ns),
              f"{100 * (n.predicted_ns / n.measured_ns - 1):+.1f} %" if n.predicted_ns and n.measured_ns else "-"]
             for n in place.networks],
            title=f"{place.unit} with {place.backend_key}",
        )
        for line in words(place, study.study.networks):
            say(line)
    for line in outcome.refused:
        say(f"refused: {line}")


def words(place: PlaceOutcome, asked: int) -> list[str]:
    """One place's outcome in lines."""
    where = f"{place.unit} with {place.backend_key}"
    lines = [f"{where}: {_figures(place.validation)}; " + (
        "no intervals" if place.coverage is None else f"{100 * place.coverage:.0f} % lie in the prediction's interval"
    )]
    lines.append(f"{where}: noise ceiling: {_figures(place.ceiling)}" if place.ceiling
                 else f"{where}: no noise ceiling: too few processes")
    if place.calibrated:
        after = place.calibrated
        lines.append(f"{where}: calibrated on {after.networks} others: {_figures(after.validation)}; "
                     f"{100 * after.coverage:.0f} % lie in the prediction's interval")
    if place.unusable:
        names = ", ".join(f"{n.arch} ({n.failure})" for n in place.unusable)
        lines.append(f"{where}: {len(place.unusable)} of {asked} networks are left out: {names}")
    if place.anchor_shift is not None:
        lines.append(f"{where}: the anchors took {100 * place.anchor_shift:+.1f} % beside the table's first sitting")
    return lines


def _figures(found: Validation) -> str:
    tau = "-" if found.kendall_tau is None else f"{found.kendall_tau:.3f}"
    rho = "-" if found.spearman is None else f"{found.spearman:.3f}"
    return (
        f"{found.n} networks: MAPE {100 * found.mape:.2f} %, bias {100 * found.bias:+.2f} %, within 5 %: "
        f"{100 * found.within_5_percent:.0f} %, within 10 %: {100 * found.within_10_percent:.0f} %, Kendall tau {tau}, "
        f"Spearman {rho}"
    )
