"""How a running job looks: on a terminal a moving bar, elsewhere a line every ten seconds."""

from __future__ import annotations

import statistics as stdlib_statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lutfarm.agent_pool.interface import Done, Event, Measured, Opened
from lutfarm.agent_pool.interface import Progress as Slices
from lutfarm.cli.terminal.output import duration, err, printable, say
from lutfarm.execution.resume import Resumed
from lutfarm.records.fingerprints import words
from lutfarm.scheduling.durations import work_left
from lutfarm.scheduling.job_progress import JobProgress
from lutfarm.scheduling.unit import Unit
from lutfarm.statistics import process_estimate_ns, relative_half_width
from lutfarm_jobs.runtimes import model_format

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY_S = 10.0
BAR_COLUMNS = 10  # what is left of 80 is for words
BAR_EVERY_S = 1.0  # what it shows takes 50 ms to find out for 1,200 measurements


class RunDisplay:
    """A Watcher that shows devices, rounds, precision reached so far and time left.

    `check`: called wherever the job may be stopped; what it raises ends the job.  `brief`: somebody reads the result by a
    program, so no bar, and a line only after a while.  `note`: said once, before the first thing that is measured.
    """

    def __init__(self, *, check: Callable[[], None] = lambda: None, brief: bool = False, note: str = "") -> None:
        self.runs = 0  # that arrived while it looked on
        self._check = check
        self._note = note
        self._estimates: defaultdict[str, list[float]] = defaultdict(list)
        self._in_order: dict[str, tuple[int, int]] = {}
        self._said: set[tuple[str, str]] = set()
        self._resumed: dict[str, Resumed] = {}
        self._waits: dict[str, str] = {}  # by device, who has it now
        self._dropped: dict[str, int] = {}  # by device: results that were not stored, as far as it was said
        self._next_line_s = time.monotonic() + LINE_EVERY_S if brief else 0.0
        self._bar: Progress | None = None
        if err.is_terminal and not brief:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
            from rich.table import Column

            self._bar = Progress(
                BarColumn(bar_width=BAR_COLUMNS),
                TextColumn("{task.fields[state]}", markup=False, table_column=Column(ratio=1)),
                TimeElapsedColumn(),
                console=err,
                transient=True,
                expand=True,
            )
            self._task = self._bar.add_task("measuring", total=None, state="starting")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def waiting(self, device: str, holder: str) -> None:
        """Say once for each holder."""
        self._check()
        self._waits[device] = holder
        if (device, holder) not in self._said:
            self._said.add((device, holder))
            say(f"{device}: waiting, it is held by {printable(holder)}")

    def resumed(self, device: str, found: Resumed) -> None:
        """Say what is not measured again; a device that is opened a second time says what changed since."""
        before = self._resumed.get(device)
        self._resumed[device] = found
        if found.own_runs and before is None:
            say(f"{device}: going on; {found.own_runs} runs of this job are stored")
        if found.adopted_runs:
            say(
                f"{device}: reusing {found.adopted_runs} runs of other jobs (same key, same fingerprint; "
                "`fresh: true` in the job measures again)"
            )
        if found.outdated_runs and (before is None or before.outdated != found.outdated):
            say(
                f"{device}: {found.outdated_runs} stored runs do not count, the device's software or the protocol has changed "
                f"since ({printable(words(found.outdated))}); measuring again"
            )

    def retrying(self, failures: int) -> None:
        """Say how many."""
        say(f"{failures} failed result{' is' if failures == 1 else 's are'} measured again")

    def preparing(self, done: int, total: int) -> None:
        """Models are built."""
        self._check()
        if self._note:
            say(self._note)
            self._note = ""
        self._show(f"building models {done + 1}/{total}", None)

    def update(self, job: JobProgress, units: Mapping[str, Unit], events: Sequence[Event]) -> None:
        """Redraw."""
        self._check()
        self._tell_dropped(units)
        self.runs += sum(isinstance(event, Measured) for event in events)
        for event in events:
            if isinstance(event, Opened | Done):
                self._waits.pop(event.unit, None)
            if isinstance(event, Slices):
                self._in_order[event.unit] = (event.done, event.total)
            elif isinstance(event, Done):
                self._in_order.pop(event.unit, None)
                if event.error:
                    say(f"{event.unit}: {event.error[0]}: {printable(event.error[1][:2000])}")
            elif isinstance(event, Measured) and event.run.slices:
                estimate_ns = process_estimate_ns(event.run)
                if estimate_ns:
                    self._estimates[event.run.key].append(estimate_ns)
        if not self._is_due():  # what it says takes long to find out for a large plan
            return
        if any(unit.opened or unit.out for unit in units.values()):
            self._show(self._describe(job, units), _share_done(job))
        else:  # what is stored counts once the device has said what it is
            self._show(self._waiting(job, units), None)

    def _tell_dropped(self, units: Mapping[str, Unit]) -> None:
        for unit in units.values():
            if new := unit.dropped - self._dropped.get(unit.name, 0):
                self._dropped[unit.name] = unit.dropped
                say(
                    f"{unit.name}: {new} late result{'' if new == 1 else 's'} dropped, as another had the device by then; "
                    "what it was of is measured again, unless nobody has measured there until it is back"
                )

    def _describe(self, job: JobProgress, units: Mapping[str, Unit]) -> str:
        unprobed = sum(1 for key in job.plan if job.progress(key).probe is None)
        done = sum(1 for key in job.plan if not job.wants(key))
        rounds = sum(job.progress(key).complete for key in job.plan)
        failed = sum(1 for key in job.plan if job.progress(key).failed)
        waits = self._closed(units)
        parts = [
            f"{duration(work_left(job, units, format_of=model_format).whole.middle_s)} {'of work ' if waits else ''}left",
            f"{len(job.plan)} measurements",
        ]
        if unprobed:
            parts.append(f"{len(job.plan) - unprobed} probed")
        left = sum(job.rounds_left(key) for key in job.plan)
        parts.append(f"{done} done, {rounds} runs, {'about ' if job.rule else ''}{left} more")
        if failed:
            parts.append(f"{failed} failed")
        if widths := [now.relative_half_width for now in job.reached.values()] or self._widths():
            parts.append(f"typically {_half_width(stdlib_statistics.median(widths))}")
        held = [f"{u.name} {u.out}" for u in units.values() if u.out]
        held += [f"{u.name} cooling" for u in units.values() if u.hot_since_s is not None and not u.out]
        waiting = [f"{unit} waits for {who}" for unit, who in waits.items()]
        return ", ".join(parts + held + waiting)

    def _waiting(self, job: JobProgress, units: Mapping[str, Unit]) -> str:
        """Before any device has answered."""
        waiting = [f"{unit} waits for {who}" for unit, who in self._closed(units).items()]
        return ", ".join([f"{len(job.plan)} measurements", *(waiting or ["opening the devices"])])

    def _closed(self, units: Mapping[str, Unit]) -> dict[str, str]:
        return {unit: who for unit, who in self._waits.items() if unit in units and not units[unit].opened}

    def _widths(self) -> list[float]:
        return [w for es in self._estimates.values() if (w := relative_half_width(es)) is not None]

    def _is_due(self) -> bool:
        return time.monotonic() >= self._next_line_s

    def _show(self, text: str, share: float | None) -> None:
        if self._bar:
            self._next_line_s = time.monotonic() + BAR_EVERY_S
            self._bar.update(self._task, total=None if share is None else 1.0, completed=share or 0.0, state=printable(text))
        elif time.monotonic() >= self._next_line_s:
            self._next_line_s = time.monotonic() + LINE_EVERY_S
            say(text)


def _half_width(share: float) -> str:
    """Two rounds that differ say next to nothing: 3.4e+03 % is no figure."""
    return f"+-{100 * share:.2g} %" if share < 1 else "more than +-100 %"


def _share_done(job: JobProgress) -> float:
    have = sum(job.progress(key).complete for key in job.plan)
    left = sum(job.rounds_left(key) for key in job.plan)
    return have / (have + left) if have + left else 1.0
