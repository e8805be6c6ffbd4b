"""`lutfarm lut validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.executor import ExecutorOption, executor_of
from lutfarm.cli.job.watch import followed
from lutfarm.cli.measure import measure
from lutfarm.cli.terminal.output import Column, HomeOption, JsonOption, give_or_take, plain, print_json, print_rows, say
from lutfarm.cli.terminal.which_job import job_meant
from lutfarm.cli.which_farm import refuse_here, served_farm, server, store_of
from lutfarm.home import find_home
from lutfarm.lut import Figures, Validation
from lutfarm.lut.schema.calibration_record import MOST_NETWORKS
from lutfarm.results.validate_job import require_enough, table_to_validate, validated_by, validation_spec
from lutfarm.store import open_store
from lutfarm.store.interface import job_called
from lutfarm.submission import submit
from lutfarm.validation import Validated, ValidationOutcome
from lutfarm_jobs.spec import Study


def validate(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Whose table: its id, the start of it, or its name.")],
    networks: Annotated[int, typer.Option("--networks", min=2, max=5000, help="How many networks to hold it against.")] = 20,
    calibrate: Annotated[
        int,
        typer.Option(
            "--calibrate",
            min=0,
            max=MOST_NETWORKS,
            help="Measure so many others too, five or more, and calibrate the table's predictions on them from then on.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Other seeds draw other networks.")] = 0,
    space: Annotated[
        str | None, typer.Option("--space", help="A space's name, or the path of its file; default: the job's only one.")
    ] = None,
    executor: ExecutorOption = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Measure again what is stored as failed.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Measure networks that the table has never seen, and say how well it predicts them.

    The same command again measures nothing; from then on `lut export` carries the outcome, and the calibration.
    """
    with exit_codes.exits():
        require_enough(calibrate)
        wanted = Study(job=job_id, networks=networks, calibrate=calibrate, seed=seed)
        if server():
            found, whole = _there(wanted, space, home, executor, retry_failed=retry_failed)
        else:
            found, whole = _here(wanted, space, home, executor, retry_failed=retry_failed, quiet=json)
        _print(found.outcome, as_json=json)
        for device, backend in found.unvalidated:
            say(f"{device} with {backend}: not validated: it lacks operators that most networks need")
        if not whole or found.outcome.refused:
            raise typer.Exit(exit_codes.INCOMPLETE)


def _here(
    wanted: Study, space: str | None, home: Path | None, executor: str | None, *, retry_failed: bool, quiet: bool
) -> tuple[Validated, bool]:
    """What this machine measured says, and whether it measured everything."""
    chosen, place = executor_of(executor), find_home(home)
    with open_store(place.path, begun=True) as store:
        asked = table_to_validate(store, job_meant(store, wanted.job)[0].id, space, Path.cwd())
        spec = validation_spec(store, asked, networks=wanted.networks, calibrate=wanted.calibrate, seed=wanted.seed)
        if store.job(spec.id) is None:
            say(drawn_words(wanted.networks + wanted.calibrate, spec.id))
        submitted, sources = submit.submit(spec, Path("/"), store, retry_failed=retry_failed)
        ran, _ = measure(submitted, sources, store, place, executor=chosen, brief=quiet)
        job, _ = job_called(store, ran.job_id)
        return validated_by(store, job), not (ran.missing or ran.left)


def _there(
    wanted: Study, space: str | None, home: Path | None, executor: str | None, *, retry_failed: bool
) -> tuple[Validated, bool]:
    """The same of the served farm that is named, which goes on with it whatever becomes of this command."""
    refuse_here(home, executor)
    with served_farm() as farm, store_of(None, to_read=True) as store:
        meant = job_meant(store, wanted.job)[0].id
        study = farm.validate(
            meant, networks=wanted.networks, calibrate=wanted.calibrate, seed=wanted.seed, space=space, retry_failed=retry_failed
        )
        if not study.counts.runs:
            say(drawn_words(wanted.networks + wanted.calibrate, study.id))
        ended = followed(farm, study.id, broken_off=exit_codes.INCOMPLETE)
        return farm.validation(study.id), ended.state == "complete"


def drawn_words(count: int, job_id: str) -> str:
    """Of a new validation."""
    return f"{count} networks drawn over the whole range of sizes, and anchors; job {job_id}"


def _print(outcome: ValidationOutcome, *, as_json: bool) -> None:
    if as_json:
        print_json(plain(outcome) | {"validations": [plain(place) | _derived(place) for place in outcome.validations]})
        return
    for place in outcome.validations:
        print_rows(
            [
                Column("network", "key"),
                Column("device", "shared"),
                Column("backend", "shared"),
                "for",
                "predicted",
                "measured",
                "error",
                Column("note", "prose"),
            ],
            [
                [
                    n.arch,
                    place.device,
                    place.backend,
                    n.role,
                    give_or_take(n.predicted, n.predicted_low, n.predicted_high),
                    give_or_take(n.measured, n.measured_low, n.measured_high),
                    f"{100 * (n.predicted / n.measured - 1):+.1f} %" if n.predicted and n.measured else "-",
                    "a busy machine measured it" if n.busy else n.failure,
                ]
                for n in place.networks
            ],
        )
        for line in words(place):
            say(line)
    for line in outcome.refused:
        say(f"refused: {line}")
    for one in outcome.uncalibrated:
        say(f"{one.device} with {one.backend}: {one.describe()}")


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
    where = f"{place.device} with {place.backend}"
    lines = [f"{where}: {_figures(place.figures)}; {_covered(place.coverage)}"]
    if told := place.busy_words():
        lines.append(f"{where}: {told}")
    lines.append(
        f"{where}: noise ceiling: {_figures(place.ceiling)}" if place.ceiling else f"{where}: no noise ceiling: too few rounds"
    )
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
