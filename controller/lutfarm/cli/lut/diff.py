"""`lutfarm lut diff`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lutfarm.cli import exit_codes
from lutfarm.cli.ratio_rows import PrintedRatio, change, print_ratios
from lutfarm.cli.terminal.output import JsonOption, plain, print_json, printable, say
from lutfarm.lut import load
from lutfarm.lut.diff import CONFIDENCE, NO_FAULTS, EntryDiff, Flip, TableDiff, diff
from lutfarm_jobs.measurement_key import short_name

SHOWN = 40
NAMED = 3

ATable = Annotated[Path, typer.Argument(metavar="A", help="A table file: .json, .csv or .parquet.")]
BTable = Annotated[Path, typer.Argument(metavar="B", help="The other: another device, runtime version or day.")]


def diff_tables(
    a: ATable,
    b: BTable,
    device_a: Annotated[str | None, typer.Option("--device-a", help="Only this device's entries of A.")] = None,
    device_b: Annotated[str | None, typer.Option("--device-b", help="Only this device's entries of B.")] = None,
    backend_a: Annotated[str | None, typer.Option("--backend-a", help="Only this backend's entries of A.")] = None,
    backend_b: Annotated[str | None, typer.Option("--backend-b", help="Only this backend's entries of B.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="PICTURE", help="FILE.svg, .png or .pdf")] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Print so many entries, those that differ most.")] = SHOWN,
    json: JsonOption = False,
) -> None:
    """Compare two tables operator by operator: ratios with intervals, and which operators rank differently."""
    with exit_codes.exits():
        if out is not None:
            from lutfarm.report.ratio_plot import check_picture  # matplotlib takes a second to import

            check_picture(out)
        tables = [
            table.select(device=device, backend=backend) if device or backend else table
            for table, device, backend in ((load(a), device_a, backend_a), (load(b), device_b, backend_b))
        ]
        found = diff(tables[0], tables[1])
        if out is not None:
            _draw(found, out)
        if json:
            print_json(
                plain(found)
                | {
                    "flip_share": found.flip_share,
                    "flagged": [e.workload for e in found.flagged],
                    "a_claims": tables[0].claims(),
                    "b_claims": tables[1].claims(),
                }
            )
            return
        _print(found, rows)
        for side, table in zip("AB", tables, strict=True):
            for claim in table.claims():
                say(printable(f"{side}: {claim}"))
        if out is not None:
            say(f"written: {out}")


def _draw(found: TableDiff, out: Path) -> None:
    from lutfarm.report.ratio_plot import Labels, RatioRow, picture, save_picture

    places = {entry.workload: position for position, entry in enumerate(found.entries)}
    rows = [
        RatioRow(short_name(e.workload), e.a_estimate, e.b_estimate, e.ratio, e.low, e.high, change(e.ratio, differs=e.differs))
        for e in found.entries
    ]
    flips = [(places[flip.first], places[flip.second]) for flip in found.flips]
    save_picture(picture(rows, flips, Labels(found.a, found.b, found.shift, "median", CONFIDENCE)), out)


def _print(found: TableDiff, most: int) -> None:
    ranked = sorted(found.entries, key=lambda e: (not e.differs, -abs(e.ratio / found.shift - 1)))
    rows = [
        PrintedRatio(
            e.workload,
            e.ratio,
            e.low,
            e.high,
            change(e.ratio, differs=e.differs),
            _beside(e, found.shift),
            e.a_estimate,
            e.b_estimate,
            flags=(" ".join(e.a_flags), " ".join(e.b_flags)) if _faulty(e) else ("", ""),
        )
        for e in ranked[:most]
    ]
    print_ratios(rows, confidence=CONFIDENCE, more="vs shift", flags=("flags of A", "flags of B"))
    if len(ranked) > most:
        say(f"and {len(ranked) - most} more: --rows {len(ranked)}, or --json")
    for line in words(found):
        say(printable(line))


def words(found: TableDiff) -> list[str]:
    """What the comparison came to, in lines."""
    slower = sum(e.differs and e.ratio > 1 for e in found.entries)
    faster = sum(e.differs and e.ratio < 1 for e in found.entries)
    lines = [
        f"A: {found.a}",
        f"B: {found.b}",
        f"{len(found.entries)} operators in both: in B {slower} are slower and {faster} faster beyond noise",
        f"common shift: B takes {found.shift:.3f} x A (median). " + _scope(found),
    ]
    if any(e.differs_beside_shift is not None for e in found.entries):
        lines.append(f"beside the common shift {sum(e.differs_beside_shift or False for e in found.entries)} differ")
    lines += [f"measured otherwise: {difference}" for difference in found.differences]
    lines += _ranking(found)
    failed = [f"{short_name(one.workload)} in {one.side} ({one.code})" for one in found.failed]
    named = (("only in A", found.only_in_a), ("only in B", found.only_in_b), ("failed", failed))
    lines += [_listed(names, what) for what, names in named if names]
    lines += [_listed(names, f"flagged {flag} in A or B") for flag, names in _by_flag(found).items()]
    for one in found.refused[:NAMED]:
        lines.append(f"not compared: {short_name(one.workload)}: {one.field} is {one.a} in A and {one.b} in B")
    if len(found.refused) > NAMED:
        lines.append(f"not compared: {len(found.refused) - NAMED} more, see --json")
    return lines


def _by_flag(found: TableDiff) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for entry in found.flagged:
        for flag in dict.fromkeys((*entry.a_flags, *entry.b_flags)):
            if flag not in NO_FAULTS:
                named.setdefault(flag, []).append(entry.workload)
    return named


def _scope(found: TableDiff) -> str:
    if found.same_job:
        return "Intervals are over rounds; A and B are of one job."
    return (
        "Intervals are over the rounds of a sitting each and do not cover what changes from day to day: of two sittings, "
        "the day and what differs between A and B can't be told apart. lutfarm compare measures both in one sitting"
    )


def _ranking(found: TableDiff) -> list[str]:
    if found.kendall_tau is None:
        return []
    share = found.flip_share or 0.0
    first = (
        f"ranking: Kendall tau {found.kendall_tau:.3f}; of {found.pairs} pairs {found.reversed_pairs} are in another order, "
        f"{found.flip_count} of them beyond noise in both ({100 * share:.2g} %)"
    )
    return [first, *(f"  {flip_words(flip)}" for flip in found.flips)]


def flip_words(flip: Flip) -> str:
    """One pair whose order is reversed."""
    return f"{short_name(flip.second)} takes {flip.a_ratio:.3f} x {short_name(flip.first)} in A, {flip.b_ratio:.3f} x in B"


def _beside(entry: EntryDiff, shift: float) -> str:
    mark = " *" if entry.differs_beside_shift else ""
    return f"{100 * (entry.ratio / shift - 1):+.1f} %{mark}"


def _faulty(entry: EntryDiff) -> bool:
    return bool({*entry.a_flags, *entry.b_flags} - NO_FAULTS)


def _listed(names: Sequence[str], what: str) -> str:
    shown = ", ".join(short_name(name) for name in names[:NAMED])
    return f"{what}: {len(names)}: {shown}" + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
