"""Writes the report."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from lutfarm.lut import LatencyTable
from lutfarm.lut.verdict import table_verdict
from lutfarm.report import entry_section
from lutfarm.report.manifest_section import composition, facts
from lutfarm.report.validation_section import comparisons, unvalidated
from lutfarm.report.wording import percent, printable
from lutfarm_jobs.errors import StoreUnwritable

MEANING = (
    "Each estimate answers how long one inference takes when nothing else disturbs the device. Its interval is over "
    "rounds, each a fresh process, never over iterations, which are correlated with each other."
)


def render_report(table: LatencyTable, *, out: Path, title: str = "Latency table", target: float | None = 0.02) -> None:
    """Write the report of a table as one HTML file that loads nothing.

    `target` is the relative half-width that the job asked for, None where that is not known.  Raises StoreUnwritable.
    """
    text = report_html(table, title=title, target=target)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreUnwritable(f"the report can't be written to {out}: {error.strerror}") from error


def report_html(table: LatencyTable, *, title: str, target: float | None) -> str:
    """The report as text.  Pure but for the template, which lies in this package."""
    entries = table.entries
    style, script = _packaged("report.css"), _packaged("report.js")
    rows = entry_section.entry_rows(entries)
    compared = comparisons(table)
    kinds = Counter(entry.kind for entry in entries)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["svg"] = _own_markup
    environment.filters["breakable"] = _breakable
    return environment.from_string(_packaged("template.html.j2")).render(
        title=printable(title),
        verdict=printable(table_verdict(table, target=target).sentence).replace("+-", "±"),
        policy=policy(script),
        style=_own_markup(style),
        script=_own_markup(script),
        counts={kind: kinds[kind] for kind in ("measured", "failed", "zero")},
        facts=facts(table.manifest, table.content_hash),
        composition=composition(table.manifest.composition, {entry.statistic for entry in entries}),
        comparisons=compared,
        networks=sum(len(one.rows) for one in compared),
        unvalidated=unvalidated(table),
        refused=bool(table.manifest.refusals),
        groups=entry_section.groups(entries, target=target),
        legend=entry_section.legend(entries),
        target=None if target is None else f"± {percent(target)}",
        missing=[entry_section.workload_name(key) for key in table.manifest.missing],
        failed=[row for row in rows if row.failure],
        rows=rows,
        many_places=any(row.place for row in rows),
        flags=entry_section.flag_words(entries),
        meaning=MEANING,
    )


def policy(script: str) -> str:
    """A content security policy under which this page, and nothing else, works.

    The plots carry style attributes, so styles can't be named by hash.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _own_markup(text: str) -> Markup:
    """Text that this package wrote, in which names from outside are escaped already."""
    return Markup(text)  # noqa: S704


def _breakable(name: str) -> Markup:
    """A name that may be broken after an underscore or a comma; what it holds is escaped."""
    parts = re.split(r"(?<=[_,|])", name)
    return Markup("<wbr>").join(parts)


def _packaged(name: str) -> str:
    return resources.files("lutfarm.report").joinpath(name).read_text(encoding="utf-8")
