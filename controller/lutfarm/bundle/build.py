"""Builds a bundle: fetch, choose, write, publish under the content's name."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

from lutfarm.bundle import contents, download, inventory, recipe
from lutfarm.bundle.archive import write_tar
from lutfarm.bundle.host_tools import check_space
from lutfarm_agents.provisioning.bundle_layout import Arch, Bundle
from lutfarm_jobs.atomic_files import READABLE, publish, replacing, sweep
from lutfarm_jobs.errors import StoreUnwritable

Say = Callable[[str], None]
_WORK = ".build-"
NEEDED_BYTES = 500_000_000  # twice what was seen: lists, packages, wheels, unpacked files, the tar


def inputs_sha256(arch: Arch, runtime: str) -> str:
    """What a bundle is made of, as far as this version of lutfarm decides it."""
    left_out = recipe.left_out(recipe.wheels_of(runtime))
    parts = [recipe.RECIPE, arch.name, recipe.CODENAME, recipe.PACKAGES, download.requirements(runtime), left_out]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def build(folder: Path, arch: Arch, runtime: str, *, say: Say, fresh: bool = False) -> Bundle:
    """The bundle in `folder`; made where none of the same inputs is there, or where `fresh` asks for today's packages.

    Nothing appears under its final name before it is whole; whatever interrupts a build leaves nothing that a later one
    would take.  Raises SpecError, TransferFailed or StoreUnwritable.
    """
    inputs = inputs_sha256(arch, runtime)
    with _writable(folder), _alone(folder, say):
        if not fresh and (bundle := inventory.find(folder, arch.name, runtime, inputs)):
            say(f"already built: {bundle.name}")
            return bundle
        check_space(folder, NEEDED_BYTES)
        with tempfile.TemporaryDirectory(prefix=_WORK, dir=folder) as work:
            return _build(Path(work), folder, arch, runtime, inputs, say)


def _build(work: Path, folder: Path, arch: Arch, runtime: str, inputs: str, say: Say) -> Bundle:
    suites = download.check_host(work)
    say(f"1/5  package lists of Debian {recipe.CODENAME} for {arch.name}: {', '.join(s.suite for s in suites)}")
    download.lists(work, arch, suites)
    say(f"2/5  {len(recipe.PACKAGES)} Debian packages")
    root, packages = download.packages(work, arch)
    say(f"3/5  wheels: {', '.join(recipe.distributions(download.requirements(runtime)))}")
    site, wheels = download.wheels(work, arch, runtime)
    say("4/5  files, and the libraries that they need")
    files = contents.collect(root, site, arch)
    say(f"5/5  {len(files)} files into one tar")
    tar = work / "bundle.tar"
    written = write_tar(files, tar)
    name = inventory.bundle_name(arch.name, runtime, written.sha256)
    bundle = Bundle(name, written.sha256, arch.name, runtime, folder / f"{name}.tar", written.size_bytes, {**packages, **wheels})
    (work / "manifest.json").write_text(inventory.manifest(bundle, inputs_sha256=inputs, files=written.files), encoding="utf-8")
    publish(tar, bundle.path, mode=READABLE)  # on the disk first: no manifest outlives a tar that a power cut took
    publish(work / "manifest.json", bundle.path.with_suffix(".json"), mode=READABLE)
    return bundle


def copy_to(bundle: Bundle, folder: Path) -> Bundle:
    """The same bundle, tar and manifest, in another folder; what is there under its name is replaced."""
    with _writable(folder):
        sweep(folder)
        for source in (bundle.path, bundle.path.with_suffix(".json")):
            with source.open("rb") as content, replacing(folder / source.name, mode=READABLE) as copy:
                shutil.copyfileobj(content, copy, 1 << 20)
    return Bundle(
        bundle.name, bundle.sha256, bundle.arch, bundle.runtime, folder / bundle.path.name, bundle.size_bytes, bundle.versions
    )


@contextlib.contextmanager
def _writable(folder: Path) -> Generator[None]:
    """The folder exists; what the system says against writing there becomes a StoreUnwritable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise StoreUnwritable(
            f"{folder}: {error.strerror or error}; make room or make it writable, "
            "or choose another folder; nothing that was built is lost"
        ) from error


@contextlib.contextmanager
def _alone(folder: Path, say: Say) -> Generator[None]:
    """One build at a time; what an interrupted one left is removed."""
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting: another build runs here")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(f"{_WORK}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
