"""`lutfarm bundle`: Python and a runtime in one folder, for devices that have neither."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lutfarm.bundle.build import build, copy_to
from lutfarm.bundle.inventory import shelved
from lutfarm.cli import exit_codes
from lutfarm.cli.terminal.output import HomeOption, JsonOption, plain, print_json, print_rows, say
from lutfarm.home import find_home
from lutfarm_agents.provisioning.bundle_layout import Bundle, arch_named
from lutfarm_jobs.runtimes import packages_of

ArchOption = Annotated[str, typer.Option("--arch", help="What the device is: arm64 or amd64.")]
RuntimeOption = Annotated[str, typer.Option("--runtime", help="The runtime that goes in.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Copy the tar and its manifest into this folder too.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Build again, with the packages that Debian has today.")]


def build_command(
    arch: ArchOption,
    runtime: RuntimeOption,
    out: OutOption = None,
    fresh: FreshOption = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a bundle from Debian packages and wheels.  Needs a Debian 12 host, no root, and a minute."""
    with exit_codes.exits("interrupted; nothing was left behind"):
        bundle = build(find_home(home).bundles, arch_named(arch), runtime, say=say, fresh=fresh)
        if out is not None:
            bundle = copy_to(bundle, out.expanduser().absolute())
        if json:
            print_json(plain(bundle))
        else:
            row = [bundle.arch, bundle.runtime, megabytes(bundle.size_bytes), bundle.path]
            print_rows(["arch", "runtime", "MB", "file"], [row])


def list_command(home: HomeOption = None, json: JsonOption = False) -> None:
    """The bundles that were built in this home."""
    with exit_codes.exits():
        bundles = shelved(find_home(home).bundles)
        if json:
            print_json([plain(bundle) for bundle in bundles])
        else:
            print_rows(
                ["arch", "runtime", "version", "MB", "sha256"],
                [[b.arch, b.runtime, _version(b), megabytes(b.size_bytes), b.sha256] for b in bundles],
            )


def megabytes(size_bytes: int) -> float:
    """Of 10^6 bytes, to one decimal."""
    return round(size_bytes / 1e6, 1)


def _version(bundle: Bundle) -> str:
    return next((bundle.versions[name] for name in packages_of(bundle.runtime) if name in bundle.versions), "-")
